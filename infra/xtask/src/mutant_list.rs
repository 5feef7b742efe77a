//! Reads tests/mutants.toml: which files are mutated, which mutants may survive and why, and which are planted by hand.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::project::Project;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MutantList {
    /// The files that `cargo xtask mutants` mutates.
    pub(crate) files: Vec<String>,
    #[serde(default, rename = "survivor")]
    pub(crate) survivors: Vec<Survivor>,
    #[serde(default)]
    pub(crate) planted: Vec<Planted>,
}

/// A mutant for which no fast test fails, and why that does no harm.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Survivor {
    /// As cargo-mutants names it, without line and column.
    pub(crate) mutant: String,
    pub(crate) reason: String,
}

/// A mutant that was written by hand, and the tests that have to fail for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Planted {
    pub(crate) name: String,
    pub(crate) file: String,
    /// A text that the file has exactly once, and the text that replaces it: whole expressions of one type.
    pub(crate) from: String,
    pub(crate) to: String,
    /// The full names of the tests. Every one of them has to fail.
    pub(crate) killed_by: Vec<String>,
}

impl MutantList {
    pub(crate) fn read(project: &Project) -> Result<Self> {
        let path = project.root.join("tests/mutants.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let list: Self = toml::from_str(&text).context("tests/mutants.toml is invalid")?;
        ensure!(!list.files.is_empty(), "tests/mutants.toml names no files");
        let missing =
            list.files.iter().find(|file| !file.contains('*') && !project.root.join(file).is_file());
        ensure!(missing.is_none(), "tests/mutants.toml names {missing:?}, which is not there");
        let silent = list.survivors.iter().find(|survivor| survivor.reason.trim().is_empty());
        ensure!(silent.is_none(), "tests/mutants.toml gives no reason for {silent:?}");
        Ok(list)
    }
}

/// The environment variable that has the number of the mutant that takes effect.
pub(crate) const SWITCH: &str = "PLANTED_MUTANT";

impl Planted {
    /// The text of its file with the mutant in it, which takes effect if [`SWITCH`] is `number`.
    pub(crate) fn plant_switched(&self, text: &str, number: u32) -> Result<String> {
        let Self { from, to, .. } = self;
        let chosen = format!(r#"::std::env::var("{SWITCH}").is_ok_and(|chosen| chosen == "{number}")"#);
        let to = format!("({{ if {chosen} {{ {to} }} else {{ {from} }} }})");
        Self { to, ..self.clone() }.plant(text)
    }

    /// Checks that every test that names it has failed.
    pub(crate) fn check_killed(&self, passed: &BTreeMap<String, bool>) -> Result<()> {
        let named = self.killed_by.iter();
        let blind: Vec<_> = named.filter(|name| passed.get(*name) != Some(&false)).collect();
        ensure!(blind.is_empty(), "the mutant survives: these tests have not failed: {blind:?}");
        println!("    killed by {}", self.killed_by.join(", "));
        Ok(())
    }

    /// The text of its file with the mutant in it.
    ///
    /// # Errors
    /// When the file does not have the text exactly once. Then the code has changed, and the mutant has to change too.
    pub(crate) fn plant(&self, text: &str) -> Result<String> {
        ensure!(!self.killed_by.is_empty(), "the planted mutant {:?} names no test", self.name);
        ensure!(self.from != self.to, "the planted mutant {:?} changes nothing", self.name);
        let times = text.matches(&self.from).count();
        ensure!(
            times == 1,
            "{} has the text of the planted mutant {:?} {times} times, not once; the code has changed, so \
             update the mutant in tests/mutants.toml",
            self.file,
            self.name
        );
        Ok(text.replacen(&self.from, &self.to, 1))
    }
}

#[cfg(test)]
mod checks {
    use super::*;

    fn planted(from: &str, to: &str) -> Planted {
        let (from, to) = (from.to_owned(), to.to_owned());
        let killed_by = vec!["tests::a".to_owned()];
        Planted { name: "n".into(), file: "f.rs".into(), from, to, killed_by }
    }

    #[test]
    fn a_mutant_is_planted_if_the_file_has_its_text_once() {
        assert_eq!(planted("a + b", "a").plant("let x = a + b;").unwrap(), "let x = a;");
        for text in ["let x = a;", "a + b; a + b"] {
            let message = planted("a + b", "a").plant(text).unwrap_err().to_string();
            assert!(message.contains("f.rs") && message.contains("not once"), "{message}");
        }
        assert!(planted("a", "a").plant("a").is_err());
        assert!(Planted { killed_by: vec![], ..planted("a", "b") }.plant("a").is_err());
    }

    #[test]
    fn a_switched_mutant_takes_effect_only_when_it_is_chosen() {
        let text = planted("a + b", "a").plant_switched("let x = a + b;", 3).unwrap();
        let chosen = r#"::std::env::var("PLANTED_MUTANT").is_ok_and(|chosen| chosen == "3")"#;
        assert_eq!(text, format!("let x = ({{ if {chosen} {{ a }} else {{ a + b }} }});"));
        let passed = |passed| BTreeMap::from([("tests::a".to_owned(), passed)]);
        assert!(planted("a", "b").check_killed(&passed(false)).is_ok());
        assert!(planted("a", "b").check_killed(&passed(true)).is_err());
        assert!(planted("a", "b").check_killed(&BTreeMap::new()).is_err());
    }

    #[test]
    fn a_list_is_parsed() {
        let list: MutantList = toml::from_str(
            "files = ['a.rs']\n[[survivor]]\nmutant = 'm'\nreason = 'r'\n\
             [[planted]]\nname = 'n'\nfile = 'f'\nfrom = 'x'\nto = ''\nkilled_by = ['t']\n",
        )
        .unwrap();
        assert_eq!((list.files.len(), list.survivors.len(), list.planted.len()), (1, 1, 1));
        assert!(toml::from_str::<MutantList>("files = []\nother = 1").is_err());
    }
}
