//! Runs `ministack`, an emulator of AWS, for the checks.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::{self, HttpCall};
use crate::process::{ProcessLog, Running};
use crate::project::Project;
use crate::tools::MINISTACK;

/// The region of the emulator.
pub(crate) const REGION: &str = "eu-west-2";

/// A running emulator, empty and in memory.
pub(crate) struct Ministack {
    /// The URL that it answers at, for every service.
    pub(crate) endpoint: String,
    _running: Running,
}

impl Ministack {
    /// Installs it if necessary, starts it, and waits until it answers.
    pub(crate) fn start(project: &Project) -> Result<Self> {
        let program = MINISTACK.install(project)?.join("ministack");
        let port = free_port()?;
        let endpoint = format!("http://127.0.0.1:{port}");
        let command = project.run(program);
        let command = command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
        let (log, command) = ProcessLog::of(command, project.tools().join("ministack.log"))?;
        let mut running = command.start()?;
        let health = format!("{endpoint}/_ministack/health");
        log.explain(running.until(Duration::from_secs(600), || http::is_up(&health)))?;
        println!("    ministack at {endpoint}");
        Ok(Self { endpoint, _running: running })
    }

    /// Calls an operation of a service, as an SDK would. `target` is the value of `X-Amz-Target`.
    ///
    /// # Errors
    /// When the answer is not a 200.
    pub(crate) fn call(&self, service: &str, target: &str, body: Value) -> Result<Value> {
        let credential =
            format!("AWS4-HMAC-SHA256 Credential=local/20240115/{REGION}/{service}/aws4_request");
        let headers = vec![
            ("X-Amz-Target", target.to_owned()),
            ("Authorization", format!("{credential}, SignedHeaders=host, Signature=none")),
        ];
        let call = HttpCall { method: "POST", url: self.endpoint.clone(), headers, body: Some(body) };
        let answer = call.send()?;
        ensure!(answer.status == 200, "{target}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Creates a KMS key, and returns its ARN.
    pub(crate) fn key(&self) -> Result<String> {
        let made = self.call("kms", "TrentService.CreateKey", json!({}))?;
        let arn = made.pointer("/KeyMetadata/Arn").and_then(Value::as_str);
        arn.map(str::to_owned).with_context(|| format!("a key without an ARN: {made}"))
    }

    /// Creates a bucket for files.
    pub(crate) fn bucket(&self, name: &str) -> Result<()> {
        let credential = format!("AWS4-HMAC-SHA256 Credential=local/20240115/{REGION}/s3/aws4_request");
        let authorization = format!("{credential}, SignedHeaders=host, Signature=none");
        let place = format!("<LocationConstraint>{REGION}</LocationConstraint>");
        let body = format!("<CreateBucketConfiguration>{place}</CreateBucketConfiguration>");
        http::put(&format!("{}/{name}", self.endpoint), &authorization, body)
    }

    /// Creates an event bus and a rule that sends Scrip's events to a queue, as template.yaml does.
    pub(crate) fn bus(&self, name: &str, queue: &str) -> Result<()> {
        let asked = json!({ "QueueUrl": queue, "AttributeNames": ["QueueArn"] });
        let known = self.call("sqs", "AmazonSQS.GetQueueAttributes", asked)?;
        let arn = known.pointer("/Attributes/QueueArn").and_then(Value::as_str);
        let arn = arn.with_context(|| format!("a queue without an ARN: {known}"))?;
        let pattern = json!({ "source": ["scrip"] }).to_string();
        let target = json!([{ "Id": "webhooks", "Arn": arn }]);
        for (operation, body) in [
            ("CreateEventBus", json!({ "Name": name })),
            ("PutRule", json!({ "Name": "webhooks", "EventBusName": name, "EventPattern": pattern })),
            ("PutTargets", json!({ "Rule": "webhooks", "EventBusName": name, "Targets": target })),
        ] {
            self.call("events", &format!("AWSEvents.{operation}"), body)?;
        }
        Ok(())
    }

    /// Switches off a table's time to live.
    pub(crate) fn keep_all(&self, table: &str) -> Result<()> {
        let ttl = json!({ "AttributeName": "ttl", "Enabled": false });
        let body = json!({ "TableName": table, "TimeToLiveSpecification": ttl });
        self.call("dynamodb", "DynamoDB_20120810.UpdateTimeToLive", body).map(|_| ())
    }

    /// Creates a queue, and returns its URL.
    pub(crate) fn queue(&self, name: &str) -> Result<String> {
        let made = self.call("sqs", "AmazonSQS.CreateQueue", json!({ "QueueName": name }))?;
        let url = made.get("QueueUrl").and_then(Value::as_str);
        url.map(str::to_owned).with_context(|| format!("a queue without a URL: {made}"))
    }
}

/// A port on which nothing listens now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
