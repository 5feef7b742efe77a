//! `cargo xtask lambda`: runs the functions as Lambda does, with `cargo lambda watch`, on an emulator of AWS.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::follow;
use crate::machine::ScripProcess;
use crate::ministack::{Ministack, REGION, free_port};
use crate::process::{self, ProcessLog, Run, Running};
use crate::project::{LambdaFunction, Project};
use crate::routes;
use crate::steps::Steps;
use crate::tools::{CARGO_LAMBDA, MINISTACK};

/// Sends every event file and calls every route, with the functions behind Lambda's runtime API and on the emulator's
/// DynamoDB.
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
    let (surroundings, watch) = steps.step("cargo lambda watch", || {
        let stack = Ministack::start(project)?;
        let queues = QueueUrls {
            recharge: stack.queue("scrip-recharge")?,
            renewal: stack.queue("scrip-renewal")?,
            webhooks: stack.queue("scrip-webhooks")?,
            exports: stack.queue("scrip-export")?,
            key: stack.key()?,
        };
        stack.bus(BUS, &queues.webhooks)?;
        stack.bucket(BUCKET)?;
        let machine =
            ScripProcess::start(project, ["--memory"], |scrip| environment(scrip, &stack, &queues))?;
        // The event files are of 2024, and the emulator deletes items that have expired since.
        for table in [LEDGER, ACTIVITY] {
            stack.keep_all(table)?;
        }
        let watch = LambdaWatch::start(project, program, |watch| environment(watch, &stack, &queues))?;
        Ok((Surroundings { stack, queues, machine }, watch))
    })?;
    steps.step("cargo lambda invoke, every event file", || {
        watch.log.explain(events(project, &watch, &surroundings))
    })?;
    steps.step("every route, through cargo lambda watch", || {
        watch.log.explain(routes::check(project, &watch.url, &surroundings.machine))
    })?;
    let Surroundings { stack, queues, machine } = &surroundings;
    steps.step("scrip follow, with a webhook that has not had all events", || {
        let scrip = environment(project.run(project.built("scrip")?), stack, queues);
        follow::check(machine, stack, &queues.webhooks, scrip)
    })?;
    steps.step("no key in the functions' logs, at TRACE", || no_secret(&watch.log.text()?))
}

/// The prefixes of all secrets.
const SECRETS: [&str; 4] = ["sk_live_", "sk_test_", "ok_live_", "whsec_"];

/// Checks that the functions have logged, and that the log has no secret, such as the API key that every event has.
fn no_secret(log: &str) -> Result<()> {
    ensure!(log.contains("answered"), "the functions have logged nothing");
    let line = log.lines().find(|line| SECRETS.iter().any(|secret| line.contains(secret)));
    ensure!(line.is_none(), "a secret is in the log: {}", line.unwrap_or_default());
    Ok(())
}

/// The services around the functions: the emulator, its queues, and the machine that has filled the tables.
struct Surroundings {
    stack: Ministack,
    queues: QueueUrls,
    machine: ScripProcess,
}

/// The URLs of the queues, by the function that they start, and the ARN of a key.
struct QueueUrls {
    recharge: String,
    renewal: String,
    webhooks: String,
    exports: String,
    /// The key that encrypts webhooks' secrets.
    key: String,
}

/// The environment of a function, as in the template, with the emulator's endpoints. Without a secret of Stripe, live keys
/// buy nothing.
fn environment(command: Run, stack: &Ministack, queues: &QueueUrls) -> Run {
    command
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", &stack.endpoint)
        .env("AWS_ENDPOINT_URL_SQS", &stack.endpoint)
        .env("AWS_ENDPOINT_URL_S3", &stack.endpoint)
        .env("EXPORT_BUCKET", BUCKET)
        .env("EXPORT_QUEUE_URL", &queues.exports)
        .env("RECHARGE_QUEUE_URL", &queues.recharge)
        .env("AWS_ENDPOINT_URL_EVENTBRIDGE", &stack.endpoint)
        .env("AWS_ENDPOINT_URL_KMS", &stack.endpoint)
        .env("RENEWAL_QUEUE_URL", &queues.renewal)
        .env("WEBHOOK_QUEUE_URL", &queues.webhooks)
        .env("WEBHOOK_KEY_ARN", &queues.key)
        .env("EVENT_BUS", BUS)
        .env("CURSOR_KEY", "a key of at least thirty-two characters")
        .env("LEDGER_TABLE", LEDGER)
        .env("SETTINGS_TABLE", "scrip-settings")
        .env("ACTIVITY_TABLE", ACTIVITY)
}

/// How long a function may take. Its first answer waits until cargo has found that everything is built.
const PATIENCE: Duration = Duration::from_secs(600);
const LEDGER: &str = "scrip-ledger";
const ACTIVITY: &str = "scrip-activity";
const BUS: &str = "scrip-events";
const BUCKET: &str = "scrip-exports";

