use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::lambda::FUNCTIONS;
use crate::project::Project;

/// Functions by route, `GET /path`.
type Routes = BTreeMap<String, String>;

/// template.yaml and the router of `cargo lambda watch` in Cargo.toml lead the same routes to the same
/// functions. That the functions serve them is a test's business (tests/openapi.rs). Every crate of
/// functions/ is deployed and tried, with an event of its own.
pub(crate) fn check(project: &Project) -> Result<()> {
    let template = fs::read_to_string(project.root.join("template.yaml"))?;
    let built = built(project);
    for (place, found) in [
        ("template.yaml", template.lines().filter_map(|line| value(line, "Binary: ")).collect()),
        ("infra/xtask/src/lambda.rs", BTreeSet::from(FUNCTIONS)),
        ("tests/events", events(project)?.iter().map(String::as_str).collect()),
    ] {
        ensure!(found == built, "{place} has {found:?}; functions/ has {built:?}");
    }
    let deployed = deployed(&template);
    let mapped = mapped(&project.metadata);
    ensure!(
        !deployed.is_empty() && deployed == mapped,
        "template.yaml and [workspace.metadata.lambda.watch.router] in Cargo.toml differ: {deployed:#?} {mapped:#?}"
    );
    Ok(())
}

/// The crates of functions/, each of which is a binary of its name.
fn built(project: &Project) -> BTreeSet<&str> {
    let packages = project.metadata.get("packages").and_then(Value::as_array);
    let functions = packages.into_iter().flatten().filter(|package| {
        let manifest = package.get("manifest_path").and_then(Value::as_str);
        manifest.is_some_and(|path| Path::new(path).starts_with(project.root.join("functions")))
    });
    functions.filter_map(|package| package.get("name").and_then(Value::as_str)).collect()
}

/// The functions that tests/events has an event for.
fn events(project: &Project) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for file in fs::read_dir(project.root.join("tests/events"))? {
        names.extend(file?.path().file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    Ok(names)
}

/// The routes of the template. Its house style has an event's method and path on one line, below the
/// name of the function's binary.
fn deployed(template: &str) -> Routes {
    let mut function = "";
    let mut routes = Routes::new();
    for line in template.lines() {
        function = value(line, "Binary: ").unwrap_or(function);
        if let (Some(method), Some(path)) = (value(line, "Method: "), value(line, "Path: ")) {
            routes.insert(format!("{method} {path}"), function.to_owned());
        }
    }
    routes
}

/// What follows a name in a line of YAML.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = line.split_once(name)?;
    match after.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => after.split([',', ' ']).next(),
    }
}

fn mapped(metadata: &Value) -> Routes {
    let router = metadata.pointer("/metadata/lambda/watch/router").and_then(Value::as_object);
    let one = |(path, methods): (&String, &Value)| {
        let text = |method: &Value, name| method.get(name).and_then(Value::as_str).map(str::to_owned);
        let route =
            |method: &Value| Some((format!("{} {path}", text(method, "method")?), text(method, "function")?));
        methods.as_array().into_iter().flatten().filter_map(route).collect::<Vec<_>>()
    };
    router.into_iter().flatten().flat_map(one).collect()
}

#[cfg(test)]
mod checks {
    use super::deployed;

    #[test]
    fn routes_are_found_in_a_template() {
        let template = r#"
            Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: admin } }
                Properties: { ApiId: !Ref Api, Method: POST, Path: /admin/v1/organisations }
                Properties: { ApiId: !Ref Api, Method: DELETE, Path: "/admin/v1/organisations/{id}" }
            Metadata: { BuildMethod: rust-cargolambda, BuildProperties: { Binary: balance } }
                Properties: { ApiId: !Ref Api, Method: GET, Path: /api/v3/credits/balance }
        "#;
        let routes: Vec<_> =
            deployed(template).into_iter().map(|(route, function)| route + " " + &function).collect();
        assert_eq!(
            routes,
            [
                "DELETE /admin/v1/organisations/{id} admin",
                "GET /api/v3/credits/balance balance",
                "POST /admin/v1/organisations admin"
            ]
        );
    }
}
