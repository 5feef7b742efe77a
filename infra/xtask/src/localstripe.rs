//! Runs `localstripe`, a third-party emulator of Stripe, for the contract tests of the Stripe client.

use std::time::Duration;

use anyhow::Result;

use crate::http;
use crate::ministack::free_port;
use crate::process::{ProcessLog, Running};
use crate::project::Project;
use crate::tools::LOCALSTRIPE;

/// A running `localstripe`, empty. It listens on all interfaces and can't be limited to loopback, so it runs only for as
/// long as the tests, with no data but theirs.
pub(crate) struct Localstripe {
    /// The URL that it answers at.
    pub(crate) url: String,
    _running: Running,
}

impl Localstripe {
    /// Installs it if necessary, starts it, and waits until it answers.
    pub(crate) fn start(project: &Project) -> Result<Self> {
        let program = LOCALSTRIPE.install(project)?.join("localstripe");
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let command = project.run(program).args(["--from-scratch", "--port", &port.to_string()]);
        let (log, command) = ProcessLog::of(command, project.tools().join("localstripe.log"))?;
        let mut running = command.start()?;
        // The script that browsers load: the one path that needs no key.
        let page = format!("{url}/js.stripe.com/v3/");
        log.explain(running.until(Duration::from_secs(600), || http::is_up(&page)))?;
        println!("    localstripe at {url}");
        Ok(Self { url, _running: running })
    }
}
