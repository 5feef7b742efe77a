use anyhow::Result;

use crate::process;
use crate::project::Project;
use crate::steps::Steps;

/// rustfmt.
pub(crate) fn format(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.step("cargo fmt --check", || process::run(project.cargo(["fmt", "--all", "--", "--check"])))
}

/// rustfmt and clippy.
pub(crate) fn check(project: &Project, steps: &mut Steps) -> Result<()> {
    format(project, steps)?;
    steps.step("cargo clippy", || {
        process::run(project.cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })
}
