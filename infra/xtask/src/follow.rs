//! Runs `scrip follow`, the operator's command, on the emulator's tables, queues and event bus.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::HttpCall;
use crate::machine::ScripProcess;
use crate::ministack::Ministack;
use crate::process::{self, Run};

/// How long the command may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Checks that the command requests delivery to a webhook that has not had all events: nothing answers at its address.
/// `scrip` is the command with the environment of a deployment, and `queue` the URL of its webhook queue.
pub(crate) fn check(machine: &ScripProcess, stack: &Ministack, queue: &str, scrip: Run) -> Result<()> {
    let operator = |path: &str, body: &Value| post(machine, &machine.operator_key, path, body);
    let body = json!({ "name": "Stratus Reports", "plan": "professional" });
    let opened = operator("/admin/v1/organisations", &body)?;
    let id = text(&opened, "/data/organisationId")?;
    let organisation = format!("/admin/v1/organisations/{id}");
    let body = json!({ "mode": "live", "scopes": ["settings:write"] });
    let issued = operator(&format!("{organisation}/keys"), &body)?;
    let webhook = json!({ "url": "https://hooks.example.com/scrip", "events": ["credits.granted"] });
    post(machine, text(&issued, "/data/key")?, "/api/v3/webhooks", &webhook)?;
    operator(&format!("{organisation}/grants"), &json!({ "source": "bonus", "amount": 25 }))?;
    operator("/_local/settle", &json!({}))?;

    let printed = process::output(scrip.args(["follow"]), PATIENCE)?;
    print!("{printed}");
    let request = json!({ "account": format!("{id}#live") }).to_string();
    while let Some(body) = take(stack, queue)? {
        if body == request {
            return Ok(());
        }
    }
    anyhow::bail!("scrip follow has not sent {request} to the webhook queue")
}

fn post(machine: &ScripProcess, key: &str, path: &str, body: &Value) -> Result<Value> {
    let url = format!("{}{path}", machine.base_url);
    let headers =
        vec![("Authorization", format!("Bearer {key}")), ("Idempotency-Key", format!("follow{path}"))];
    let answer = HttpCall { method: "POST", url, headers, body: Some(body.clone()) }.send()?;
    ensure!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.body);
    Ok(answer.body)
}

fn text<'a>(body: &'a Value, place: &str) -> Result<&'a str> {
    body.pointer(place).and_then(Value::as_str).with_context(|| format!("no {place}: {body}"))
}

/// Takes the next message of a queue, and returns its body; none if there is none.
fn take(stack: &Ministack, queue: &str) -> Result<Option<String>> {
    let received = stack.call("sqs", "AmazonSQS.ReceiveMessage", json!({ "QueueUrl": queue }))?;
    Ok(received.pointer("/Messages/0/Body").and_then(Value::as_str).map(str::to_owned))
}
