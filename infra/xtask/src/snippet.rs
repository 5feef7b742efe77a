//! `cargo xtask snippet`: runs the JavaScript of the API's documentation.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::machine::ScripProcess;
use crate::process;
use crate::project::Project;
use crate::steps::Steps;
use crate::tools::node;

/// What the documentation's example prints.
const EXPECTED: &str = "Available credits: 400\nSubscription credits: 250\nPurchased credits: 100\n";

/// Runs the documentation's JavaScript, word for word, against a local machine with demo data.
pub(crate) fn check(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.step("the documentation's JavaScript", || {
        let node = node(project)?;
        let machine = ScripProcess::start(project, ["--memory"], |command| command)?;
        let snippet = project.run(node).args(["tests/contract/snippet.mjs"]);
        let snippet = snippet.env("SCRIP_URL", &machine.base_url).env("SCRIP_KEY", &machine.api_key);
        let printed = process::output(snippet, Duration::from_secs(600))?;
        print!("{printed}");
        ensure!(printed == EXPECTED, "tests/contract/snippet.mjs should have printed\n{EXPECTED}");
        Ok(())
    })
}
