//! Runs the local machine, `scrip`, for the checks.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process::{Run, Running};
use crate::project::Project;

/// A running `scrip` with demo data, on a free port.
pub(crate) struct ScripProcess {
    pub(crate) base_url: String,
    pub(crate) api_key: String,
    pub(crate) test_key: String,
    pub(crate) operator_key: String,
    _running: Running,
}

impl ScripProcess {
    /// Starts the `scrip` that was built, and waits until it is ready.
    pub(crate) fn start<A: AsRef<OsStr>>(
        project: &Project,
        arguments: impl IntoIterator<Item = A>,
        environment: impl FnOnce(Run) -> Run,
    ) -> Result<Self> {
        let command = project
            .run(project.built("scrip")?)
            .args(["--port", "0", "--json", "--seed", "demo"])
            .args(arguments);
        let mut running = environment(command).stdout(Stdio::piped()).start()?;
        let stdout = running.child.stdout.take().context("no stdout")?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let first = BufReader::new(stdout).lines().next();
            // The receiver is gone if this took too long.
            sender.send(first).ok();
        });
        let first = receiver.recv_timeout(Duration::from_secs(600));
        let first = first.context("scrip was not ready within 600 s")?;
        let ready: Value = serde_json::from_str(&first.context("scrip ended before it was ready")??)
            .context("the first line of scrip --json is not JSON")?;
        let field = |name: &str| {
            let text = ready.get(name).and_then(Value::as_str).map(str::to_owned);
            text.with_context(|| format!("scrip --json does not print {name}"))
        };
        Ok(Self {
            base_url: field("baseUrl")?,
            api_key: field("apiKey")?,
            test_key: field("testKey")?,
            operator_key: field("operatorKey")?,
            _running: running,
        })
    }
}
