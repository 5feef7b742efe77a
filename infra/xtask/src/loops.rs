//! Checks which functions of the template may call themselves through their queues.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::Value;

/// Checks that exactly those functions have `RecursiveLoop: Allow` whose role lets them send to a queue that leads back to
/// them, directly or through other functions. Without it Lambda stops a function that has called itself some sixteen times
/// in a row.
pub(crate) fn check(template: &Value) -> Result<()> {
    let functions = functions(template);
    ensure!(!functions.is_empty(), "template.yaml has no function");
    let looping: BTreeSet<_> =
        functions.keys().copied().filter(|name| comes_back(&functions, name)).collect();
    let allowed: BTreeSet<_> =
        functions.iter().filter(|(_, function)| function.allowed).map(|(name, _)| *name).collect();
    ensure!(
        looping == allowed,
        "the functions that may send to a queue that leads back to them need `RecursiveLoop: Allow`, and no others: \
         {looping:?}; it is set for {allowed:?}"
    );
    Ok(())
}

/// A function of the template: its block and its role.
struct TemplateFunction<'a> {
    allowed: bool,
    /// The queues that call it.
    called_by: BTreeSet<&'a str>,
    /// The queues that it may send to; `*` is every queue.
    sends_to: BTreeSet<&'a str>,
}

impl TemplateFunction<'_> {
    fn calls(&self, other: &TemplateFunction<'_>) -> bool {
        let any = self.sends_to.contains("*") && !other.called_by.is_empty();
        any || self.sends_to.intersection(&other.called_by).next().is_some()
    }
}

/// Whether a message of a function may lead to a call of the same function.
fn comes_back(functions: &BTreeMap<&str, TemplateFunction<'_>>, start: &str) -> bool {
    let mut found = BTreeSet::new();
    let mut open: Vec<&TemplateFunction<'_>> = functions.get(start).into_iter().collect();
    while let Some(function) = open.pop() {
        for (name, called) in functions.iter().filter(|(_, other)| function.calls(other)) {
            if found.insert(*name) {
                open.push(called);
            }
        }
    }
    found.contains(start)
}

fn functions(template: &Value) -> BTreeMap<&str, TemplateFunction<'_>> {
    let resources = template.get("Resources").and_then(Value::as_object).into_iter().flatten();
    let functions = resources.filter(|(_, resource)| is(resource, "Type", "AWS::Serverless::Function"));
    functions
        .map(|(name, resource)| {
            let of = |place| resource.pointer(place).unwrap_or(&Value::Null);
            let role = named(of("/Properties/Role"))
                .and_then(|role| template.pointer(&format!("/Resources/{role}")));
            let mut sends_to = BTreeSet::new();
            granted(role.unwrap_or(&Value::Null), &mut sends_to);
            let events = of("/Properties/Events").as_object().into_iter().flatten();
            let queues = events.filter(|(_, event)| is(event, "Type", "SQS"));
            let called_by =
                queues.filter_map(|(_, event)| named(event.pointer("/Properties/Queue")?)).collect();
            let allowed = is(of("/Properties"), "RecursiveLoop", "Allow");
            (name.as_str(), TemplateFunction { allowed, called_by, sends_to })
        })
        .collect()
}

/// Collects the queues that a role may send to, from all parts of its policies.
fn granted<'a>(part: &'a Value, queues: &mut BTreeSet<&'a str>) {
    if let Some(actions) = part.get("Action").filter(|_| is(part, "Effect", "Allow"))
        && each(actions)
            .filter_map(Value::as_str)
            .any(|action| ["sqs:SendMessage", "sqs:*", "*"].contains(&action))
    {
        queues.extend(part.get("Resource").into_iter().flat_map(each).filter_map(named));
    }
    match part {
        Value::Array(parts) => parts.iter().for_each(|part| granted(part, queues)),
        Value::Object(parts) => parts.values().for_each(|part| granted(part, queues)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// The elements of a list; a single value counts as a list of one.
fn each(one_or_many: &Value) -> impl Iterator<Item = &Value> {
    one_or_many.as_array().map_or(std::slice::from_ref(one_or_many), Vec::as_slice).iter()
}

/// The resource that `!GetAtt` names; a plain text is returned as it is.
fn named(value: &Value) -> Option<&str> {
    let attribute = value.get("Fn::GetAtt").unwrap_or(value);
    let name = attribute.get(0).unwrap_or(attribute).as_str()?;
    name.split('.').next()
}

fn is(value: &Value, name: &str, text: &str) -> bool {
    value.get(name).and_then(Value::as_str) == Some(text)
}

#[cfg(test)]
mod checks {
    use serde_json::{Value, json};

    use super::check;

    /// A template of functions: each with its name, the queue that calls it, the queue that it may send to, and its
    /// `RecursiveLoop`.
    fn template(functions: &[(&str, &str, &str, Option<&str>)]) -> Value {
        let mut resources = serde_json::Map::new();
        for (name, called_by, sends_to, recursive) in functions {
            let arn = |of: &str| json!({ "Fn::GetAtt": [of, "Arn"] });
            let mut properties = json!({ "Role": arn(&format!("{name}Role")), "Events": {
                "Work": { "Type": "SQS", "Properties": { "Queue": arn(called_by) } },
            } });
            if let Some(recursive) = recursive {
                properties["RecursiveLoop"] = json!(recursive);
            }
            let function = json!({ "Type": "AWS::Serverless::Function", "Properties": properties });
            resources.insert((*name).to_owned(), function);
            let receive =
                json!({ "Effect": "Allow", "Action": "sqs:ReceiveMessage", "Resource": arn(called_by) });
            let send = json!({ "Fn::If": ["Some", {
                "Effect": "Allow", "Action": ["sqs:GetQueueAttributes", "sqs:SendMessage"], "Resource": [arn(sends_to)],
            }, { "Ref": "AWS::NoValue" }] });
            let role = json!({ "Properties": { "Policies": [{ "PolicyDocument": { "Statement": [receive, send] } }] } });
            resources.insert(format!("{name}Role"), role);
        }
        json!({ "Resources": resources })
    }

    #[test]
    fn only_a_function_that_may_call_itself_has_to_allow_it() {
        assert!(check(&template(&[("A", "a", "b", None)])).is_ok());
        assert!(check(&template(&[("A", "a", "b", Some("Allow"))])).is_err());
        assert!(check(&template(&[("A", "a", "a", None)])).is_err());
        assert!(check(&template(&[("A", "a", "a", Some("Terminate"))])).is_err());
        assert!(check(&template(&[("A", "a", "a", Some("Allow"))])).is_ok());
        let around = |allow| [("A", "a", "b", allow), ("B", "b", "c", allow), ("C", "c", "a", allow)];
        assert!(check(&template(&around(None))).is_err());
        assert!(check(&template(&around(Some("Allow")))).is_ok());
        assert!(check(&json!({ "Resources": {} })).is_err());
    }
}
