//! The functions as Lambda runs them: `cargo lambda watch`, on an emulator of AWS that others have written.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::machine::Machine;
use crate::ministack::{Ministack, REGION, free_port};
use crate::process::{self, Log, Run, Running};
use crate::project::{Function, Project};
use crate::routes;
use crate::steps::Steps;
use crate::tools::{CARGO_LAMBDA, MINISTACK};

/// The functions as Lambda runs them: behind the runtime's API, on a DynamoDB that is not ours.
pub(crate) fn check(project: &Project, steps: &mut Steps) -> Result<()> {
    let program = steps.step("tools of lambda", || {
        MINISTACK.install(project)?;
        Ok(CARGO_LAMBDA.install(project)?.join("cargo-lambda"))
    })?;
    steps.step("cargo build --bin …, as cargo lambda watch does", || {
        let functions = project.functions()?;
        let binaries = functions.iter().flat_map(|function| ["--bin", function.name.as_str()]);
        process::run(project.cargo(["build"]).args(binaries))
    })?;
    let (world, watch) = steps.step("cargo lambda watch", || {
        let stack = Ministack::start(project)?;
        let queues = Queues {
            recharge: stack.queue("scrip-recharge")?,
            renewal: stack.queue("scrip-renewal")?,
            webhooks: stack.queue("scrip-webhooks")?,
            key: stack.key()?,
        };
        stack.bus(BUS, &queues.webhooks)?;
        let machine = Machine::start(project, ["--memory"], |scrip| environment(scrip, &stack, &queues))?;
        // The events are of 2024, and the emulator sweeps by the time of today.
        for table in [LEDGER, ACTIVITY] {
            stack.keep_all(table)?;
        }
        let watch = Watch::start(project, program, |watch| environment(watch, &stack, &queues))?;
        Ok((World { stack, queues, machine }, watch))
    })?;
    steps.step("cargo lambda invoke, every event file", || {
        watch.log.explain(events(project, &watch, &world))
    })?;
    steps.step("every route, through cargo lambda watch", || {
        watch.log.explain(routes::check(&watch.url, &world.machine))
    })?;
    steps.step("no key in the functions' logs, at TRACE", || no_secret(&watch.log.text()?))
}

/// What every secret of ours begins with.
const SECRETS: [&str; 4] = ["sk_live_", "sk_test_", "ok_live_", "whsec_"];

/// The functions have logged, and none of it is a secret: not the callers' keys, of which every event has one.
fn no_secret(log: &str) -> Result<()> {
    ensure!(log.contains("answered"), "the functions have logged nothing");
    let told = log.lines().find(|line| SECRETS.iter().any(|secret| line.contains(secret)));
    ensure!(told.is_none(), "a secret is in the log: {}", told.unwrap_or_default());
    Ok(())
}

/// What is around the functions.
struct World {
    stack: Ministack,
    queues: Queues,
    machine: Machine,
}

/// The queues' URLs, by the functions that they are for, and a key.
struct Queues {
    recharge: String,
    renewal: String,
    webhooks: String,
    /// The key that webhooks' secrets are encrypted with.
    key: String,
}

/// What Lambda sets for a function, and where DynamoDB and the queues are. Without a secret of Stripe's,
/// live keys buy nothing.
fn environment(command: Run, stack: &Ministack, queues: &Queues) -> Run {
    command
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", &stack.endpoint)
        .env("AWS_ENDPOINT_URL_SQS", &stack.endpoint)
        .env("RECHARGE_QUEUE_URL", &queues.recharge)
        .env("AWS_ENDPOINT_URL_EVENTBRIDGE", &stack.endpoint)
        .env("AWS_ENDPOINT_URL_KMS", &stack.endpoint)
        .env("RENEWAL_QUEUE_URL", &queues.renewal)
        .env("WEBHOOK_QUEUE_URL", &queues.webhooks)
        .env("WEBHOOK_KEY_ARN", &queues.key)
        .env("EVENT_BUS", BUS)
        .env("CURSOR_KEY", "a key that nobody else has, of 32 characters")
        .env("LEDGER_TABLE", LEDGER)
        .env("SETTINGS_TABLE", "scrip-settings")
        .env("ACTIVITY_TABLE", ACTIVITY)
}

