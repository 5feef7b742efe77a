//! Assembles template.yaml from infra/stack/*.yaml and functions/*/function.yaml. It works on the text and not through a
//! YAML library, which would lose the comments.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::project::LambdaFunction;

/// The first lines of the template.
const HEADER: &str = "# Written by `cargo xtask template --write` from infra/stack/*.yaml and functions/*/function.yaml; do \
                      not edit.\n\n";

/// The folder of the fragments that several functions share.
const SHARED: &str = "infra/stack";

/// Its files that come before the functions in the template, and those that come after them.
const BEFORE: [&str; 5] = ["parameters.yaml", "tables.yaml", "files.yaml", "events.yaml", "api.yaml"];
const AFTER: [&str; 3] = ["queues.yaml", "alarms.yaml", "outputs.yaml"];

/// The template's sections in their order, and whether they have entries; the others are one line.
const SECTIONS: [(&str, bool); 8] = [
    ("AWSTemplateFormatVersion", false),
    ("Transform", false),
    ("Description", false),
    ("Parameters", true),
    ("Conditions", true),
    ("Globals", true),
    ("Resources", true),
    ("Outputs", true),
];

/// A file with a part of the template. It is valid YAML: some of the template's sections, each with some of its entries.
#[derive(Debug)]
pub(crate) struct Fragment {
    /// Relative to the root of the repository.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The function whose folder it is in.
    pub(crate) function: Option<String>,
}

/// All fragments, in the order of the template.
///
/// # Errors
/// When a function's folder is incomplete, or infra/stack has a file that the template would leave out.
pub(crate) fn read(root: &Path, functions: &[LambdaFunction]) -> Result<Vec<Fragment>> {
    let mut missing = Vec::new();
    for function in functions {
        let files = ["function.yaml", "event.json"].map(|file| format!("{}/{file}", function.folder));
        missing.extend(files.into_iter().filter(|file| !root.join(file).is_file()));
    }
    ensure!(missing.is_empty(), "missing: {}; every function has these files", missing.join(", "));
    for file in fs::read_dir(root.join(SHARED)).context(SHARED)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        let known = BEFORE.iter().chain(&AFTER).any(|known| *known == name) || !name.ends_with(".yaml");
        ensure!(known, "the template leaves out {SHARED}/{name}; add it to infra/xtask/src/stack.rs");
    }
    let shared = |name: &&str| open(root, format!("{SHARED}/{name}"), None);
    let own = |function: &LambdaFunction| {
        open(root, format!("{}/function.yaml", function.folder), Some(function.name.clone()))
    };
    let before = BEFORE.iter().map(shared);
    before.chain(functions.iter().map(own)).chain(AFTER.iter().map(shared)).collect()
}

fn open(root: &Path, path: String, function: Option<String>) -> Result<Fragment> {
    let text = fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
    Ok(Fragment { path, text, function })
}

/// Assembles the template.
///
/// # Errors
/// When a fragment is not made of sections with entries, or two define the same.
pub(crate) fn assemble(fragments: &[Fragment]) -> Result<String> {
    let mut parts = Vec::new();
    for fragment in fragments {
        parts.extend(sections(fragment)?);
    }
    are_defined_once(&parts)?;
    let mut template = HEADER.to_owned();
    for (name, has_entries) in SECTIONS {
        let parts = parts.iter().filter(|part| part.name == name);
        if has_entries {
            let entries: String = parts.map(TemplateSection::entries).collect();
            let title = if entries.is_empty() { String::new() } else { format!("\n{name}:") };
            template.extend([title, entries]);
        } else {
            template.extend(parts.map(TemplateSection::whole));
        }
    }
    Ok(template)
}

/// The fragment that a line of the template comes from.
pub(crate) fn origin(template: &str, line: usize) -> Option<&str> {
    template.lines().take(line).filter_map(|line| line.strip_prefix(RULE)?.rsplit(' ').next()).last()
}

/// How the line above a fragment's entries begins; the fragment's path follows.
const RULE: &str = "  # ----------------------------------------------------- ";

/// One section of a fragment.
struct TemplateSection<'a> {
    fragment: &'a str,
    name: &'a str,
    /// The line that it begins with.
    line: &'a str,
    /// The comment above that line.
    comment: Vec<&'a str>,
    body: Vec<&'a str>,
}

