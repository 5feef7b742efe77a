//! The pages: short where they have to be, without a dead link or a dead path, and in plain English.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Lines of the first page at most, and characters of each.
const README_LINES: usize = 150;
const README_COLUMNS: usize = 120;

/// Where prose is checked for [`PHRASES`]: files below a folder, by their extension. Of Rust files, comments are checked.
const CHECKED: &[(&str, &str)] = &[(".", "md")];

/// What no page and no comment says: an actor has a name, and a thing has one word (shared/README.md, "Glossary").
const PHRASES: &[&str] = &[
    "anybody",
    "are told",
    "be told",
    "be had",
    "does not read",
    "errand",
    "errands",
    "go by",
    "goes by",
    "going by",
    "how manieth",
    "is told",
    "look after",
    "looked after",
    "looks after",
    "nobody",
    "somebody",
    "so many credits",
    "the mend",
    "told of",
    "was told",
    "went by",
    "were told",
    "whoever",
];

/// Pages that are not ours, and folders that have none.
const PASSED_OVER: [&str; 3] = ["target", "node_modules", ".git"];

/// Words that a page may quote as they are in the code.
const CODE: char = '`';

#[test]
fn the_first_page_is_read_in_one_sitting() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines");
    let wide: Vec<_> = readme.lines().filter(|line| README_COLUMNS < line.chars().count()).collect();
    assert!(wide.is_empty(), "{wide:#?}");
}

#[test]
fn links_lead_somewhere() {
    let mut dead = Vec::new();
    for (path, text) in files(".", "md") {
        for link in links(&prose(&text)) {
            if link.contains("://") {
                continue;
            }
            let (file, place) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if file.is_empty() { path.clone() } else { plain(&path.parent().unwrap().join(file)) };
            let leads = match place {
                "" => target.exists(),
                place => fs::read_to_string(&target).is_ok_and(|text| headings(&text).contains(place)),
            };
            if !leads {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// A page that names a file by its path from the top names one that is there.
#[test]
fn paths_on_pages_exist() {
    const TOPS: [&str; 4] = ["functions/", "infra/", "shared/", "tests/"];
    let mut missing = Vec::new();
    for (path, text) in files(".", "md") {
        for span in spans(&text) {
            let is_path = TOPS.iter().any(|top| span.starts_with(top))
                && !span.contains([' ', '<', '*', '{', '…'])
                && !span.contains("NAME");
            if is_path && !root().join(&span).exists() {
                missing.push(format!("{}: {span}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn prose_is_plain() {
    let mut found = Vec::new();
    for (folder, extension) in CHECKED {
        for (path, text) in files(folder, extension) {
            let text = if *extension == "rs" { comments(&text) } else { prose(&text) };
            let words = format!(" {} ", words(&text).join(" "));
            for phrase in PHRASES.iter().filter(|phrase| words.contains(&format!(" {phrase} "))) {
                found.push(format!("{}: \"{phrase}\"", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Every decision is in the index.
#[test]
fn the_index_of_decisions_is_whole() {
    let index = fs::read_to_string(root().join("infra/decisions/README.md")).unwrap();
    let listed: BTreeSet<_> = links(&index).into_iter().filter(|link| link.starts_with("00")).collect();
    let files = files("infra/decisions", "md");
    let names = files.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap().to_owned());
    assert_eq!(listed, names.filter(|name| name != "README.md").collect());
}

fn root() -> PathBuf {
    plain(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                found.pop();
            }
            Component::CurDir => (),
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => found.push(part),
        }
    }
    found
}

/// The files below a folder that have an extension, with their texts.
fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![plain(&root().join(folder))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with('.') || PASSED_OVER.contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no {extension}");
    found
}

/// A page without its listings and code spans.
fn prose(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("    "));
    let lines: Vec<_> = lines.collect();
    lines.join("\n").split(CODE).step_by(2).collect()
}

/// The code spans of a page.
fn spans(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("    ")).collect();
    lines.join("\n").split(CODE).skip(1).step_by(2).map(str::to_owned).collect()
}

/// The comments of a file of Rust, without its code spans.
fn comments(text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("//"));
    let lines: Vec<_> = lines.map(|line| line.trim_start_matches(['/', '!'])).collect();
    lines.join("\n").split(CODE).step_by(2).collect()
}

/// Words in lower case, without what stands between them.
fn words(text: &str) -> Vec<String> {
    let is_part = |character: char| character.is_alphanumeric() || character == '\'';
    let words = text.split(|character: char| !is_part(character)).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// Where the links of a page lead.
fn links(text: &str) -> Vec<String> {
    let after = text.split("](").skip(1);
    after.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The headings of a page, as links name them.
fn headings(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len() && heading.starts_with(' ')).then(|| heading.trim().to_lowercase())
    });
    let name = |heading: String| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(name).collect()
}
