use std::time::Duration;

use anyhow::Result;

use crate::http;
use crate::ministack::free_port;
use crate::process::{Log, Running};
use crate::project::Project;
use crate::tools::LOCALSTRIPE;

/// A Stripe on a port of this machine, empty. It can't be told to listen on loopback alone, so it lives
/// no longer than the tests, and knows nothing but what they tell it.
pub(crate) struct Localstripe {
    /// Where it answers.
    pub(crate) url: String,
    _running: Running,
}

impl Localstripe {
    /// Installs it if need be, starts it, and waits until it answers.
    pub(crate) fn start(project: &Project) -> Result<Self> {
        let program = LOCALSTRIPE.install(project)?.join("localstripe");
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let command = project.run(program).args(["--from-scratch", "--port", &port.to_string()]);
        let (log, command) = Log::of(command, project.tools().join("localstripe.log"))?;
        let mut running = command.start()?;
        // What a browser would load: the one address that asks for no key.
        let page = format!("{url}/js.stripe.com/v3/");
        log.explain(running.until(Duration::from_secs(600), || http::is_up(&page)))?;
        println!("    localstripe at {url}");
        Ok(Self { url, _running: running })
    }
}
