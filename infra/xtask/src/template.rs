use anyhow::Result;

use crate::project::Project;
use crate::steps::Steps;
use crate::tools::SAM;
use crate::{drift, process};

/// template.yaml and samconfig.toml, without an account.
pub(crate) fn check(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.step("routes of template.yaml and Cargo.toml", || drift::check(project))?;
    let programs = steps.step("tools of the template", || SAM.install(project))?;
    steps.step("cfn-lint template.yaml", || {
        process::run(project.run(programs.join("cfn-lint")).args(["template.yaml"]))
    })?;
    steps.step("sam validate --lint", || {
        let sam = project.run(programs.join("sam")).args(["validate", "--lint"]);
        // Any region will do: it only chooses which resource types are known.
        process::run(sam.env("AWS_DEFAULT_REGION", "eu-west-2").env("SAM_CLI_TELEMETRY", "0"))
    })
}
