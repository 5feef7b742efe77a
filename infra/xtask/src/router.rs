//! Reads the routes from the functions' fragments and writes the router of `cargo lambda watch`. Whether the functions serve
//! these routes is checked by tests/contract/openapi.rs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Context, Result, bail, ensure};

use crate::stack::Fragment;

/// Where the router begins in Cargo.toml. It ends at an empty line.
const TABLE: &str = "[workspace.metadata.lambda.watch.router]\n";

/// Functions by path and method.
pub(crate) type Routes<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// The routes of all functions.
///
/// # Errors
/// When a fragment does not define its own function, or two define the same route.
pub(crate) fn routes(fragments: &[Fragment]) -> Result<Routes<'_>> {
    let mut routes = Routes::new();
    for fragment in fragments {
        let Some(function) = &fragment.function else {
            let stray = count(fragment, "Type: AWS::Serverless::Function") > 0;
            ensure!(!stray, "{} defines a function; it belongs in that function's folder", fragment.path);
            continue;
        };
        defines(fragment, function)?;
        let mut found: usize = 0;
        for line in content(fragment) {
            if let (Some(method), Some(path)) = (value(line, "Method: "), value(line, "Path: ")) {
                found = found.saturating_add(1);
                match routes.entry(path).or_default().entry(method) {
                    Entry::Vacant(place) => {
                        place.insert(function.as_str());
                    }
                    Entry::Occupied(other) => {
                        bail!("{method} {path} leads to two functions: {} and {function}", other.get())
                    }
                }
            }
        }
        ensure!(
            found == count(fragment, "Type: HttpApi"),
            "{} has a route whose method and path are not in one line: Properties: {{ ApiId: !Ref Api, Method: …, Path: … }}",
            fragment.path
        );
    }
    Ok(routes)
}

/// A function's fragment defines that function and no other one.
fn defines(fragment: &Fragment, function: &str) -> Result<()> {
    let functions = count(fragment, "Type: AWS::Serverless::Function");
    ensure!(functions == 1, "{} defines {functions} functions instead of one", fragment.path);
    let folder = fragment.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for (name, expected) in [("Binary: ", function), ("CodeUri: ", folder)] {
        let found = content(fragment).find_map(|line| value(line, name));
        ensure!(found == Some(expected), "{} has to have {name}{expected}; it has {found:?}", fragment.path);
    }
    Ok(())
}

/// The lines of a fragment that are no comments.
fn content(fragment: &Fragment) -> impl Iterator<Item = &str> {
    fragment.text.lines().filter(|line| !line.trim_start().starts_with('#'))
}

/// How many lines are exactly this.
fn count(fragment: &Fragment, words: &str) -> usize {
    content(fragment).filter(|line| line.trim() == words).count()
}

/// What follows a name in a line of YAML.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = line.split_once(name)?;
    match after.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => after.split([',', ' ']).next(),
    }
}

/// Cargo.toml with these routes in its router.
pub(crate) fn put_into(manifest: &str, routes: &Routes<'_>) -> Result<String> {
    let name = TABLE.trim_end();
    let (before, after) = manifest.split_once(TABLE).with_context(|| format!("Cargo.toml has no {name}"))?;
    let rest = after.split_once("\n\n").map_or("", |(_, rest)| rest);
    let router: String = routes.iter().map(|(path, methods)| entry(path, methods)).collect();
    let space = if rest.is_empty() { "" } else { "\n" };
    Ok(format!("{before}{TABLE}{router}{space}{rest}"))
}

/// One path of the router.
fn entry(path: &str, methods: &BTreeMap<&str, &str>) -> String {
    let one =
        |(method, function): (&&str, &&str)| format!("{{ method = {method:?}, function = {function:?} }}");
    let methods: Vec<String> = methods.iter().map(one).collect();
    match methods.as_slice() {
        [only] => format!("{path:?} = [{only}]\n"),
        several => format!("{path:?} = [\n    {},\n]\n", several.join(",\n    ")),
    }
}

#[cfg(test)]
mod checks {
    use super::*;

    /// The fragment of a function with these routes.
    fn function(name: &str, routes: &[&str]) -> Fragment {
        let mut text = format!(
            "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Metadata: {{ BuildProperties: {{ Binary: {name} }} }}\n    \
             Properties:\n      CodeUri: functions/{name}\n      Events:\n"
        );
        for route in routes {
            text +=
                &format!("          Type: HttpApi\n          Properties: {{ ApiId: !Ref Api, {route} }}\n");
        }
        let path = format!("functions/{name}/function.yaml");
        Fragment { path, text, function: Some(name.to_owned()) }
    }

    fn refused(fragments: &[Fragment]) -> String {
        routes(fragments).unwrap_err().to_string()
    }

    #[test]
    fn the_router_has_the_routes_of_the_fragments() {
        let fragments = [
            function("admin", &["Method: POST, Path: /a", r#"Method: DELETE, Path: "/a/{id}""#]),
            function("balance", &["Method: GET, Path: /a"]),
        ];
        let manifest = "[workspace]\n\n# Routes.\n[workspace.metadata.lambda.watch.router]\n\"/old\" = []\n\n[lints]\na = 1\n";
        let routes = routes(&fragments).unwrap();
        let written = put_into(manifest, &routes).unwrap();
        let router = concat!(
            "\"/a\" = [\n",
            "    { method = \"GET\", function = \"balance\" },\n",
            "    { method = \"POST\", function = \"admin\" },\n",
            "]\n",
            "\"/a/{id}\" = [{ method = \"DELETE\", function = \"admin\" }]\n",
        );
        assert_eq!(written, manifest.replace("\"/old\" = []\n", router));
        assert_eq!(put_into(&written, &routes).unwrap(), written);
        let last = "[workspace.metadata.lambda.watch.router]\n";
        assert_eq!(put_into(last, &routes).unwrap(), format!("{last}{router}"));
        assert!(put_into("[workspace]\n", &routes).is_err());
    }

    #[test]
    fn a_route_of_two_functions_is_refused() {
        let route = "Method: GET, Path: /a";
        let words = refused(&[function("admin", &[route]), function("balance", &[route])]);
        assert_eq!(words, "GET /a leads to two functions: admin and balance");
    }

    #[test]
    fn a_route_that_is_not_seen_is_refused() {
        let hidden = function("admin", &["Method: GET,\n            Path: /a"]);
        let words = refused(&[hidden]);
        assert!(words.starts_with("functions/admin/function.yaml has a route whose"), "{words}");
    }

    #[test]
    fn a_fragment_defines_its_own_function() {
        let mut copied = function("balance", &[]);
        copied.path = "functions/admin/function.yaml".into();
        copied.function = Some("admin".into());
        assert!(refused(&[copied]).contains("has to have Binary: admin; it has Some(\"balance\")"));
        let mut elsewhere = function("admin", &[]);
        elsewhere.text = elsewhere.text.replace("CodeUri: functions/admin", "CodeUri: functions/other");
        assert!(refused(&[elsewhere]).contains("has to have CodeUri: functions/admin"));
        let mut none = function("admin", &[]);
        none.text = "Resources:\n  A:\n    Type: AWS::Logs::LogGroup\n".into();
        assert!(refused(&[none]).contains("defines 0 functions instead of one"));
        let shared = Fragment { function: None, ..function("admin", &[]) };
        assert!(refused(&[shared]).contains("belongs in that function's folder"));
    }
}
