//! Where things are, and which functions there are: what `cargo metadata` says of the workspace.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process::{self, Run};

/// Where things are.
pub(crate) struct Project {
    /// The repository.
    pub(crate) root: PathBuf,
    /// What cargo builds into.
    pub(crate) target: PathBuf,
    /// What cargo says of the workspace.
    pub(crate) metadata: Value,
    /// What makes cargo's builds lint.
    lint: Vec<(&'static str, OsString)>,
}

/// A Lambda function: a package below functions/, whose binary has its name.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// From the root of the repository on.
    pub(crate) folder: String,
}

impl Project {
    /// Asks cargo.
    pub(crate) fn find() -> Result<Self> {
        let metadata = Run::new(cargo()).args(["metadata", "--no-deps", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&process::output(metadata, Duration::from_secs(600))?)?;
        let path = |name: &str| {
            let path = metadata.get(name).and_then(Value::as_str);
            path.map(PathBuf::from).with_context(|| format!("cargo metadata does not tell {name}"))
        };
        Ok(Self {
            root: path("workspace_root")?,
            target: path("target_directory")?,
            metadata,
            lint: Vec::new(),
        })
    }

    /// The same, with clippy looking at whatever is built of ours: what others have written is then built once, and not for
    /// clippy and for the tests. This is what `cargo clippy` does, with `cargo check` in the place of the build; warnings
    /// are errors.
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

    /// `cargo …`, anywhere, which lints nothing.
    pub(crate) fn plain_cargo(&self) -> Run {
        Run::new(cargo()).without("RUSTC_WORKSPACE_WRAPPER")
    }

    /// `cargo …` in the repository.
    pub(crate) fn cargo<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Run {
        self.run(cargo()).args(arguments)
    }

    /// A program in the repository.
    pub(crate) fn run(&self, program: impl Into<OsString>) -> Run {
        let run = Run::new(program).within(&self.root);
        self.lint.iter().fold(run, |run, (name, value)| run.env(name, value))
    }

    /// A binary of the workspace that was built for development.
    pub(crate) fn built(&self, name: &str) -> Result<PathBuf> {
        let path = self.target.join("debug").join(name);
        if !path.is_file() {
            bail!("{} is not there; run `cargo build --workspace`", path.display());
        }
        Ok(path)
    }

    /// All functions, by name.
    pub(crate) fn functions(&self) -> Result<Vec<Function>> {
        let packages = self.metadata.get("packages").and_then(Value::as_array);
        let function = |package: &Value| {
            let manifest = Path::new(package.get("manifest_path")?.as_str()?);
            let folder = manifest.parent()?.strip_prefix(&self.root).ok()?.to_str()?;
            let name = package.get("name")?.as_str()?;
            let is_function = folder.starts_with("functions/");
            is_function.then(|| Function { name: name.to_owned(), folder: folder.to_owned() })
        };
        let mut functions: Vec<_> = packages.into_iter().flatten().filter_map(function).collect();
        functions.sort();
        ensure!(!functions.is_empty(), "cargo metadata names no package below functions/");
        Ok(functions)
    }

    /// Where tools are installed.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}

/// `scrip …`, built if need be, in the folder that the user is in.
pub(crate) fn scrip<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Run {
    Run::new(cargo()).args(["run", "--quiet", "--package", "local", "--bin", "scrip", "--"]).args(arguments)
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
