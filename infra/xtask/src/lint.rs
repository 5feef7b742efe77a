//! `cargo xtask lint`: rustfmt and clippy.

use anyhow::Result;

use crate::process;
use crate::project::Project;
use crate::steps::Steps;

/// Checks the formatting.
pub(crate) fn format(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.step("cargo fmt --check", || process::run(project.cargo(["fmt", "--all", "--", "--check"])))
}

/// Checks the formatting, and lints.
pub(crate) fn check(project: &Project, steps: &mut Steps) -> Result<()> {
    format(project, steps)?;
    steps.step("cargo clippy", || {
        process::run(project.cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })
}
