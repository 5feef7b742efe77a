//! Checks what each function of the template may do and what its environment says.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::{Map, Value};

use crate::grant_tables::{RIGHTS, VARIABLES};

/// The only resource whose policy may contain `*`: in the policy of a key it is the key itself.
const KEY: &str = "WebhookKey";

/// The files of a bucket: the narrowest resource that S3 has for files whose names are not known beforehand.
const FILES: &str = "${ExportBucket.Arn}/*";

/// The partitions of a table that a function may write to: those with the days on which keys were last used, with the
/// requests that were taken of limits, of the audit log, of organisations, of API keys, with sessions, and with the addresses of
/// members.
const PARTITIONS: [&str; 7] = [
    ", keys USED#*",
    ", keys RATE#*",
    ", keys AUDIT#*",
    ", keys ORG#*",
    ", keys APIKEY#*",
    ", keys SIGNIN#*",
    ", keys MAIL#*",
];

/// Checks that no policy has a wildcard, and that roles and environments are those of the tables.
pub(crate) fn check(template: &Value) -> Result<()> {
    let resources = template.get("Resources").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, resource) in resources.iter().filter(|(name, _)| *name != KEY) {
        has_no_wildcard(name, resource)?;
    }
    same("rights", &rights(&resources), &expected_rights(&resources))?;
    let expected = VARIABLES.iter().map(|(function, name, value)| format!("{function}: {name}: {value}"));
    same("variables", &variables(template, &resources), &expected.collect())
}

/// Refuses wildcards, and policies that the tables would not show.
fn has_no_wildcard(name: &str, resource: &Value) -> Result<()> {
    let mut lines = Vec::new();
    collect(resource, "", &mut lines);
    for line in lines {
        // What is denied may be everything.
        let is_denied = line.starts_with("Deny ");
        let known = PARTITIONS.iter().fold(line.replace(FILES, ""), |line, keys| line.replace(keys, ""));
        ensure!(is_denied || !known.contains('*'), "{name}: no right is a wildcard: {line}");
    }
    let is_role = is(resource, "AWS::IAM::Role");
    let policies = resource.pointer("/Properties/Policies");
    ensure!(policies.is_none() || is_role, "{name}: rights belong to a role that is written out");
    let managed = resource.pointer("/Properties/ManagedPolicyArns");
    ensure!(managed.is_none(), "{name}: a managed policy names every resource");
    Ok(())
}

/// The lines `role: resource: action` of all roles.
fn rights(resources: &Map<String, Value>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, role) in resources.iter().filter(|(_, resource)| is(resource, "AWS::IAM::Role")) {
        let mut lines = Vec::new();
        collect(role.pointer("/Properties/Policies").unwrap_or(&Value::Null), "", &mut lines);
        let role = name.trim_end_matches("Role");
        found.extend(lines.into_iter().map(|line| format!("{role}: {line}")));
    }
    found
}

/// The same lines, as the table has them.
fn expected_rights(resources: &Map<String, Value>) -> BTreeSet<String> {
    let functions = resources.iter().filter(|(_, resource)| is(resource, "AWS::Serverless::Function"));
    let functions = functions.map(|(name, _)| name.trim_end_matches("Function"));
    let logs = functions.flat_map(|function| {
        ["CreateLogStream", "PutLogEvents"]
            .map(|action| format!("{function}: {function}Log.Arn: logs:{action}"))
    });
    let listed = RIGHTS.iter().flat_map(|(role, resource, actions)| {
        let (service, actions) = actions.split_once(": ").unwrap_or(("", actions));
        actions.split(' ').map(move |action| format!("{role}: {resource}: {service}:{action}"))
    });
    logs.chain(listed).collect()
}

