//! Signatures say what they mean: no function takes its parameters apart, because what belongs together is a struct with
//! names; and no result is the value of another result, because an enum says which of three things has happened.

use std::fs;
use std::path::{Path, PathBuf};

use super::modules::{Modules, group_length};
use super::root;
use super::tokens::{Token, tokens};

#[test]
fn no_signature_has_a_tuple_pattern() {
    let mut found: Vec<_> =
        roots().iter().flat_map(|root| files(root)).flat_map(|file| in_file(&file)).collect();
    found.sort();
    assert!(found.is_empty(), "{} signatures take tuples apart:\n{}", found.len(), found.join("\n"));
}

#[test]
fn no_result_is_nested_in_a_result() {
    let mut found = Vec::new();
    for file in roots().iter().flat_map(|root| files(root)) {
        let tokens = tokens(&fs::read_to_string(&file).unwrap());
        let nested = tokens.windows(3).filter(|window| is_nested_result(window));
        found.extend(nested.map(|window| format!("{}:{}", file.display(), window[0].line)));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(tokens("fn f() -> Result<Result<(), A>, B>;").windows(3).any(is_nested_result));
}

fn is_nested_result(window: &[Token]) -> bool {
    window[0].is("Result") && window[1].is("<") && window[2].is("Result")
}

/// The root files of the crates of `shared`, `functions` and `infra`.
fn roots() -> Vec<PathBuf> {
    let folders = ["shared", "functions", "infra"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let crates = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let roots = crates.flat_map(|path| ["src/lib.rs", "src/main.rs"].map(|file| path.join(file)));
    roots.filter(|path| path.is_file()).collect()
}

/// The files of a crate, without those of its tests.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = Modules::read(root).all.into_iter().map(|module| module.file).collect();
    files.sort();
    files.dedup();
    files
}

fn in_file(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let short = file.strip_prefix(root()).unwrap().display();
    tuple_patterns(&text).into_iter().map(|(line, name)| format!("{short}:{line}: {name}")).collect()
}

/// The functions of a file that take a tuple apart, by line and name.
fn tuple_patterns(text: &str) -> Vec<(usize, String)> {
    let tokens = without_tests(tokens(text));
    let begins = tokens.windows(2).enumerate().filter(|(_, pair)| pair[0].is("fn") && pair[1].is_word());
    let functions = begins.map(|(place, _)| &tokens[place + 1..]);
    let with = functions.filter(|function| parameters(function).any(is_tuple_pattern));
    with.map(|function| (function[0].line, function[0].text.clone())).collect()
}

/// Without the modules that only tests have.
fn without_tests(mut tokens: Vec<Token>) -> Vec<Token> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let is_mark = |window: &[Token]| window.iter().zip(mark).all(|(token, text)| token.is(text));
    while let Some(place) = tokens.windows(mark.len()).position(is_mark) {
        let module = place + mark.len();
        let opened =
            tokens[module..].iter().position(|token| token.is("{") || token.is(";")).unwrap() + module;
        let length = if tokens[opened].is("{") { group_length(&tokens[opened..]) } else { 1 };
        tokens.drain(place..opened + length);
    }
    tokens
}

/// The parameters of the function whose name is the first token.
fn parameters(function: &[Token]) -> impl Iterator<Item = &[Token]> {
    let generics = if function[1].is("<") { 1 + angles_length(&function[1..]) } else { 1 };
    let group = &function[generics..];
    let inside = &group[1..group_length(group) - 1];
    let mut depth = 0_i32;
    inside.split(move |token| {
        match token.text.as_str() {
            "(" | "[" | "{" | "<" => depth += 1,
            ")" | "]" | "}" | ">" => depth -= 1,
            _ => (),
        }
        depth == 0 && token.is(",")
    })
}

fn angles_length(tokens: &[Token]) -> usize {
    let mut depth = 0_i32;
    let closes = |token: &Token| {
        match token.text.as_str() {
            "<" => depth += 1,
            ">" => depth -= 1,
            _ => (),
        }
        depth == 0
    };
    tokens.iter().position(closes).unwrap() + 1
}

/// Whether a bracket of the pattern has no name before it: `(a, b): …`, but not `Path(id): …`.
fn is_tuple_pattern(parameter: &[Token]) -> bool {
    let end = parameter.iter().position(|token| token.is(":")).unwrap_or(0);
    let pattern = &parameter[..end];
    let has_name = |place: usize| {
        place.checked_sub(1).is_some_and(|before| pattern[before].is_word() && !pattern[before].is("mut"))
    };
    pattern.iter().enumerate().any(|(place, token)| token.is("(") && !has_name(place))
}

#[test]
fn tuple_patterns_are_found_in_signatures() {
    for (source, expected) in [
        ("fn f((a, b): (u8, u8)) {}", "1 f"),
        (
            "fn a() {}\n\npub(crate) async fn f<T: Into<Vec<u8>>>(\n    &self,\n    &(a, b): &(u8, T),\n) {}",
            "3 f",
        ),
        ("impl S { fn f(&self, a: u8, Some((b, c)): X) {} }", "1 f"),
        ("fn f(#[x] mut a: u8, State(b): State<(u8, u8)>, S { c, .. }: S, d: impl Fn((u8, u8))) {}", ""),
        ("fn f(a: fn((u8, u8)) -> u8) { let (a, b) = g(|(c, d)| c); }", ""),
        ("#[cfg(test)]\nmod tests { fn f((a, b): (u8, u8)) {} }", ""),
        ("// fn f((a, b): (u8, u8)) {}\nconst TEXT: &str = \"fn f((a, b): X)\";", ""),
    ] {
        let found = tuple_patterns(source).into_iter().map(|(line, name)| format!("{line} {name}"));
        assert_eq!(found.collect::<Vec<_>>().join(", "), expected, "{source}");
    }
}
