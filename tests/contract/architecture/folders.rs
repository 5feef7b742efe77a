//! No circle between the folders of a crate. A folder is a directory directly under `src`, or a file there; `lib.rs` is
//! the top.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use super::modules::{Module, Modules, Named};
use super::resolve::UseTarget;
use super::root;

/// Which folder names something of which other one, and the first place where it does.
type Graph = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn folders_of_a_crate_do_not_depend_on_each_other_in_a_circle() {
    let shared = fs::read_dir(root().join("shared")).unwrap().map(|entry| entry.unwrap().path());
    let mut crates: Vec<PathBuf> = shared.filter(|path| path.join("src/lib.rs").is_file()).collect();
    crates.push(root().join("infra/local"));
    crates.sort();
    let problems: Vec<_> = crates.iter().flat_map(|path| problems(&path.join("src"))).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Every circle between the folders of the sources in `src`, and every name of the crate that was not found.
fn problems(src: &Path) -> Vec<String> {
    let modules = Modules::read(&src.join("lib.rs"));
    let (graph, mut problems) = graph(&modules, src);
    problems.extend(circles(&graph));
    problems
}

fn graph(modules: &Modules, src: &Path) -> (Graph, Vec<String>) {
    let (mut graph, mut unknown) = (Graph::new(), Vec::new());
    for (id, module) in modules.all.iter().enumerate() {
        let here = folder(&module.file, src);
        for named in named(module, src).into_iter().chain(through_globs(modules, id)) {
            let place = format!("{}:{}", shown(&module.file), named.line);
            let path = named.path.join("::");
            let target = match modules.target(id, &named.path) {
                Some(UseTarget::Module(target) | UseTarget::Item(target)) => target,
                Some(UseTarget::Outside) => continue,
                None => {
                    unknown.push(format!("{place}: where `{path}` is defined was not found"));
                    continue;
                }
            };
            let file = &modules.all[target].file;
            let there = folder(file, src);
            if here != there {
                let edge = format!("{place}: {here} names `{path}`, defined in {}", shown(file));
                graph.entry(here.clone()).or_default().entry(there).or_insert(edge);
            }
        }
    }
    (graph, unknown)
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

/// What a module names. The re-exports of the top are no dependencies of the top.
fn named(module: &Module, src: &Path) -> Vec<Named> {
    let is_top = module.file == src.join("lib.rs");
    let imports = module.imports.iter().filter(|import| !(is_top && import.is_public));
    imports.map(|import| &import.named).chain(&module.named).cloned().collect()
}

/// The names that a module has through `use …::*` and uses.
fn through_globs(modules: &Modules, id: usize) -> Vec<Named> {
    let module = &modules.all[id];
    let globs = module.imports.iter().filter(|import| import.name.is_none());
    let words =
        globs.flat_map(|glob| module.words.iter().map(|(word, line)| (&glob.named.path, word, *line)));
    let named =
        words.map(|(glob, word, line)| Named { path: glob.iter().chain([word]).cloned().collect(), line });
    named.filter(|named| matches!(modules.target(id, &named.path), Some(UseTarget::Item(_)))).collect()
}

fn folder(file: &Path, src: &Path) -> String {
    let mut parts = file.strip_prefix(src).unwrap().iter().map(|part| part.to_str().unwrap());
    match parts.next().unwrap() {
        "lib.rs" => "the top".to_owned(),
        first => first.trim_end_matches(".rs").to_owned(),
    }
}

/// The shortest circle through each folder that is in one.
fn circles(graph: &Graph) -> Vec<String> {
    let (mut reported, mut circles) = (BTreeSet::new(), Vec::new());
    for start in graph.keys() {
        if reported.contains(start) {
            continue;
        }
        if let Some(circle) = way_back(graph, start) {
            let edges = circle.windows(2).map(|pair| format!("    {}", graph[&pair[0]][&pair[1]]));
            let edges: Vec<_> = edges.collect();
            circles.push(format!("a circle, {}:\n{}", circle.join(" -> "), edges.join("\n")));
            reported.extend(circle);
        }
    }
    circles
}

fn way_back(graph: &Graph, start: &String) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.clone()]]);
    let mut reached = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in graph.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            let longer: Vec<_> = way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(longer);
            }
            if reached.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// The problems of a crate with these files, with paths from its `src`.
fn problems_of(files: &[(&str, &str)]) -> String {
    let temporary = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = temporary.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let src = format!("{}/", temporary.path().display());
    problems(temporary.path()).join("\n").replace(&src, "")
}

#[test]
fn a_circle_through_a_re_export_is_found() {
    let found = problems_of(&[
        ("lib.rs", "mod rules;\nmod table;\npub use rules::*;\npub use table::{Row, Table as Shelf};\n"),
        ("rules/mod.rs", "mod price;\npub use price::Price;\n"),
        ("rules/price.rs", "//! Prices.\nuse crate::Row;\n\npub struct Price(pub Row);\n"),
        ("table/mod.rs", "mod row;\nmod shelf;\npub use row::Row;\npub use shelf::Table;\n"),
        ("table/row.rs", "pub struct Row;\n"),
        ("table/shelf.rs", "pub struct Table;\n\nfn read() -> Option<crate::Price> { None }\n"),
    ]);
    let expected = "a circle, rules -> table -> rules:\n    \
        rules/price.rs:2: rules names `crate::Row`, defined in table/row.rs\n    \
        table/shelf.rs:3: table names `crate::Price`, defined in rules/price.rs";
    assert_eq!(found, expected);
}

#[test]
fn every_form_of_a_path_is_read() {
    let circle = |names: &str| {
        let names = format!("pub struct B;\n{names}\n");
        let found = problems_of(&[
            ("lib.rs", "mod a;\nmod b;\nmod middle;\npub(crate) use b::B;\n"),
            ("a.rs", "use crate::B;\npub(crate) struct A;\npub(crate) fn a(_: B) {}\n"),
            ("middle/mod.rs", "pub(crate) mod inner;\npub(crate) use super::a::*;\n"),
            ("middle/inner.rs", "//! Nothing.\n"),
            ("b/mod.rs", &names),
        ]);
        found.starts_with("a circle, a -> b -> a:\n")
    };
    for names in [
        "use crate::a;",
        "use crate::a::A as Other;",
        "use crate::{a::{self, A}};",
        "use super::a::A;",
        "use super::{B as C, a::A};",
        "use crate::middle::A;",
        "use crate::middle::*; const X: A = A;",
        "fn f() { crate::a::a(super::B) }",
        "fn f() { use crate::a::A; }",
        "mod inline { use super::super::a::A; }",
        "macro_rules! f { () => { $crate::a::a } }",
        "#[serde(with = \"crate::a\")] struct C;",
        "#[cfg(not(test))] use crate::a::A;",
    ] {
        assert!(circle(names), "{names}");
    }
    for names in [
        "",
        "// use crate::a::A;",
        "const TEXT: &str = \"use crate::a::A;\";",
        "#[cfg(test)] mod tests { use crate::a::A; }",
        "use crate::middle::inner;",
        "use crate::middle::*; const X: u8 = 1;",
        "use a::A;",
    ] {
        assert!(!circle(names), "{names}");
    }
}

#[test]
fn an_unknown_name_is_reported() {
    let found = problems_of(&[("lib.rs", "mod a;\n"), ("a.rs", "\nuse crate::missing::B;\n")]);
    assert_eq!(found, "a.rs:2: where `crate::missing::B` is defined was not found");
}