/// How long a function may take; its first answer waits for cargo to find that all is built.
const PATIENCE: Duration = Duration::from_secs(600);
const LEDGER: &str = "scrip-ledger";
const ACTIVITY: &str = "scrip-activity";
const BUS: &str = "scrip-events";

/// `cargo lambda watch`: the runtime's API, and a router in front of the functions.
struct Watch {
    program: PathBuf,
    port: u16,
    url: String,
    log: Log,
    _running: Running,
}

impl Watch {
    fn start(project: &Project, program: PathBuf, environment: impl FnOnce(Run) -> Run) -> Result<Self> {
        let port = free_port()?;
        let watch = project.run(&program).args(["lambda", "watch", "--wait", "--ignore-changes", "--quiet"]);
        let watch = watch.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
        // As with the stack's `LogLevel: TRACE`.
        let watch =
            environment(watch).env("AWS_LAMBDA_LOG_LEVEL", "TRACE").env("AWS_LAMBDA_LOG_FORMAT", "JSON");
        let (log, watch) = Log::of(watch, project.tools().join("watch.log"))?;
        let mut running = watch.start()?;
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        log.explain(running.until(PATIENCE, listens))?;
        Ok(Self { program, port, url: format!("http://127.0.0.1:{port}"), log, _running: running })
    }

    /// What a function answers to an event.
    fn invoke(&self, project: &Project, function: &str, event: &Path) -> Result<Value> {
        let invoke = project.run(&self.program).args(["lambda", "invoke", "--output-format", "json"]);
        let invoke = invoke.args(["--invoke-address", "127.0.0.1", "--invoke-port", &self.port.to_string()]);
        let answer = process::output(invoke.args([function, "--data-file"]).args([event]), PATIENCE)?;
        serde_json::from_str(&answer).with_context(|| format!("{function} answered {answer}"))
    }
}

/// Each function is sent its event file.
fn events(project: &Project, watch: &Watch, world: &World) -> Result<()> {
    let (functions, sent, folder) = (project.functions()?, RefCell::default(), TempDir::new()?);
    let events = Events { project, watch, machine: &world.machine, functions, sent, folder };
    let balance = routed(&events)?;
    is_woken(world)?;
    for function in ["projector", "recharge", "renewal", "webhook-delivery"] {
        let answer = events.send(function)?;
        ensure!(answer == json!({ "batchItemFailures": [] }), "{function} answered {answer}");
    }
    is_projected(&world.stack)?;
    is_published(world)?;
    is_gone_through(&world.stack)?;
    let reconciled = events.send("reconcile")?;
    ensure!(reconciled.is_null(), "reconcile answered {reconciled}");
    let turn = balance.pointer("/data/nextRenewal").and_then(Value::as_str);
    begins_a_round(&events, world, turn.context("a balance that is never renewed")?)?;
    events.send_the_others()
}

