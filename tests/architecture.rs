//! The walls of the house.

use std::fs;
use std::path::{Path, PathBuf};

/// Which words a room may not say, and why.
const WALLS: [(&str, &[&str]); 7] = [
    // The rules are pure: no SDK, no HTTP, no clock, no waiting.
    (
        "shared/src/domain",
        &[
            "aws_",
            "lambda_",
            "axum",
            "http::",
            "tokio",
            "crate::store",
            "crate::pay",
            "crate::calendar",
            "crate::hooks",
            "crate::edge",
            "Utc::now",
            "async ",
        ],
    ),
    // The store knows no HTTP and no time of its own.
    (
        "shared/src/store",
        &[
            "lambda_",
            "axum",
            "http::",
            "crate::edge",
            "crate::pay",
            "crate::calendar",
            "crate::hooks",
            "StatusCode",
            "Utc::now",
            "env::",
        ],
    ),
    // Payments know no table, no caller and no time of their own.
    (
        "shared/src/pay",
        &["lambda_", "crate::edge", "crate::calendar", "crate::hooks", "Utc::now", "env::", "dynamo"],
    ),
    // The calendar knows no table, no caller and no time of its own.
    (
        "shared/src/calendar",
        &["lambda_", "axum", "crate::hooks", "crate::edge", "Utc::now", "env::", "aws_", "dynamo"],
    ),
    // Webhooks know no table, no caller and no time of their own.
    ("shared/src/hooks", &["lambda_", "reqwest", "crate::edge", "Utc::now", "env::", "dynamo"]),
    // HTTP does not name the database.
    ("shared/src/edge", &["aws_sdk", "dynamo::"]),
    // Functions name neither.
    ("functions", &["aws_sdk", "StatusCode", "Utc::now", "env::var"]),
];

/// Lines of a file of Rust at most: past it there is a seam to be found.
const LINES_MAX: usize = 400;

#[test]
fn rooms_name_only_what_they_may_know() {
    let mut broken = Vec::new();
    for (room, words) in WALLS {
        for (path, text) in sources(room) {
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let code: Vec<_> = code.collect();
            for word in words.iter().filter(|word| code.iter().any(|line| line.contains(**word))) {
                broken.push(format!("{} names `{word}`", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn only_one_line_reads_the_clock() {
    let readers: Vec<_> = ["shared/src", "functions", "infra"]
        .into_iter()
        .flat_map(sources)
        .filter(|(_, text)| text.contains("Utc::now()") || text.contains("SystemTime::now()"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(readers.len(), 1, "{readers:?}");
    assert!(readers[0].ends_with("shared/src/edge/clock.rs"), "{readers:?}");
}

#[test]
fn files_stay_short() {
    let rooms = ["shared/src", "functions", "infra", "tests"];
    let long: Vec<_> = rooms
        .into_iter()
        .flat_map(sources)
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn nothing_stands_at_the_top_but_what_belongs_there() {
    let known = [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "clippy.toml",
        "functions",
        "infra",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "samconfig.toml",
        "shared",
        "target",
        "template.yaml",
        "tests",
    ];
    let found = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strange: Vec<_> =
        found.filter(|name| !name.starts_with('.') && !known.contains(&name.as_str())).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// `cargo xtask test` does not look for examples in documentation: rustdoc would build every crate once more to find none.
#[test]
fn documentation_has_no_code_that_nobody_runs() {
    let fence = "`".repeat(3);
    let is_documentation =
        |line: &&str| ["///", "//!"].iter().any(|mark| line.trim_start().starts_with(mark));
    let files = ["shared/src", "functions", "infra", "tests"].into_iter().flat_map(sources);
    let with_code =
        files.filter(|(_, text)| text.lines().filter(is_documentation).any(|line| line.contains(&fence)));
    let with_code: Vec<_> = with_code.map(|(path, _)| path).collect();
    assert!(with_code.is_empty(), "{with_code:?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(room)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "{room} has no sources");
    found
}