/// Collects `resource: action` of every statement in a part of the template.
fn collect(part: &Value, condition: &str, lines: &mut Vec<String>) {
    if let Some([name, yes, no]) = part.get("Fn::If").and_then(Value::as_array).map(Vec::as_slice) {
        collect(yes, &format!(" if {}", shown(name)), lines);
        return collect(no, &format!(" unless {}", shown(name)), lines);
    }
    if let Some(actions) = part.get("Action") {
        let effect = part.get("Effect").and_then(Value::as_str).filter(|effect| *effect != "Allow");
        let effect = effect.map(|effect| format!("{effect} ")).unwrap_or_default();
        let keys = part.pointer("/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys");
        let keys = keys.into_iter().flat_map(each).map(|keys| format!(", keys {}", shown(keys)));
        let keys = keys.collect::<String>();
        for resource in part.get("Resource").into_iter().flat_map(each) {
            let action =
                |action: &Value| format!("{effect}{}{keys}{condition}: {}", shown(resource), shown(action));
            lines.extend(each(actions).map(action));
        }
        return;
    }
    match part {
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, condition, lines)),
        Value::Object(parts) => parts.values().for_each(|part| collect(part, condition, lines)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// The lines `function: name: value` of all environments.
fn variables(template: &Value, resources: &Map<String, Value>) -> BTreeSet<String> {
    let globals = template.pointer("/Globals/Function/Environment/Variables");
    let functions = resources.iter().filter(|(_, resource)| is(resource, "AWS::Serverless::Function"));
    let own = functions.filter_map(|(name, function)| {
        let variables = function.pointer("/Properties/Environment/Variables")?;
        Some((name.trim_end_matches("Function"), variables))
    });
    let all = globals.map(|variables| ("every function", variables)).into_iter().chain(own);
    let entries = all.flat_map(|(function, variables)| {
        let entries = variables.as_object().into_iter().flatten();
        entries.map(move |(name, value)| format!("{function}: {name}: {}", shown(value)))
    });
    entries.collect()
}

/// A value of the template in words: the resource that `!Ref` names, the attribute that `!GetAtt` names, a value under its
/// condition, or a text.
fn shown(value: &Value) -> String {
    let of = |name: &str| value.get(name);
    if let Some(text) = value.as_str().or_else(|| of("Ref")?.as_str()).or_else(|| of("Fn::Sub")?.as_str()) {
        return text.to_owned();
    }
    if let Some(place) = of("Fn::GetAtt") {
        return each(place).map(shown).collect::<Vec<_>>().join(".");
    }
    match of("Fn::If").and_then(Value::as_array).map(Vec::as_slice) {
        Some([name, yes, no]) if shown(no) == "AWS::NoValue" => format!("{} if {}", shown(yes), shown(name)),
        Some([name, yes, no]) if shown(yes) == "AWS::NoValue" => {
            format!("{} unless {}", shown(no), shown(name))
        }
        Some(_) | None => value.to_string(),
    }
}

/// The elements of a list; a single value counts as a list of one.
fn each(one_or_many: &Value) -> impl Iterator<Item = &Value> {
    one_or_many.as_array().map_or(std::slice::from_ref(one_or_many), Vec::as_slice).iter()
}

fn is(resource: &Value, kind: &str) -> bool {
    resource.get("Type").and_then(Value::as_str) == Some(kind)
}

/// # Errors
/// When the template differs from the tables; names each line that does.
fn same(what: &str, found: &BTreeSet<String>, expected: &BTreeSet<String>) -> Result<()> {
    let missing = expected.difference(found).map(|line| format!("missing: {line}"));
    let unknown = found.difference(expected).map(|line| format!("not in the table: {line}"));
    let differences: Vec<_> = missing.chain(unknown).collect();
    let differences = differences.join("\n  ");
    ensure!(
        differences.is_empty(),
        "the {what} of template.yaml differ from infra/xtask/src/grant_tables.rs:\n  {differences}"
    );
    Ok(())
}

#[cfg(test)]
mod checks {
    use serde_json::json;

    use super::*;

    /// The lines of one statement, and whether the role of such a statement passes.
    fn line(statement: &Value) -> (Vec<String>, bool) {
        let policies = json!([{ "PolicyDocument": { "Statement": [statement] } }]);
        let mut lines = Vec::new();
        collect(&policies, "", &mut lines);
        let role = json!({ "Type": "AWS::IAM::Role", "Properties": { "Policies": policies } });
        (lines, has_no_wildcard("Role", &role).is_ok())
    }

    #[test]
    fn a_statement_is_listed_by_resource_and_action() {
        let table = json!({ "Fn::GetAtt": ["Table", "Arn"] });
        let some = |action: &Value, resource: &Value| json!({ "Effect": "Allow", "Action": action, "Resource": resource });
        let never = json!({ "Ref": "AWS::NoValue" });
        for (statement, expected, passes) in [
            (some(&json!("s:Get"), &table), "Table.Arn: s:Get", true),
            (
                some(&json!(["s:Get", "s:Put"]), &json!([table, { "Ref": "X" }])),
                "Table.Arn: s:Get, Table.Arn: s:Put, X: s:Get, X: s:Put",
                true,
            ),
            (
                json!({ "Fn::If": ["Some", some(&json!("s:Get"), &table), never] }),
                "Table.Arn if Some: s:Get",
                true,
            ),
            (
                json!({ "Fn::If": ["Some", never, some(&json!("s:Get"), &table)] }),
                "Table.Arn unless Some: s:Get",
                true,
            ),
            (json!({ "Effect": "Deny", "Action": "s:Get", "Resource": "a" }), "Deny a: s:Get", true),
            (json!({ "Effect": "Deny", "Action": "s:*", "Resource": "*" }), "Deny *: s:*", true),
            (some(&json!("s:Get"), &json!({ "Fn::Sub": FILES })), "${ExportBucket.Arn}/*: s:Get", true),
            (some(&json!("s:*"), &json!({ "Fn::Sub": FILES })), "${ExportBucket.Arn}/*: s:*", false),
            (some(&json!("s:*"), &table), "Table.Arn: s:*", false),
            (some(&json!("s:Get"), &json!("*")), "*: s:Get", false),
            (some(&json!("s:Get"), &json!({ "Fn::Sub": "arn:${X}/*" })), "arn:${X}/*: s:Get", false),
        ] {
            let (lines, passed) = line(&statement);
            assert_eq!((lines.join(", ").as_str(), passed), (expected, passes));
        }
    }

    #[test]
    fn policies_outside_of_roles_are_refused() {
        for properties in [json!({ "Policies": ["A"] }), json!({ "ManagedPolicyArns": ["A"] })] {
            let function = json!({ "Type": "AWS::Serverless::Function", "Properties": properties });
            assert!(has_no_wildcard("Function", &function).is_err(), "{function}");
        }
    }

    #[test]
    fn values_are_shown_by_what_they_name() {
        for (value, expected) in [
            (json!("text"), "text"),
            (json!({ "Ref": "Queue" }), "Queue"),
            (json!({ "Fn::GetAtt": ["Key", "Arn"] }), "Key.Arn"),
            (json!({ "Fn::If": ["Some", { "Ref": "A" }, { "Ref": "AWS::NoValue" }] }), "A if Some"),
            (json!({ "Fn::If": ["Some", { "Ref": "AWS::NoValue" }, { "Ref": "A" }] }), "A unless Some"),
        ] {
            assert_eq!(shown(&value), expected);
        }
    }

    #[test]
    fn every_difference_is_named() {
        let set = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<BTreeSet<_>>();
        assert!(same("rights", &set(&["a"]), &set(&["a"])).is_ok());
        let error = same("rights", &set(&["a", "b"]), &set(&["b", "c"])).unwrap_err().to_string();
        assert!(error.contains("missing: c") && error.contains("not in the table: a"), "{error}");
    }
}