/// Those of the functions behind the API; the balance before anything was spent.
fn routed(events: &Events<'_>) -> Result<Value> {
    let whole = [("/data/available", json!(400)), ("/data/usedCredits", json!(150))];
    let balance = expect(&events.send("balance")?, 200, &whole)?;
    let packages = [("/data/0/package", json!("starter")), ("/data/2/saving", json!(18.6))];
    expect(&events.send("catalogue")?, 200, &packages)?;
    let taken = [("/data/amount", json!(2)), ("/data/balance/available", json!(398))];
    let debit = expect(&events.send("consume")?, 201, &taken)?;
    let newest = [("/data/0/type", json!("DEBIT")), ("/data/0/resourceId", json!("verif_xyz789"))];
    expect(&events.send("transactions")?, 200, &newest)?;
    let held = [("/data/status", json!("held")), ("/data/amount", json!(2))];
    expect(&events.send("holds")?, 201, &held)?;
    let debit = debit.pointer("/data/transactionId").and_then(Value::as_str).unwrap_or_default();
    let refunded = [("/data/type", json!("CREDIT")), ("/data/refundOf", json!(debit))];
    expect(&events.send_for("refund", ("txn_REPLACE", debit))?, 201, &refunded)?;
    let opened = [("/data/plan", json!("professional")), ("/data/allowance", json!(400))];
    expect(&events.send("admin")?, 201, &opened)?;
    let bought = [("/data/status", json!("approved")), ("/data/credits", json!(500))];
    expect(&events.send("purchase")?, 201, &bought)?;
    // Nobody has signed it.
    let forged = [("/error/code", json!("VALIDATION_ERROR"))];
    places(&body(&events.send("payments")?, 400)?, &forged)?;
    let set = [("/data/enabled", json!(true)), ("/data/state/status", json!("ready"))];
    expect(&events.send("settings")?, 200, &set)?;
    let foreseen = [("/data/changed", json!(true)), ("/data/preview", json!(true))];
    let foreseen = expect(&events.send("subscription")?, 200, &foreseen)?;
    places(&foreseen, &[("/data/from", json!("professional")), ("/data/plan", json!("basic"))])?;
    let made = expect(&events.send("webhooks")?, 201, &[("/data/status", json!("ACTIVE"))])?;
    let secret = made.pointer("/data/secret").and_then(Value::as_str).unwrap_or_default();
    ensure!(secret.starts_with("whsec_"), "no secret: {made}");
    expect(&events.send("clock")?, 200, &[("/data/standsStill", json!(false))])?;
    Ok(balance)
}

/// The functions' event files, and where they are sent.
struct Events<'a> {
    project: &'a Project,
    watch: &'a Watch,
    machine: &'a Machine,
    functions: Vec<Function>,
    /// The functions that have been sent theirs.
    sent: RefCell<BTreeSet<String>>,
    folder: TempDir,
}

impl Events<'_> {
    /// Sends a function's file, with keys that are real; the function's answer.
    fn send(&self, function: &str) -> Result<Value> {
        self.send_for(function, ("", ""))
    }

    /// The same, with something in place of what stands in the file.
    fn send_for(&self, function: &str, (from, to): (&str, &str)) -> Result<Value> {
        let known = self.functions.iter().find(|known| known.name == function);
        let known = known.with_context(|| format!("there is no function {function}"))?;
        let event = self.project.root.join(&known.folder).join("event.json");
        self.sent.borrow_mut().insert(function.to_owned());
        let text = fs::read_to_string(&event).with_context(|| event.display().to_string())?;
        let text = if from.is_empty() { text } else { text.replace(from, to) };
        let text = text.replace("sk_live_REPLACE", &self.machine.api_key);
        let text = text.replace("sk_test_REPLACE", &self.machine.test_key);
        self.invoke(function, &text.replace("ok_live_REPLACE", &self.machine.operator_key))
    }

    /// Sends the event files that no check above has sent, for example that of a new function. Each has to succeed.
    fn send_the_others(&self) -> Result<()> {
        for Function { name, .. } in &self.functions {
            if !self.sent.borrow().contains(name) {
                let answer = self.send(name)?;
                ensure!(is_success(&answer), "{name} answered {answer}");
            }
        }
        Ok(())
    }

    fn invoke(&self, function: &str, event: &str) -> Result<Value> {
        let file = self.folder.path().join(function);
        fs::write(&file, event)?;
        let answer = self.watch.invoke(self.project, function, &file)?;
        println!("    {function}");
        Ok(answer)
    }
}

/// Whether an answer says that a call of the API, a batch of messages or a scheduled call succeeded.
fn is_success(answer: &Value) -> bool {
    match answer.get("statusCode").and_then(Value::as_u64) {
        Some(status) => (200..300).contains(&status),
        None => answer.is_null() || *answer == json!({ "batchItemFailures": [] }),
    }
}

/// A success as API Gateway gets it: its status, and what its body says at some places. The body.
fn expect(answer: &Value, status: u16, expected: &[(&str, Value)]) -> Result<Value> {
    let body = body(answer, status)?;
    ensure!(body.get("success") == Some(&json!(true)), "expected success: {body}");
    places(&body, expected)?;
    Ok(body)
}

fn body(answer: &Value, status: u16) -> Result<Value> {
    ensure!(answer.get("statusCode") == Some(&json!(status)), "expected {status}: {answer}");
    let body = answer.get("body").and_then(Value::as_str).context("an answer without a body")?;
    Ok(serde_json::from_str(body)?)
}

