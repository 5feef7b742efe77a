//! The fragments of the template, read as far as tests compare them with the code.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
pub(super) fn read(file: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The value at a path of keys, such as `Resources.Queue.Properties`, as it is written in its line. Each key is
/// indented by two spaces more than the one above it.
pub(super) fn value(file: &str, path: &str) -> Option<String> {
    let text = read(file);
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut last = None;
    for (depth, key) in path.split('.').enumerate() {
        let indented = |line: &&str| line.len() - line.trim_start().len() >= 2 * depth || line.is_empty();
        let start = format!("{}{key}:", "  ".repeat(depth));
        let line = lines.by_ref().take_while(indented).find(|line| line.starts_with(&start))?;
        let written = line[start.len()..].split(" #").next().unwrap();
        last = Some(written.trim().to_owned());
    }
    last
}

/// The number at a path of keys.
pub(super) fn number(file: &str, path: &str) -> Option<i64> {
    value(file, path).map(|text| text.parse().unwrap_or_else(|_| panic!("{file}: {path}: {text}")))
}

/// The value of a field in a mapping in braces: `{ Field: value, … }`.
pub(super) fn field(mapping: &str, name: &str) -> Option<String> {
    let inner = mapping.trim_matches(['{', '}', ' ']);
    let fields = inner.split(", ").filter_map(|field| field.split_once(": "));
    fields.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

/// The value of a constant of whole seconds or of a whole count: `const NAME: … = 20;` or `= Duration::from_secs(20);`.
pub(super) fn constant(file: &str, name: &str) -> i64 {
    let text = read(file);
    let start = format!("const {name}: ");
    let line = text.lines().find_map(|line| line.split_once(&start)).map(|(_, rest)| rest);
    let line = line.unwrap_or_else(|| panic!("{file} has no constant {name}"));
    let written = line.split_once(" = ").unwrap().1.trim_end_matches(';');
    let written = written.trim_start_matches("Duration::from_secs(").trim_end_matches(')');
    written.replace('_', "").parse().unwrap_or_else(|_| panic!("{file}: {name}: {written}"))
}
