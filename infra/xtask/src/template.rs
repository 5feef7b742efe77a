use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::project::Project;
use crate::steps::Steps;
use crate::tools::SAM;
use crate::{drift, guided, loops, process};

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
    })?;
    steps.step("functions that call themselves", || loops::check(&read(project, &programs)?))?;
    steps.step("sam deploy --guided, Enter throughout", || guided::check(project, &programs.join("sam")))
}

/// The template as SAM reads it.
fn read(project: &Project, programs: &Path) -> Result<Value> {
    const SCRIPT: &str = "import json; from samcli.yamlhelper import yaml_parse; \
                          print(json.dumps(yaml_parse(open('template.yaml').read())))";
    let python = project.run(programs.join("python")).args(["-c", SCRIPT]);
    serde_json::from_str(&process::output(python, Duration::from_secs(600))?).context("template.yaml as JSON")
}