impl TemplateSection<'_> {
    /// A section of one line, below its comment.
    fn whole(&self) -> String {
        self.comment.iter().chain([&self.line]).map(|line| format!("{line}\n")).collect()
    }

    /// Its entries, below a line that names the fragment.
    fn entries(&self) -> String {
        let comment = self.comment.iter().map(|line| format!("  {line}\n")).collect::<String>();
        let space = if comment.is_empty() { "" } else { "\n" };
        format!("\n{RULE}{}\n\n{comment}{space}{}\n", self.fragment, self.body.join("\n"))
    }

    /// The names of its entries, which are indented by two spaces.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.body.iter().filter_map(|line| {
            let entry = line.strip_prefix("  ").filter(|entry| !entry.starts_with([' ', '#']))?;
            entry.split(':').next()
        })
    }

    /// Drops empty lines at the end, and checks that the body begins with an entry: YAML would take lines that are indented
    /// by more for a part of the entry above them.
    fn finish(&mut self, has_entries: bool) -> Result<()> {
        while self.body.last().is_some_and(|line| line.trim().is_empty()) {
            self.body.pop();
        }
        let is_content = |line: &&&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        let first = self.body.iter().find(is_content);
        let begins = first.is_some_and(|line| line.starts_with("  ") && !line.starts_with("   "));
        let (name, fragment) = (self.name, self.fragment);
        ensure!(
            begins || !has_entries,
            "{name} of {fragment} has to begin with an entry, indented by two spaces"
        );
        ensure!(first.is_none() || has_entries, "{name} of {fragment} has to be one line");
        Ok(())
    }
}

/// The sections of a fragment.
fn sections(fragment: &Fragment) -> Result<Vec<TemplateSection<'_>>> {
    let mut parts: Vec<TemplateSection<'_>> = Vec::new();
    // Comments without indentation belong to the section that follows.
    let mut comment = Vec::new();
    for (number, line) in (1_usize..).zip(fragment.text.lines()) {
        if line.starts_with('#') {
            comment.push(line);
        } else if line.is_empty() || line.starts_with("  ") {
            let is_lost = !comment.is_empty() && !line.is_empty();
            match parts.last_mut().filter(|_| !is_lost) {
                Some(part) => part.body.push(line),
                None if line.is_empty() => (),
                None => bail!(
                    "line {number} of {} belongs to no section; a comment within a section is indented",
                    fragment.path
                ),
            }
        } else {
            let name = line.split(':').next().unwrap_or_default();
            let known = SECTIONS
                .iter()
                .any(|(known, has_entries)| *known == name && *has_entries == line.trim_end().ends_with(':'));
            ensure!(known, "line {number} of {} begins no section: {line}", fragment.path);
            let comment = std::mem::take(&mut comment);
            parts.push(TemplateSection { fragment: &fragment.path, name, line, comment, body: Vec::new() });
        }
    }
    ensure!(comment.is_empty(), "{} ends with a comment that belongs to no section", fragment.path);
    for part in &mut parts {
        let has_entries = SECTIONS.contains(&(part.name, true));
        part.finish(has_entries)?;
    }
    Ok(parts)
}

