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
use crate::project::Project;
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
        process::run(project.cargo(["build"]).args(FUNCTIONS.iter().flat_map(|name| ["--bin", name])))
    })?;
    let (world, watch) = steps.step("cargo lambda watch", || {
        let stack = Ministack::start(project)?;
        let queue = stack.queue("scrip-recharge")?;
        let machine = Machine::start(project, ["--memory"], |scrip| environment(scrip, &stack, &queue))?;
        let watch = Watch::start(project, program, |watch| environment(watch, &stack, &queue))?;
        Ok((World { stack, queue, machine }, watch))
    })?;
    steps.step("cargo lambda invoke, every event file", || {
        watch.log.explain(events(project, &watch, &world))
    })?;
    steps.step("every route, through cargo lambda watch", || {
        watch.log.explain(routes::check(&watch.url, &world.machine))
    })
}

/// What is around the functions.
struct World {
    stack: Ministack,
    queue: String,
    machine: Machine,
}

/// What Lambda sets for a function, and where DynamoDB and the queue are. Without a secret of Stripe's,
/// live keys buy nothing.
fn environment(command: Run, stack: &Ministack, queue: &str) -> Run {
    command
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", &stack.endpoint)
        .env("AWS_ENDPOINT_URL_SQS", &stack.endpoint)
        .env("RECHARGE_QUEUE_URL", queue)
        .env("LEDGER_TABLE", LEDGER)
        .env("SETTINGS_TABLE", "scrip-settings")
}

/// All that are deployed (drift.rs).
pub(crate) const FUNCTIONS: [&str; 11] = [
    "balance",
    "catalogue",
    "consume",
    "transactions",
    "purchase",
    "payments",
    "settings",
    "admin",
    "projector",
    "recharge",
    "reconcile",
];

/// How long a function may take; its first answer waits for cargo to find that all is built.
const PATIENCE: Duration = Duration::from_secs(60);
const LEDGER: &str = "scrip-ledger";

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
        let (log, watch) = Log::of(environment(watch), project.tools().join("watch.log"))?;
        let mut running = watch.start()?;
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        log.explain(running.until(Duration::from_secs(30), listens))?;
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

/// Each file of tests/events is sent to the function that it is named after.
fn events(project: &Project, watch: &Watch, world: &World) -> Result<()> {
    let World { stack, queue, machine } = world;
    let folder = TempDir::new()?;
    let send = |function: &str| {
        let event = project.root.join("tests/events").join(function).with_extension("json");
        let text = fs::read_to_string(&event).with_context(|| event.display().to_string())?;
        let text = text.replace("sk_live_REPLACE", &machine.api_key);
        let text = text.replace("sk_test_REPLACE", &machine.test_key);
        let copy = folder.path().join(function);
        fs::write(&copy, text.replace("ok_live_REPLACE", &machine.operator_key))?;
        let answer = watch.invoke(project, function, &copy)?;
        println!("    {function}");
        Ok::<_, anyhow::Error>(answer)
    };
    expect(&send("balance")?, 200, &[("/data/available", json!(400)), ("/data/usedCredits", json!(150))])?;
    let packages = [("/data/0/package", json!("starter")), ("/data/2/saving", json!(18.6))];
    expect(&send("catalogue")?, 200, &packages)?;
    let taken = [("/data/amount", json!(2)), ("/data/balance/available", json!(398))];
    expect(&send("consume")?, 201, &taken)?;
    let newest = [("/data/0/type", json!("DEBIT")), ("/data/0/resourceId", json!("verif_xyz789"))];
    expect(&send("transactions")?, 200, &newest)?;
    expect(&send("admin")?, 201, &[("/data/plan", json!("professional")), ("/data/allowance", json!(400))])?;
    expect(&send("purchase")?, 201, &[("/data/status", json!("approved")), ("/data/credits", json!(500))])?;
    // Nobody has signed it.
    let forged = [("/error/code", json!("VALIDATION_ERROR"))];
    places(&body(&send("payments")?, 400)?, &forged)?;
    let set = [("/data/enabled", json!(true)), ("/data/state/status", json!("ready"))];
    expect(&send("settings")?, 200, &set)?;
    is_woken(stack, queue)?;
    for function in ["projector", "recharge"] {
        let answer = send(function)?;
        ensure!(answer == json!({ "batchItemFailures": [] }), "{function} answered {answer}");
    }
    is_projected(stack)?;
    let reconciled = send("reconcile")?;
    ensure!(reconciled.is_null(), "reconcile answered {reconciled}");
    Ok(())
}

/// A success as API Gateway gets it: its status, and what its body says at some places.
fn expect(answer: &Value, status: u16, expected: &[(&str, Value)]) -> Result<()> {
    let body = body(answer, status)?;
    ensure!(body.get("success") == Some(&json!(true)), "expected success: {body}");
    places(&body, expected)
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
fn is_woken(stack: &Ministack, queue: &str) -> Result<()> {
    let received = stack.call(("sqs", "AmazonSQS.ReceiveMessage"), json!({ "QueueUrl": queue }))?;
    let wake = received.pointer("/Messages/0/Body").and_then(Value::as_str).unwrap_or_default();
    ensure!(wake.starts_with(r#"{"account":"org_"#) && wake.ends_with(r#"#live"}"#), "no wake: {received}");
    Ok(())
}

/// The projector has written the row of the entry that its event shows.
fn is_projected(stack: &Ministack) -> Result<()> {
    let key = json!({
        "pk": { "S": "TXN#org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live#2024-01" },
        "sk": { "S": "01HK153X00D5GH8R2M7T9V1WZB" },
    });
    let wanted = json!({ "TableName": LEDGER, "Key": key });
    let row = stack.call(("dynamodb", "DynamoDB_20120810.GetItem"), wanted)?;
    ensure!(row.pointer("/Item/seq/N") == Some(&json!("1")), "the projector wrote no row: {row}");
    Ok(())
}
