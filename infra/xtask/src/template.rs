//! template.yaml and the router of Cargo.toml: written from the fragments in infra/stack and functions/, and checked.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::project::Project;
use crate::steps::Steps;
use crate::tools::SAM;
use crate::{grants, guided, loops, process, router, stack};

/// Writes template.yaml and the router of Cargo.toml.
pub(crate) fn write(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.step("write template.yaml and the router of Cargo.toml", || {
        for Written { name, found, text } in generate(project)? {
            if found == text {
                println!("    {name} is up to date");
            } else {
                fs::write(project.root.join(name), text).with_context(|| format!("cannot write {name}"))?;
                println!("    {name} was written");
            }
        }
        Ok(())
    })
}

/// Checks template.yaml and samconfig.toml, without an AWS account.
pub(crate) fn check(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.step("template.yaml and Cargo.toml are written from the fragments", || {
        generate(project)?.iter().try_for_each(Written::is_current)
    })?;
    let programs = steps.step("tools of the template", || SAM.install(project))?;
    steps.step("cfn-lint template.yaml", || {
        process::run(project.run(programs.join("cfn-lint")).args(["template.yaml"]))
    })?;
    steps.step("sam validate --lint", || {
        let sam = project.run(programs.join("sam")).args(["validate", "--lint"]);
        // Any region will do: it only chooses which resource types are known.
        process::run(sam.env("AWS_DEFAULT_REGION", "eu-west-2").env("SAM_CLI_TELEMETRY", "0"))
    })?;
    let template = steps.step("template.yaml as SAM reads it", || read(project, &programs))?;
    steps.step("functions that call themselves", || loops::check(&template))?;
    steps.step("rights and environment variables", || grants::check(&template))?;
    steps.step("sam deploy --guided, Enter throughout", || guided::check(project, &programs.join("sam")))
}

/// A file that is generated from the fragments.
struct Written {
    name: &'static str,
    /// The file's present text.
    found: String,
    /// The text that it should have.
    text: String,
}

impl Written {
    /// # Errors
    /// When the file differs from the fragments; names the first line that differs.
    fn is_current(&self) -> Result<()> {
        if self.found == self.text {
            return Ok(());
        }
        let name = self.name;
        let same =
            self.found.lines().zip(self.text.lines()).take_while(|(found, text)| found == text).count();
        let line = same.saturating_add(1);
        let found = self.found.lines().nth(same).unwrap_or("(the end)");
        let text = self.text.lines().nth(same).unwrap_or("(the end)");
        let fragment = stack::origin(&self.text, line).unwrap_or("functions/*/function.yaml");
        bail!(
            "{name} differs from the fragments. Run cargo xtask template --write; make changes in a fragment, not in {name} \
             itself. Line {line}, of {fragment}:\n  in {name}: {found}\n  in the fragments: {text}"
        )
    }
}

/// Generates both files from the fragments.
fn generate(project: &Project) -> Result<[Written; 2]> {
    let fragments = stack::read(&project.root, &project.functions()?)?;
    let routes = router::routes(&fragments)?;
    let found = |name: &str| fs::read_to_string(project.root.join(name)).with_context(|| name.to_owned());
    let manifest = found("Cargo.toml")?;
    let with_routes = router::put_into(&manifest, &routes)?;
    Ok([
        Written { name: "template.yaml", found: found("template.yaml")?, text: stack::assemble(&fragments)? },
        Written { name: "Cargo.toml", found: manifest, text: with_routes },
    ])
}

/// The template as SAM reads it.
fn read(project: &Project, programs: &Path) -> Result<Value> {
    const SCRIPT: &str = "import json; from samcli.yamlhelper import yaml_parse; \
                          print(json.dumps(yaml_parse(open('template.yaml').read())))";
    let python = project.run(programs.join("python")).args(["-c", SCRIPT]);
    serde_json::from_str(&process::output(python, Duration::from_secs(600))?).context("template.yaml as JSON")
}

#[cfg(test)]
mod checks {
    use super::*;
    use crate::stack::Fragment;

    fn written(memory: u16) -> String {
        let text = format!("Resources:\n  F:\n    Type: X\n    MemorySize: {memory}\n");
        let path = "functions/pay/function.yaml".to_owned();
        stack::assemble(&[Fragment { path, text, function: None }]).unwrap()
    }

    #[test]
    fn a_changed_fragment_is_found() {
        let same = Written { name: "template.yaml", found: written(256), text: written(256) };
        assert!(same.is_current().is_ok());
        let changed = Written { name: "template.yaml", found: written(256), text: written(512) };
        let error = changed.is_current().unwrap_err().to_string();
        for expected in [
            "cargo xtask template --write",
            "of functions/pay/function.yaml",
            "in template.yaml:     MemorySize: 256",
            "in the fragments:     MemorySize: 512",
        ] {
            assert!(error.contains(expected), "{expected} is missing: {error}");
        }
        let cut = Written { name: "template.yaml", found: String::new(), text: written(256) };
        assert!(cut.is_current().unwrap_err().to_string().contains("(the end)"));
    }
}
