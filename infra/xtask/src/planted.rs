//! Mutants that were planted by hand: changes that have once passed every test, or might. Each has to be seen by the fast
//! tests that tests/mutants.toml names for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::mutant_list::{MutantList, Planted, Where};
use crate::process::Log;
use crate::project::Project;
use crate::scratch::Scratch;
use crate::steps::Steps;

/// How long a build and its tests may take: a mutant that never ends is no mutant that a test has seen.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Plants one after the other in a scratch copy.
pub(crate) fn check(project: &Project, steps: &mut Steps) -> Result<()> {
    let list = MutantList::read(project)?;
    ensure!(!list.planted.is_empty(), "tests/mutants.toml has no planted mutants");
    let scratch = steps.step("a scratch copy of the tree", || Scratch::make(project))?;
    steps.step("the tests of planted mutants, without them", || {
        let mut named: BTreeMap<Where, BTreeSet<&str>> = BTreeMap::new();
        for planted in &list.planted {
            named.entry(planted.tests).or_default().extend(planted.killed_by.iter().map(String::as_str));
        }
        for (place, names) in named {
            let told = run(project, &scratch, place, &names)?;
            let failed: Vec<_> = names.iter().filter(|name| told.get(**name) != Some(&true)).collect();
            ensure!(failed.is_empty(), "these tests don't pass, or are not there: {failed:?}");
        }
        Ok(())
    })?;
    for planted in &list.planted {
        steps.step(&format!("planted: {}", planted.name), || kill(project, &scratch, planted))?;
    }
    Ok(())
}

/// Plants one, and has its tests fail.
fn kill(project: &Project, scratch: &Scratch, planted: &Planted) -> Result<()> {
    let text = fs::read_to_string(scratch.tree.join(&planted.file)).with_context(|| planted.file.clone())?;
    let before = scratch.replace(&planted.file, &planted.plant(&text)?)?;
    let names: BTreeSet<_> = planted.killed_by.iter().map(String::as_str).collect();
    let told = run(project, scratch, planted.tests, &names);
    scratch.replace(&planted.file, &before)?;
    let told = told?;
    let blind: Vec<_> = names.iter().filter(|name| told.get(**name) != Some(&false)).collect();
    ensure!(blind.is_empty(), "the mutant lives: these tests have not failed: {blind:?}");
    println!("    killed by {}", planted.killed_by.join(", "));
    Ok(())
}

/// Runs those tests; whether each of them has passed.
fn run(
    project: &Project,
    scratch: &Scratch,
    place: Where,
    names: &BTreeSet<&str>,
) -> Result<BTreeMap<String, bool>> {
    let cargo = scratch.cargo(project).args(["test", "--offline"]).args(place.target());
    let cargo = cargo.args(["--", "--exact", "--format=pretty"]).args(names);
    let (log, cargo) = Log::of(cargo, project.target.join("mutants").join("planted.log"))?;
    let ended = cargo.start()?.code_within(PATIENCE)?;
    let told = outcomes(&log.text()?);
    // Without a result there was nothing to run: it does not compile.
    let ended = log.explain(ended.filter(|_| !told.is_empty()).context("no test has run"));
    ended.map(|_| told)
}

/// What libtest says of each test: `test a::b ... ok`.
fn outcomes(text: &str) -> BTreeMap<String, bool> {
    let each = text.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
    let known = each.filter_map(|(name, outcome)| match outcome.split_whitespace().next()? {
        "ok" => Some((name.to_owned(), true)),
        "FAILED" => Some((name.to_owned(), false)),
        _ => None,
    });
    known.collect()
}

#[cfg(test)]
mod checks {
    use super::outcomes;

    #[test]
    fn outcomes_are_read_from_what_libtest_says() {
        let told = outcomes(
            "\nrunning 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest a::d ... ignored\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored\n",
        );
        assert_eq!(
            told.into_iter().collect::<Vec<_>>(),
            [("a::b".to_owned(), true), ("a::c".to_owned(), false)]
        );
    }
}
