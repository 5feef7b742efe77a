//! The pages: short where they have to be, without a dead link or a dead path. And plain English on pages, in comments and
//! in strings.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Lines of the first page at most, and characters of each.
const README_LINES: usize = 150;
const README_COLUMNS: usize = 120;

/// Phrases that no page, no comment and no string may use: an actor has a name (the caller, the projector, the customer).
const PHRASES: &[&str] = &[
    "anybody",
    "be told",
    "everybody",
    "go by",
    "goes by",
    "going by",
    "how manieth",
    "in our hands",
    "look after",
    "looked after",
    "looks after",
    "nobody",
    "so many",
    "somebody",
    "the mend",
    "told of",
    "went by",
    "whoever",
];

/// Phrases that no page may use. The glossary (shared/README.md) has the words that replace them.
const PHRASES_ON_PAGES: &[&str] =
    &["are told", "be had", "does not read", "errand", "errands", "is told", "was told", "were told"];

/// Folders whose Rust files are checked.
const SOURCES: [&str; 4] = ["shared", "functions", "infra", "tests"];

/// This file, which quotes the phrases.
const THIS_FILE: &str = "pages.rs";

/// Folders without pages or sources of this project.
const PASSED_OVER: [&str; 3] = ["target", "node_modules", ".git"];

