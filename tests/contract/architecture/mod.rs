//! The architecture: what each room may know, and in which direction dependencies point.

mod folders;
mod modules;
mod resolve;
mod signatures;
mod tokens;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The rooms of the shared code, lowest first. A room's crate may depend only on the crates of the rooms before it.
const ROOMS: [&str; 10] =
    ["domain", "documents", "ports", "aws", "store", "payments", "webhooks", "jobs", "app", "http"];

/// Which words a room may not say, and why. Cargo keeps it from what its crate does not depend on.
const WALLS: [(&str, &[&str]); 11] = [
    // The rules are pure: no clock, no waiting.
    ("shared/domain", &["Utc::now", "async ", "env::"]),
    // Files are made of receipts and times that are arguments.
    ("shared/documents", &["Utc::now", "async ", "axum", "http::", "aws_", "dynamo"]),
    // Ports and AWS know neither tables nor environment variables.
    ("shared/ports", &["env::", "dynamo"]),
    ("shared/aws", &["Utc::now", "env::", "get_item", "update_item"]),
    // The store knows neither HTTP nor the clock.
    ("shared/store", &["http::", "StatusCode", "Utc::now", "env::"]),
    // Payments, webhooks and jobs know neither tables nor the clock.
    ("shared/payments", &["Utc::now", "env::", "dynamo"]),
    ("shared/webhooks", &["reqwest", "Utc::now", "env::", "dynamo"]),
    ("shared/jobs", &["axum", "Utc::now", "env::", "aws_", "dynamo"]),
    // The app composes; it names no database, no status code and no time of its own.
    ("shared/app", &["Utc::now", "StatusCode", "aws_sdk", "dynamo::"]),
    // HTTP does not name the database or the environment.
    ("shared/http", &["aws_sdk", "dynamo::", "env::var"]),
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

/// Dependencies point downwards: from a function to rooms, from a room to those before it; and no function depends on
/// another one.
#[test]
fn dependencies_point_downwards() {
    let mut broken = Vec::new();
    let mut rooms = 0;
    for (folder, dependencies) in path_dependencies() {
        let Some(own) = level(&folder) else { continue };
        rooms += usize::from(own < ROOMS.len());
        let upwards = dependencies.iter().filter(|other| level(other).is_none_or(|level| own <= level));
        broken.extend(upwards.map(|other| format!("{folder} on {other}")));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert_eq!(rooms, ROOMS.len(), "a room that is not in the list, or is no crate");
}

/// How high a folder is: its place among the rooms, or above them all for a function. The local machine, the commands and
/// the tests have no level: no room and no function may depend on them.
fn level(folder: &str) -> Option<usize> {
    match folder.split_once('/') {
        Some(("shared", room)) => Some(ROOMS.iter().position(|known| *known == room).unwrap()),
        Some(("functions", _)) => Some(ROOMS.len()),
        Some(_) | None => None,
    }
}

/// The folder of each package, and the folders of the packages that it depends on, for its tests or otherwise. Cargo reads
/// the manifests, because a dependency has many spellings.
fn path_dependencies() -> Vec<(String, Vec<String>)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["metadata", "--offline", "--no-deps", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let top = metadata["workspace_root"].as_str().unwrap();
    let folder = |path: &str| Path::new(path).strip_prefix(top).unwrap().to_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter().map(|package| {
        let manifest = package["manifest_path"].as_str().unwrap();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let paths = dependencies.filter_map(|dependency| dependency["path"].as_str());
        (folder(manifest.trim_end_matches("/Cargo.toml")), paths.map(folder).collect())
    });
    packages.collect()
}

#[test]
fn only_one_line_reads_the_clock() {
    let readers: Vec<_> = ["shared", "functions", "infra"]
        .into_iter()
        .flat_map(sources)
        .filter(|(_, text)| text.contains("Utc::now()") || text.contains("SystemTime::now()"))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(readers.len(), 1, "{readers:?}");
    assert!(readers[0].ends_with("shared/ports/src/clock.rs"), "{readers:?}");
}

#[test]
fn files_stay_short() {
    let rooms = ["shared", "functions", "infra", "tests"];
    let long: Vec<_> = rooms
        .into_iter()
        .flat_map(sources)
        .filter(|(_, text)| text.lines().count() > LINES_MAX)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// Functions build no test programs, so a test in their code would never run.
#[test]
fn functions_have_no_tests_of_their_own() {
    let with_tests = sources("functions").into_iter().filter(|(_, text)| has_test(text));
    let paths: Vec<_> = with_tests.map(|(path, _)| path).collect();
    assert!(paths.is_empty(), "move these tests to the package `tests`: {paths:?}");
    let folders = fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap().path());
    for folder in folders.filter(|folder| folder.is_dir()) {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert_eq!(manifest.matches("\ntest = false\n").count(), 2, "{}", folder.display());
    }
}

/// Whether a source has an attribute that makes a test, with or without arguments, or a module for tests.
fn has_test(text: &str) -> bool {
    let attributes = text.split("#[").skip(1).map(|rest| rest.split(']').next().unwrap_or_default());
    attributes.into_iter().any(|attribute| {
        let name = attribute.split(['(', ' ', '=']).next().unwrap_or_default();
        name.rsplit("::").next() == Some("test") || attribute.contains("cfg(test)")
    })
}

#[test]
fn tests_are_found_in_every_spelling() {
    for found in [
        "#[test]",
        "#[tokio::test]",
        "#[tokio::test(start_paused = true)]",
        "#[test_log::test]",
        "#[cfg(test)]",
    ] {
        assert!(has_test(&format!("{found}\nfn a() {{}}")), "{found}");
    }
    assert!(!has_test("#[derive(Debug)]\nstruct Test;\n#[expect(unused, reason = \"test\")]\nfn test() {}"));
}

#[test]
fn the_top_level_has_only_known_entries() {
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
fn documentation_has_no_code_examples() {
    let fence = "`".repeat(3);
    let is_documentation =
        |line: &&str| ["///", "//!"].iter().any(|mark| line.trim_start().starts_with(mark));
    let files = ["shared", "functions", "infra", "tests"].into_iter().flat_map(sources);
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
