use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::{self, Call};
use crate::process::{Log, Running};
use crate::project::Project;
use crate::tools::MINISTACK;

/// Where it says that it is.
pub(crate) const REGION: &str = "eu-west-2";

/// An emulator of AWS on a port of this machine, empty and in memory.
pub(crate) struct Ministack {
    /// Where it answers for every service.
    pub(crate) endpoint: String,
    _running: Running,
}

impl Ministack {
    /// Installs it if need be, starts it, and waits until it answers.
    pub(crate) fn start(project: &Project) -> Result<Self> {
        let program = MINISTACK.install(project)?.join("ministack");
        let port = free_port()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let command = project.run(program);
        let command = command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
        let (log, command) = Log::of(command, project.tools().join("ministack.log"))?;
        let mut running = command.start()?;
        let health = format!("{endpoint}/_ministack/health");
        log.explain(running.until(Duration::from_secs(60), || http::is_up(&health)))?;
        println!("    ministack at {endpoint}");
        Ok(Self { endpoint, _running: running })
    }

    /// Calls one of its services, as an SDK would; an error unless it is served.
    pub(crate) fn call(&self, (service, operation): (&str, &str), body: Value) -> Result<Value> {
        let credential =
            format!("AWS4-HMAC-SHA256 Credential=local/20240115/{REGION}/{service}/aws4_request");
        let headers = vec![
            ("X-Amz-Target", operation.to_owned()),
            ("Authorization", format!("{credential}, SignedHeaders=host, Signature=none")),
        ];
        let call = Call { method: "POST", url: self.endpoint.clone(), headers, body: Some(body) };
        let answer = call.send()?;
        ensure!(answer.status == 200, "{operation}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Makes a queue; its URL.
    pub(crate) fn queue(&self, name: &str) -> Result<String> {
        let made = self.call(("sqs", "AmazonSQS.CreateQueue"), json!({ "QueueName": name }))?;
        let url = made.get("QueueUrl").and_then(Value::as_str);
        url.map(str::to_owned).with_context(|| format!("a queue without a URL: {made}"))
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
