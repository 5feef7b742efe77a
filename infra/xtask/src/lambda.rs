use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::machine::Machine;
use crate::ministack::{Ministack, free_port};
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
    let (stack, machine, watch) = steps.step("cargo lambda watch", || {
        let stack = Ministack::start(project)?;
        let machine = Machine::start(project, ["--memory"], |scrip| environment(scrip, &stack))?;
        let watch = Watch::start(project, program, &stack)?;
        Ok((stack, machine, watch))
    })?;
    steps.step("cargo lambda invoke, every event file", || {
        watch.log.explain(events(project, &watch, &machine, &stack))
    })?;
    steps.step("every route, through cargo lambda watch", || {
        watch.log.explain(routes::check(&watch.url, &machine))
    })
}

/// What Lambda sets for a function, and where DynamoDB is.
fn environment(command: Run, stack: &Ministack) -> Run {
    command
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", REGION)
        .env("AWS_ENDPOINT_URL_DYNAMODB", &stack.endpoint)
        .env("LEDGER_TABLE", LEDGER)
        .env("SETTINGS_TABLE", "scrip-settings")
}

const FUNCTIONS: [&str; 6] = ["balance", "catalogue", "consume", "transactions", "admin", "projector"];

/// How long a function may take; its first answer waits for cargo to find that all is built.
const PATIENCE: Duration = Duration::from_secs(60);
const REGION: &str = "eu-west-2";
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
    fn start(project: &Project, program: PathBuf, stack: &Ministack) -> Result<Self> {
        let port = free_port()?;
        let watch = project.run(&program).args(["lambda", "watch", "--wait", "--ignore-changes", "--quiet"]);
        let watch = watch.args(["--invoke-address", "127.0.0.1", "--invoke-port", &port.to_string()]);
        let (log, watch) = Log::of(environment(watch, stack), project.tools().join("watch.log"))?;
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
fn events(project: &Project, watch: &Watch, machine: &Machine, stack: &Ministack) -> Result<()> {
    let folder = TempDir::new()?;
    let send = |function: &str| {
        let event = project.root.join("tests/events").join(function).with_extension("json");
        let text = fs::read_to_string(&event).with_context(|| event.display().to_string())?;
        let text = text.replace("sk_live_REPLACE", &machine.api_key);
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
    let projected = send("projector")?;
    ensure!(projected == json!({ "batchItemFailures": [] }), "projector answered {projected}");
    is_projected(stack)
}

/// An answer as API Gateway gets it: its status, and what its body says at some places.
fn expect(answer: &Value, status: u16, places: &[(&str, Value)]) -> Result<()> {
    ensure!(answer.get("statusCode") == Some(&json!(status)), "expected {status}: {answer}");
    let body = answer.get("body").and_then(Value::as_str).context("an answer without a body")?;
    let body: Value = serde_json::from_str(body)?;
    ensure!(body.get("success") == Some(&json!(true)), "expected success: {body}");
    for (place, expected) in places {
        ensure!(body.pointer(place) == Some(expected), "expected {expected} at {place}: {body}");
    }
    Ok(())
}

/// The projector has written the row of the entry that its event shows.
fn is_projected(stack: &Ministack) -> Result<()> {
    let key = json!({
        "pk": { "S": "TXN#org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live#2024-01" },
        "sk": { "S": "01HK153X00D5GH8R2M7T9V1WZB" },
    });
    let credential = format!("AWS4-HMAC-SHA256 Credential=local/20240115/{REGION}/dynamodb/aws4_request");
    let call = crate::http::Call {
        method: "POST",
        url: stack.endpoint.clone(),
        headers: vec![
            ("X-Amz-Target", "DynamoDB_20120810.GetItem".to_owned()),
            ("Authorization", format!("{credential}, SignedHeaders=host, Signature=none")),
        ],
        body: Some(json!({ "TableName": LEDGER, "Key": key })),
    };
    let row = call.send()?.body;
    ensure!(row.pointer("/Item/seq/N") == Some(&json!("1")), "the projector wrote no row: {row}");
    Ok(())
}