/// `cargo lambda watch`: the runtime's API, and a router in front of the functions.
struct LambdaWatch {
    program: PathBuf,
    port: u16,
    url: String,
    log: ProcessLog,
    _running: Running,
}

impl LambdaWatch {
    fn start(project: &Project, program: PathBuf, environment: impl FnOnce(Run) -> Run) -> Result<Self> {
        let port = free_port()?;
        let watch = project.run(&program).args(["lambda", "watch", "--wait", "--ignore-changes", "--quiet"]);
        let watch = watch.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
        // The same as the stack's `LogLevel: TRACE`.
        let watch =
            environment(watch).env("AWS_LAMBDA_LOG_LEVEL", "TRACE").env("AWS_LAMBDA_LOG_FORMAT", "JSON");
        let (log, watch) = ProcessLog::of(watch, project.tools().join("watch.log"))?;
        let mut running = watch.start()?;
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        log.explain(running.until(PATIENCE, listens))?;
        Ok(Self { program, port, url: format!("http://127.0.0.1:{port}"), log, _running: running })
    }

    /// Sends an event to a function, and returns its answer.
    fn invoke(&self, project: &Project, function: &str, event: &Path) -> Result<Value> {
        let invoke = project.run(&self.program).args(["lambda", "invoke", "--output-format", "json"]);
        let invoke = invoke.args(["--invoke-address", "127.0.0.1", "--invoke-port", &self.port.to_string()]);
        let answer = process::output(invoke.args([function, "--data-file"]).args([event]), PATIENCE)?;
        serde_json::from_str(&answer).with_context(|| format!("{function} answered {answer}"))
    }
}

/// Sends every function its event file.
fn events(project: &Project, watch: &LambdaWatch, surroundings: &Surroundings) -> Result<()> {
    let (functions, sent, folder) = (project.functions()?, RefCell::default(), TempDir::new()?);
    let events = Events { project, watch, machine: &surroundings.machine, functions, sent, folder };
    let balance = routed(&events)?;
    requests_recharge(surroundings)?;
    for function in ["projector", "recharge", "renewal", "webhook-delivery"] {
        let answer = events.send(function)?;
        ensure!(answer == json!({ "batchItemFailures": [] }), "{function} answered {answer}");
    }
    is_projected(&surroundings.stack)?;
    is_published(surroundings)?;
    is_renewed(&surroundings.stack)?;
    let reconciled = events.send("reconcile")?;
    ensure!(reconciled.is_null(), "reconcile answered {reconciled}");
    let turn = balance.pointer("/data/nextRenewal").and_then(Value::as_str);
    starts_a_sweep(&events, surroundings, turn.context("a balance without nextRenewal")?)?;
    events.send_the_others()
}

/// Sends the event files of the functions behind the API, and returns the balance before any debit.
fn routed(events: &Events<'_>) -> Result<Value> {
    let whole = [("/data/available", json!(400)), ("/data/usedCredits", json!(150))];
    let balance = expect(&events.send("balance")?, 200, &whole)?;
    let packages = [("/data/0/package", json!("starter")), ("/data/2/saving", json!(18.6))];
    expect(&events.send("catalogue")?, 200, &packages)?;
    let charged = [("/data/amount", json!(2)), ("/data/balance/available", json!(398))];
    let debit = expect(&events.send("consume")?, 201, &charged)?;
    let newest = [("/data/0/type", json!("DEBIT")), ("/data/0/resourceId", json!("verif_xyz789"))];
    expect(&events.send("transactions")?, 200, &newest)?;
    let held = [("/data/status", json!("held")), ("/data/amount", json!(2))];
    expect(&events.send("holds")?, 201, &held)?;
    let debit = debit.pointer("/data/transactionId").and_then(Value::as_str).unwrap_or_default();
    let refunded = [("/data/type", json!("CREDIT")), ("/data/refundOf", json!(debit))];
    expect(&events.send_with("refund", "txn_REPLACE", debit)?, 201, &refunded)?;
    let opened = [("/data/plan", json!("professional")), ("/data/allowance", json!(400))];
    expect(&events.send("admin")?, 201, &opened)?;
    let bought = [("/data/status", json!("approved")), ("/data/credits", json!(500))];
    expect(&events.send("purchase")?, 201, &bought)?;
    let forged = [("/error/code", json!("VALIDATION_ERROR"))];
    places(&body(&events.send("payments")?, 400)?, &forged)?;
    let set = [("/data/enabled", json!(true)), ("/data/state/status", json!("ready"))];
    expect(&events.send("settings")?, 200, &set)?;
    let previewed = [("/data/changed", json!(true)), ("/data/preview", json!(true))];
    let previewed = expect(&events.send("subscription")?, 200, &previewed)?;
    places(&previewed, &[("/data/from", json!("professional")), ("/data/plan", json!("basic"))])?;
    let made = expect(&events.send("webhooks")?, 201, &[("/data/status", json!("ACTIVE"))])?;
    let secret = made.pointer("/data/secret").and_then(Value::as_str).unwrap_or_default();
    ensure!(secret.starts_with("whsec_"), "no secret: {made}");
    expect(&events.send("clock")?, 200, &[("/data/standsStill", json!(false))])?;
    Ok(balance)
}