/// Refuses a name that is defined twice: YAML parsers silently take the later definition.
fn are_defined_once(parts: &[TemplateSection<'_>]) -> Result<()> {
    let mut known = BTreeMap::new();
    let sections = parts.iter().filter(|part| SECTIONS.contains(&(part.name, false)));
    let sections = sections.map(|part| ("template", part.name, part.fragment));
    let entries = parts.iter().flat_map(|part| part.names().map(|name| (part.name, name, part.fragment)));
    for (section, name, fragment) in sections.chain(entries) {
        match known.entry((section, name)) {
            Entry::Vacant(place) => {
                place.insert(fragment);
            }
            Entry::Occupied(other) => {
                bail!("{section} has {name} twice: {} and {fragment} define it", other.get())
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod checks {
    use tempfile::TempDir;

    use super::*;

    fn fragment(path: &str, text: &str) -> Fragment {
        Fragment { path: path.to_owned(), text: text.to_owned(), function: None }
    }

    #[test]
    fn fragments_are_put_together_section_by_section() {
        let fragments = [
            fragment(
                "a.yaml",
                "# Of all.\nTransform: T\n\n# Of the tables.\nResources:\n  A:\n    Type: X\n\n",
            ),
            fragment(
                "b.yaml",
                "Resources:\n  # Of B.\n  B:\n    Type: Y\n\nOutputs:\n  C:\n    Value: !Ref B\n",
            ),
        ];
        let rule = |path: &str| format!("{RULE}{path}");
        let (a, b) = (rule("a.yaml"), rule("b.yaml"));
        let template = assemble(&fragments).unwrap();
        let resources = format!(
            "{a}\n\n  # Of the tables.\n\n  A:\n    Type: X\n\n{b}\n\n  # Of B.\n  B:\n    Type: Y\n"
        );
        let expected = format!(
            "{HEADER}# Of all.\nTransform: T\n\nResources:\n{resources}\nOutputs:\n{b}\n\n  C:\n    Value: !Ref B\n"
        );
        assert_eq!(template, expected);
        let line = template.lines().position(|line| line == "    Type: Y").unwrap();
        assert_eq!(origin(&template, line), Some("b.yaml"));
        assert_eq!(origin(&template, 1), None);
    }

    #[test]
    fn what_is_defined_twice_is_refused() {
        let twice = [
            fragment("a.yaml", "Resources:\n  A:\n    Type: X\n"),
            fragment("b.yaml", "Resources:\n  B:\n    Type: X\n\n  A:\n    Type: Y\n"),
        ];
        let message = assemble(&twice).unwrap_err().to_string();
        assert_eq!(message, "Resources has A twice: a.yaml and b.yaml define it");
        let twice = [fragment("a.yaml", "Transform: T\n"), fragment("b.yaml", "Transform: T\n")];
        assert!(assemble(&twice).unwrap_err().to_string().contains("Transform twice"));
    }

    #[test]
    fn what_is_in_no_section_is_refused() {
        for (text, expected) in [
            ("  A:\n    Type: X\n", "line 1 of a.yaml belongs to no section"),
            (
                "Resources:\n  A:\n    Type: X\n# Lost.\n    More: Y\n",
                "line 5 of a.yaml belongs to no section",
            ),
            ("Resources:\n  A:\n    Type: X\n# Lost.\n", "a.yaml ends with a comment"),
            ("Resurces:\n  A:\n    Type: X\n", "line 1 of a.yaml begins no section: Resurces:"),
            ("Resources:\n A:\n", "line 2 of a.yaml begins no section:  A:"),
            ("Resources: {}\n", "line 1 of a.yaml begins no section"),
            ("Resources:\n    A:\n      Type: X\n", "Resources of a.yaml has to begin with an entry"),
            ("Resources:\n", "Resources of a.yaml has to begin with an entry"),
            ("Transform: T\n  More: T\n", "Transform of a.yaml has to be one line"),
        ] {
            let message = assemble(&[fragment("a.yaml", text)]).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
    }

    /// A repository with one function, `pay`.
    fn repository() -> (TempDir, Vec<LambdaFunction>) {
        let root = TempDir::new().unwrap();
        fs::create_dir_all(root.path().join(SHARED)).unwrap();
        fs::create_dir_all(root.path().join("functions/pay")).unwrap();
        for name in BEFORE.iter().chain(&AFTER) {
            fs::write(root.path().join(SHARED).join(name), "").unwrap();
        }
        for name in ["function.yaml", "event.json"] {
            fs::write(root.path().join("functions/pay").join(name), "").unwrap();
        }
        (root, vec![LambdaFunction { name: "pay".into(), folder: "functions/pay".into() }])
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        for name in ["function.yaml", "event.json"] {
            let (root, functions) = repository();
            assert_eq!(read(root.path(), &functions).unwrap().len(), 9);
            fs::remove_file(root.path().join("functions/pay").join(name)).unwrap();
            let message = read(root.path(), &functions).unwrap_err().to_string();
            assert!(message.contains(&format!("functions/pay/{name}")), "{message}");
        }
    }

    #[test]
    fn a_fragment_that_the_template_leaves_out_is_named() {
        let (root, functions) = repository();
        fs::write(root.path().join(SHARED).join("topics.yaml"), "").unwrap();
        let message = read(root.path(), &functions).unwrap_err().to_string();
        assert!(message.starts_with("the template leaves out infra/stack/topics.yaml"), "{message}");
    }
}
