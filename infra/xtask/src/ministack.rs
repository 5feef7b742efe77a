use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::Result;

use crate::http;
use crate::process::{Log, Running};
use crate::project::Project;
use crate::tools::MINISTACK;

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
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
