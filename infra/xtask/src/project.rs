//! The workspace, read from `cargo metadata`: its folders and its functions.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::{self, Run};

/// The workspace.
pub(crate) struct Project {
    /// The root of the repository.
    pub(crate) root: PathBuf,
    /// The folder that cargo builds into.
    pub(crate) target: PathBuf,
    /// The output of `cargo metadata`.
    pub(crate) metadata: Value,
    /// The environment variables that make cargo's builds lint.
    lint: Vec<(&'static str, OsString)>,
}

/// A Lambda function: a package below functions/, whose binary has its name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LambdaFunction {
    pub(crate) name: String,
    /// Relative to the root of the repository.
    pub(crate) folder: String,
}

impl Project {
    /// Runs `cargo metadata`.
    pub(crate) fn find() -> Result<Self> {
        let metadata = Run::new(cargo()).args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&process::output(metadata, Duration::from_secs(600))?)?;
        let path = |name: &str| {
            let path = metadata.get(name).and_then(Value::as_str);
            path.map(PathBuf::from).with_context(|| format!("cargo metadata has no {name}"))
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            metadata,
            lint: Vec::new(),
        })
    }

    /// Makes every build of the workspace's own crates run clippy, with warnings as errors. `cargo clippy` does the same
    /// around `cargo check`; this way dependencies are built once, and not for clippy and again for the tests.
    pub(crate) fn linting(mut self) -> Result<Self> {
        let root = process::output(
            Run::new("rustc").within(&self.root).args(["--print", "sysroot"]),
            Duration::from_secs(600),
        )?;
        let beside = Path::new(root.trim()).join("bin").join("clippy-driver");
        let driver = Some(beside).filter(|file| is_program(file)).or_else(|| on_path("clippy-driver"));
        let driver =
            driver.context("there is no clippy-driver; install clippy, with rustup component add clippy")?;
        let denied = "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__";
        self.lint = vec![("RUSTC_WORKSPACE_WRAPPER", driver.into()), ("CLIPPY_ARGS", denied.into())];
        Ok(self)
    }

    /// `cargo …` that does not lint.
    pub(crate) fn plain_cargo(&self) -> Run {
        Run::new(cargo()).without("RUSTC_WORKSPACE_WRAPPER")
    }

    /// `cargo …` at the root of the repository.
    pub(crate) fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Run {
        self.run(cargo()).args(arguments)
    }

    /// A program at the root of the repository.
    pub(crate) fn run(&self, program: impl Into<OsString>) -> Run {
        let run = Run::new(program).within(&self.root);
        self.lint.iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    /// A binary of the workspace that was built for development.
    pub(crate) fn built(&self, name: &str) -> Result<PathBuf> {
        let path = self.target.join("debug").join(name);
        if !path.is_file() {
            bail!("{} does not exist; run `cargo build --workspace`", path.display());
        }
        Ok(path)
    }

    /// All functions, sorted by name.
    pub(crate) fn functions(&self) -> Result<Vec<LambdaFunction>> {
        let packages = self.metadata.get("packages").and_then(Value::as_array);
        let function = |package: &Value| {
            let manifest = Path::new(package.get("manifest_path")?.as_str()?);
            let folder = manifest.parent()?.strip_prefix(&self.root).ok()?.to_str()?;
            let name = package.get("name")?.as_str()?;
            let is_function = folder.starts_with("functions/");
            is_function.then(|| LambdaFunction { name: name.to_owned(), folder: folder.to_owned() })
        };
        let mut functions: Vec<_> = packages.into_iter().flatten().filter_map(function).collect();
        functions.sort();
        ensure!(!functions.is_empty(), "cargo metadata names no package below functions/");
        Ok(functions)
    }

    /// The folder that tools are installed in.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}

/// `scrip …`, built if necessary, in the user's current folder.
pub(crate) fn scrip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Run {
    Run::new(cargo()).args(["run", "--quiet", "--package", "local", "--bin", "scrip", "--"]).args(arguments)
}

/// A measurement in simulated time, built as tests are: how fast the machine is does not matter.
pub(crate) fn bench() -> Run {
    Run::new(cargo()).args(["bench", "--quiet", "--profile", "dev", "--package", "tests", "--bench"])
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Finds a program that the user has installed.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    file.metadata().is_ok_and(|known| known.is_file() && known.permissions().mode() & 0o111 != 0)
}