/// The mark around code, which may have any word.
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
fn pages_are_in_plain_english() {
    let phrases: Vec<_> = PHRASES.iter().chain(PHRASES_ON_PAGES).copied().collect();
    let mut found = Vec::new();
    for (path, text) in files(".", "md") {
        found.extend(Prose { line: 1, text: prose(&text) }.phrases(&phrases, &path));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn comments_and_strings_are_in_plain_english() {
    let mut found = Vec::new();
    for (path, text) in SOURCES.into_iter().flat_map(|folder| files(folder, "rs")) {
        if !path.ends_with(THIS_FILE) {
            found.extend(comments_and_strings(&text).iter().flat_map(|prose| prose.phrases(PHRASES, &path)));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The parts of the template, and the schemas of events, are in plain English too.
#[test]
fn templates_and_schemas_are_in_plain_english() {
    let mut found = Vec::new();
    for (folder, extension) in
        [("infra/stack", "yaml"), ("functions", "yaml"), ("infra", "json"), ("functions", "json")]
    {
        for (path, text) in files(folder, extension) {
            found.extend(Prose { line: 1, text }.phrases(PHRASES, &path));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn names_of_functions_are_in_plain_english() {
    let mut found = Vec::new();
    let sources = SOURCES.into_iter().flat_map(|folder| files(folder, "rs"));
    for (path, text) in sources.filter(|(path, _)| !path.ends_with(THIS_FILE)) {
        for (line, text) in (1..).zip(text.lines()) {
            let is_part = |character: char| character.is_alphanumeric() || character == '_';
            let name = text.split_once("fn ").and_then(|(_, rest)| rest.split(|c: char| !is_part(c)).next());
            let name = name.unwrap_or_default().replace('_', " ");
            found.extend(Prose { line, text: name }.phrases(PHRASES, &path));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn comments_and_strings_are_found() {
    let source = concat!(
        "//! Said by somebody.\nfn nobody<'a>(c: char) -> bool {\n    // So\n    // many lines, `nobody` in code.\n",
        "    c == '\"' || c == '\\'' // Nobody's.\n}\n/* Whoever. */\nconst A: &str = \"\\\"be \\\n  told {nobody} \";\n",
        "const B: &str = r#\"be \"told\"\"#;\n",
    );
    let found: Vec<_> = comments_and_strings(source)
        .iter()
        .flat_map(|prose| prose.phrases(PHRASES, &root().join("a.rs")))
        .collect();
    let expected = [
        "a.rs:1: \"somebody\"",
        "a.rs:3: \"so many\"",
        "a.rs:5: \"nobody\"",
        "a.rs:7: \"whoever\"",
        "a.rs:8: \"be told\"",
        "a.rs:10: \"be told\"",
    ];
    assert_eq!(found, expected);
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

/// A page with its listings and code spans emptied; every line keeps its number.
fn prose(text: &str) -> String {
    let lines = text.lines().map(|line| if line.starts_with("    ") { "" } else { line });
    without_spans(&lines.collect::<Vec<_>>().join("\n"), CODE)
}

/// A text with every other part between `mark`s emptied but for its line breaks.
fn without_spans(text: &str, mark: char) -> String {
    let parts = text.split(mark).enumerate();
    let parts = parts.map(|(number, part)| match number.is_multiple_of(2) {
        true => part.to_owned(),
        false => part.chars().filter(|character| *character == '\n').collect(),
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// The code spans of a page.
fn spans(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("    ")).collect();
    lines.join("\n").split(CODE).skip(1).step_by(2).map(str::to_owned).collect()
}

/// A text that people read, and the line of the file that it begins in.
struct Prose {
    line: usize,
    text: String,
}

impl Prose {
    /// Each of `phrases` that the text uses, with the file and the line.
    fn phrases(&self, phrases: &[&str], path: &Path) -> Vec<String> {
        let lines = (self.line..).zip(self.text.lines());
        let words: Vec<_> =
            lines.flat_map(|(line, text)| words(text).map(move |word| (line, word))).collect();
        let mut found = Vec::new();
        for phrase in phrases {
            let wanted: Vec<_> = phrase.split(' ').collect();
            for window in words.windows(wanted.len()) {
                if window.iter().map(|(_, word)| word.as_str()).eq(wanted.iter().copied()) {
                    found.push((window[0].0, phrase));
                }
            }
        }
        found.sort_unstable();
        let path = path.strip_prefix(root()).unwrap_or(path).display();
        found.into_iter().map(|(line, phrase)| format!("{path}:{line}: \"{phrase}\"")).collect()
    }
}

/// Words in lower case, without a possessive `'s`.
fn words(text: &str) -> impl Iterator<Item = String> {
    let is_part = |character: char| character.is_alphanumeric() || character == '\'';
    let words = text.split(move |character: char| !is_part(character)).filter(|word| !word.is_empty());
    words.map(|word| word.trim_end_matches("'s").to_lowercase())
}

/// The comments and string literals of a Rust file. Comments on consecutive lines are one text, because a phrase may be
/// broken between them.
fn comments_and_strings(source: &str) -> Vec<Prose> {
    let mut found: Vec<Prose> = Vec::new();
    let (mut rest, mut line, mut after_word) = (source, 1, false);
    // Where the last comment is in `found`, and the line that it ends in.
    let mut last: Option<(usize, usize)> = None;
    while let Some(first) = rest.chars().next() {
        let (length, text, is_comment) = token(rest, after_word);
        let (taken, later) = rest.split_at(length);
        match (text, last.filter(|(_, end)| is_comment && end + 1 == line)) {
            (Some(text), Some((place, _))) => {
                found[place].text += &format!("\n{text}");
                last = Some((place, line));
            }
            (Some(text), None) => {
                last = if is_comment { Some((found.len(), line)) } else { last };
                found.push(Prose { line, text });
            }
            (None, _) => (),
        }
        line += taken.matches('\n').count();
        // The `b` of a byte string is no part of a word before it.
        after_word = (first.is_alphanumeric() || first == '_') && (after_word || first != 'b');
        rest = later;
    }
    for prose in &mut found {
        prose.text = without_spans(&prose.text, CODE);
    }
    found
}

/// The length of the first token, its text if it is a comment or a string, and whether it is a comment of one line.
fn token(source: &str, after_word: bool) -> (usize, Option<String>, bool) {
    let until = |from: usize, end: &str| {
        source[from..].find(end).map_or(source.len(), |found| from + found + end.len())
    };
    if source.starts_with("//") {
        let text = source.lines().next().unwrap();
        return (text.len(), Some(text.trim_start_matches(['/', '!']).to_owned()), true);
    }
    if source.starts_with("/*") {
        let length = until(2, "*/");
        return (length, Some(source[..length].to_owned()), false);
    }
    let hashes: String = source.chars().skip(1).take_while(|character| *character == '#').collect();
    if !after_word && source.starts_with('r') && source[1 + hashes.len()..].starts_with('"') {
        let length = until(hashes.len() + 2, &format!("\"{hashes}"));
        return (length, Some(source[..length].to_owned()), false);
    }
    if source.starts_with('"') {
        let (mut text, mut characters) = (String::new(), source.char_indices().skip(1));
        let mut in_braces = false;
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => return (place + 1, Some(text), false),
                // An escape is no part of a word; one at the end of a line keeps the line break.
                '\\' => text.extend(characters.next().map(|(_, next)| if next == '\n' { '\n' } else { ' ' })),
                '{' | '}' => in_braces = character == '{',
                // A placeholder of `format!` has no space.
                space if space.is_whitespace() => {
                    in_braces = false;
                    text.push(space);
                }
                other => text.push(if in_braces { ' ' } else { other }),
            }
        }
        return (source.len(), Some(text), false);
    }
    // A quote begins a character, such as '"', or a lifetime.
    let mut next = source.chars().skip(1);
    let length = match (source.starts_with('\''), next.next(), next.next()) {
        (true, Some('\\'), Some(escaped)) => until(2 + escaped.len_utf8(), "'"),
        (true, Some(character), Some('\'')) => 2 + character.len_utf8(),
        (_, _, _) => source.chars().next().map_or(1, char::len_utf8),
    };
    (length, None, false)
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
