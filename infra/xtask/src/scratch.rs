//! A copy of the repository in which mutants are planted. It shares the built dependencies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use toml::Table;

use crate::process::Run;
use crate::project::Project;

/// Folders at the root that are not copied.
const LEFT: [&str; 4] = ["target", ".git", ".scrip", ".aws-sam"];

/// The copy.
pub(crate) struct Scratch {
    pub(crate) tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// Creates the copy, or updates it. Files that are the same stay untouched, so that cargo does not build them again.
    pub(crate) fn make(project: &Project) -> Result<Self> {
        let tree = project.target.join("mutants").join("tree");
        let lock = project.target.join("mutants").join("Cargo.lock");
        let mut files = BTreeSet::new();
        collect(&project.root, Path::new(""), &mut files)?;
        let mut old = BTreeSet::new();
        if tree.is_dir() {
            collect(&tree, Path::new(""), &mut old)?;
        }
        for gone in old.difference(&files) {
            fs::remove_file(tree.join(gone))?;
        }
        for file in &files {
            let bytes = fs::read(project.root.join(file)).with_context(|| file.display().to_string())?;
            let bytes = match file.to_str() {
                Some("shared/store/Cargo.toml") => {
                    as_in_the_workspace(project, &String::from_utf8(bytes)?)?.into_bytes()
                }
                // Cargo adds the dependencies above to the copy's lock file, so replace it only if the original
                // changed.
                Some("Cargo.lock") if is_known(&lock, &bytes) && tree.join(file).is_file() => continue,
                _ => bytes,
            };
            write(&tree.join(file), &bytes)?;
        }
        fs::copy(project.root.join("Cargo.lock"), lock)?;
        Ok(Self { tree, target: project.target.clone() })
    }

    /// Replaces the text of a file, and returns its old text.
    pub(crate) fn replace(&self, file: &str, text: &str) -> Result<String> {
        let path = self.tree.join(file);
        let before = fs::read_to_string(&path).with_context(|| file.to_owned())?;
        fs::write(path, text)?;
        Ok(before)
    }

    /// `cargo …` in the copy.
    pub(crate) fn cargo(&self, project: &Project) -> Run {
        self.beside_the_original(project.plain_cargo().within(&self.tree))
    }

    /// Has cargo share the dependencies with the original, and nothing else: with a wrapper of its own, cargo keeps the
    /// copy's crates under other names. Without one it would take a crate of the copy, mutants included, for the original's.
    pub(crate) fn beside_the_original(&self, run: Run) -> Run {
        run.env("CARGO_TARGET_DIR", &self.target).env("RUSTC_WORKSPACE_WRAPPER", "/usr/bin/env")
    }
}

/// Whether a file has exactly these bytes.
fn is_known(path: &Path, bytes: &[u8]) -> bool {
    fs::read(path).is_ok_and(|there| there == bytes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if is_known(path, bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Collects all files below `folder`, except those of folders that are not copied.
fn collect(root: &Path, folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if LEFT.iter().any(|left| Path::new(left) == name) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(root, &name, files)?;
        } else if kind.is_file() {
            files.insert(name);
        }
    }
    Ok(())
}

/// The manifest of `store`, with all dependencies of the workspace added to its dev-dependencies. Cargo then chooses the
/// same features for `store` alone as for the whole workspace, and builds no dependency again.
fn as_in_the_workspace(project: &Project, manifest: &str) -> Result<String> {
    let workspace: Table = toml::from_str(&fs::read_to_string(project.root.join("Cargo.toml"))?)?;
    let own: Table = toml::from_str(manifest)?;
    let has = |section: &str, name: &str| own.get(section).and_then(|section| section.get(name)).is_some();
    let all = workspace.get("workspace").and_then(|workspace| workspace.get("dependencies"));
    let all = all.and_then(toml::Value::as_table).context("no [workspace.dependencies] in Cargo.toml")?;
    let mut added = String::new();
    for (name, dependency) in all {
        let is_ours = dependency.get("path").is_some();
        if !is_ours && !has("dependencies", name) && !has("dev-dependencies", name) {
            added += &format!("{name}.workspace = true\n");
        }
    }
    let place = "[dev-dependencies]\n";
    ensure!(manifest.contains(place), "shared/store/Cargo.toml has no [dev-dependencies]");
    Ok(manifest.replacen(place, &format!("{place}{added}"), 1))
}