fn places(body: &Value, expected: &[(&str, Value)]) -> Result<()> {
    for (place, expected) in expected {
        ensure!(body.pointer(place) == Some(expected), "expected {expected} at {place}: {body}");
    }
    Ok(())
}

/// Auto-recharge, switched on, has named its account in the queue.
fn is_woken(World { stack, queues, .. }: &World) -> Result<()> {
    let wake = message(stack, &queues.recharge)?;
    ensure!(wake.starts_with(r#"{"account":"org_"#) && wake.ends_with(r#"#live"}"#), "no wake: {wake}");
    Ok(())
}

/// The scheduler's call on the first of a month sends for each part of the directory. The machine has gone
/// through the present month already, so the call is that of the `turn` to come.
fn begins_a_round(events: &Events<'_>, World { stack, queues, .. }: &World, turn: &str) -> Result<()> {
    let done = events.invoke("renewal", &json!({ "scheduledTime": turn }).to_string())?;
    ensure!(done.is_null(), "renewal answered {done}");
    let task = message(stack, &queues.renewal)?;
    let month = turn.get(..7).context("a time without a month")?;
    let expected = format!(r#"{{"do":"round","month":"{month}","shard":"#);
    ensure!(task.starts_with(&expected), "expected {expected}: {task}");
    Ok(())
}

/// What the next message of a queue says; nothing when there is none.
fn message(stack: &Ministack, queue: &str) -> Result<String> {
    let received = stack.call(("sqs", "AmazonSQS.ReceiveMessage"), json!({ "QueueUrl": queue }))?;
    let body = received.pointer("/Messages/0/Body").and_then(Value::as_str);
    Ok(body.unwrap_or_default().to_owned())
}

/// The projector has written the row of the entry that its event shows.
fn is_projected(stack: &Ministack) -> Result<()> {
    let row = item(stack, ("TXN#org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live#2024-01", "01HK153X00D5GH8R2M7T9V1WZB"))?;
    ensure!(row.pointer("/Item/seq/N") == Some(&json!("1")), "the projector wrote no row: {row}");
    Ok(())
}

/// The projector has published the event that its event shows, and the bus has put it where webhooks are delivered from.
fn is_published(World { stack, queues, .. }: &World) -> Result<()> {
    let message: Value = serde_json::from_str(&message(stack, &queues.webhooks)?).unwrap_or_default();
    let detail = message.get("detail").cloned().unwrap_or_default();
    for (place, expected) in [
        ("/organisationId", json!("org_01HKZNPZB0YQ3T5N1C8V6W2X4G")),
        ("/livemode", json!(true)),
        ("/event", json!("credits.low_balance")),
        ("/sequence", json!(5)),
        ("/data/currentBalance", json!(50)),
    ] {
        ensure!(detail.pointer(place) == Some(&expected), "expected {expected} at {place}: {message}");
    }
    Ok(())
}

/// Renewal has gone through the part of the directory that its event names.
fn is_gone_through(stack: &Ministack) -> Result<()> {
    let round = item(stack, ("ROUND#2024-02", "00"))?;
    ensure!(round.pointer("/Item/done/BOOL") == Some(&json!(true)), "the round stands still: {round}");
    Ok(())
}

/// What the ledger table answers for a key.
fn item(stack: &Ministack, (partition, sort): (&str, &str)) -> Result<Value> {
    let key = json!({ "pk": { "S": partition }, "sk": { "S": sort } });
    let wanted = json!({ "TableName": LEDGER, "Key": key });
    stack.call(("dynamodb", "DynamoDB_20120810.GetItem"), wanted)
}

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn successes_are_told_from_failures() {
        for success in [json!(null), json!({ "statusCode": 201 }), json!({ "batchItemFailures": [] })] {
            assert!(is_success(&success), "{success}");
        }
        let failed = json!({ "batchItemFailures": [{ "itemIdentifier": "1" }] });
        for failure in [failed, json!({ "statusCode": 400 }), json!({ "errorMessage": "crashed" })] {
            assert!(!is_success(&failure), "{failure}");
        }
    }
}