/// The event files, and the functions that they are sent to.
struct Events<'a> {
    project: &'a Project,
    watch: &'a LambdaWatch,
    machine: &'a ScripProcess,
    functions: Vec<LambdaFunction>,
    /// The functions whose event file was sent.
    sent: RefCell<BTreeSet<String>>,
    folder: TempDir,
}

impl Events<'_> {
    /// Sends a function its event file, with real keys, and returns the answer.
    fn send(&self, function: &str) -> Result<Value> {
        self.send_with(function, "", "")
    }

    /// Sends a function its event file, in which `to` replaces `from`, and returns the answer.
    fn send_with(&self, function: &str, from: &str, to: &str) -> Result<Value> {
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
        for LambdaFunction { name, .. } in &self.functions {
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

/// Whether a call of the API, a batch of messages or a scheduled call has succeeded.
fn is_success(answer: &Value) -> bool {
    match answer.get("statusCode").and_then(Value::as_u64) {
        Some(status) => (200..300).contains(&status),
        None => answer.is_null() || *answer == json!({ "batchItemFailures": [] }),
    }
}

/// Checks that an answer is a success with a status and with values at some places of its body, and returns the body.
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

/// Checks that switching auto-recharge on has sent a message for the account to the recharge queue.
fn requests_recharge(Surroundings { stack, queues, .. }: &Surroundings) -> Result<()> {
    let sent = message(stack, &queues.recharge)?;
    ensure!(sent.starts_with(r#"{"account":"org_"#) && sent.ends_with(r#"#live"}"#), "no message: {sent}");
    Ok(())
}

/// Checks that the scheduler's call on the first of a month starts a renewal sweep. The machine has swept the present month
/// already, so the call is that of the next month, at `turn`.
fn starts_a_sweep(
    events: &Events<'_>,
    Surroundings { stack, queues, .. }: &Surroundings,
    turn: &str,
) -> Result<()> {
    let done = events.invoke("renewal", &json!({ "scheduledTime": turn }).to_string())?;
    ensure!(done.is_null(), "renewal answered {done}");
    let task = message(stack, &queues.renewal)?;
    let month = turn.get(..7).context("a time without a month")?;
    let expected = format!(r#"{{"do":"round","month":"{month}","shard":"#);
    ensure!(task.starts_with(&expected), "expected {expected}: {task}");
    Ok(())
}

/// The body of the next message of a queue; empty if there is none.
fn message(stack: &Ministack, queue: &str) -> Result<String> {
    let received = stack.call("sqs", "AmazonSQS.ReceiveMessage", json!({ "QueueUrl": queue }))?;
    let body = received.pointer("/Messages/0/Body").and_then(Value::as_str);
    Ok(body.unwrap_or_default().to_owned())
}

/// Checks that the projector has written the row of the entry in its event file.
fn is_projected(stack: &Ministack) -> Result<()> {
    let row = item(stack, "TXN#org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live#2024-01", "01HK153X000DH8R2M7T9V1WZB5")?;
    ensure!(row.pointer("/Item/seq/N") == Some(&json!("1")), "the projector wrote no row: {row}");
    Ok(())
}

/// Checks that the projector has published the event in its event file, and that the bus has sent it to the webhook queue.
fn is_published(Surroundings { stack, queues, .. }: &Surroundings) -> Result<()> {
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

/// Checks that `renewal` has finished the part of the directory that its event file names.
fn is_renewed(stack: &Ministack) -> Result<()> {
    let round = item(stack, "ROUND#2024-02", "00")?;
    ensure!(round.pointer("/Item/done/BOOL") == Some(&json!(true)), "the sweep is not finished: {round}");
    Ok(())
}

/// Gets an item of the ledger table.
fn item(stack: &Ministack, partition: &str, sort: &str) -> Result<Value> {
    let key = json!({ "pk": { "S": partition }, "sk": { "S": sort } });
    let wanted = json!({ "TableName": LEDGER, "Key": key });
    stack.call("dynamodb", "DynamoDB_20120810.GetItem", wanted)
}

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn successes_and_failures_are_distinguished() {
        for success in [json!(null), json!({ "statusCode": 201 }), json!({ "batchItemFailures": [] })] {
            assert!(is_success(&success), "{success}");
        }
        let failed = json!({ "batchItemFailures": [{ "itemIdentifier": "1" }] });
        for failure in [failed, json!({ "statusCode": 400 }), json!({ "errorMessage": "crashed" })] {
            assert!(!is_success(&failure), "{failure}");
        }
    }
}
