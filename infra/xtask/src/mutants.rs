//! `cargo xtask mutants`: finds mutants of the rules of credit and of the write path for which no fast test fails.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::mutant_list::{MutantList, Survivor};
use crate::process::{self, ProcessLog, Run, Running};
use crate::project::Project;
use crate::scratch::Scratch;
use crate::steps::Steps;

/// The version of cargo-mutants. Other versions make other mutants.
const VERSION: &str = "27.1.0";

/// How long the mutants of the last commit's lines may take in all.
const LAST_COMMIT: Duration = Duration::from_secs(600);

/// How long the fast tests may take for one mutant. A mutant that never ends counts as caught.
const ONE_MUTANT_SECONDS: &str = "600";

/// Exit codes that are not failures of cargo-mutants itself: all caught, some missed, some timed out.
const RESULTS: [i32; 3] = [0, 2, 3];

/// Mutates `files`, or those that tests/mutants.toml names. Each mutant is built, and tested by `cargo test --lib` of its
/// crate. After an interruption it continues where it stopped: target/mutants has what was caught.
///
/// # Errors
/// When a mutant survives without a reason in tests/mutants.toml, or a reason is out of date.
pub(crate) fn all(project: &Project, files: &[String], steps: &mut Steps) -> Result<()> {
    let list = MutantList::read(project)?;
    let scratch = steps.step("a scratch copy of the tree", || Scratch::make(project))?;
    let tool = steps.step("cargo-mutants", || install(project))?;
    let files = if files.is_empty() { &list.files } else { files };
    steps.step("cargo mutants", || {
        let run = command(project, &scratch, &tool)
            .args(files.iter().flat_map(|file| ["--file", file.as_str()]))
            .args(["--iterate"]);
        let ended = run.args(["--", "--lib"]).start()?.code()?;
        ended_well(ended)?;
        let outcomes = Outcomes::read(project)?;
        println!("    {} caught, {} survived", outcomes.caught.len(), outcomes.survived.len());
        explained(&outcomes.survived, &list.survivors)?;
        up_to_date(&outcomes, &list.survivors)
    })
}

/// Mutates the lines that the last commit, or changes not yet committed, have changed, for at most ten minutes. Without a
/// result the step is reported as not run.
pub(crate) fn of_last_commit(project: &Project, steps: &mut Steps) -> Result<()> {
    let list = MutantList::read(project)?;
    let name = "cargo mutants of the last commit's lines";
    let Some(diff) = last_commit(project, &list.files)? else {
        return steps.not_run(name, "there is no commit before this one to compare with");
    };
    if diff.trim().is_empty() {
        return steps.step(name, || {
            println!("    none of the files of tests/mutants.toml was changed");
            Ok(())
        });
    }
    let scratch = Scratch::make(project)?;
    let tool = steps.step("cargo-mutants", || install(project))?;
    let file = folder(project).join("last.diff");
    fs::write(&file, diff)?;
    let run = command(project, &scratch, &tool).args(["--in-diff"]).args([file]).args(["--", "--lib"]);
    let (log, run) = ProcessLog::of(run, folder(project).join("last.log"))?;
    let mut ended = None;
    steps.step(name, || {
        let mut running: Running = run.start()?;
        ended = running.code_within(LAST_COMMIT)?;
        let Some(code) = ended else { return Ok(()) };
        log.explain(ended_well(code))?;
        let outcomes = Outcomes::read(project)?;
        println!("    {} caught, {} survived", outcomes.caught.len(), outcomes.survived.len());
        explained(&outcomes.survived, &list.survivors)
    })?;
    match ended {
        Some(_) => Ok(()),
        None => steps.not_run(name, "the time was up before there was a result"),
    }
}

fn folder(project: &Project) -> PathBuf {
    project.target.join("mutants")
}

/// `cargo mutants` on the scratch copy, which it changes in place: the builds are incremental, and the dependencies are
/// built already. It skips the tests without a mutant, because `cargo test` runs them.
fn command(project: &Project, scratch: &Scratch, tool: &Path) -> Run {
    let run =
        scratch.beside_the_original(Run::new(tool).within(&scratch.tree)).args(["mutants", "--in-place"]);
    let run = run.args([
        "--package=domain",
        "--package=store",
        "--no-shuffle",
        "--baseline",
        "skip",
        "--timeout",
        ONE_MUTANT_SECONDS,
    ]);
    run.args(["--cargo-arg=--offline", "--output"]).args([folder(project)])
}

fn ended_well(code: i32) -> Result<()> {
    ensure!(RESULTS.contains(&code), "cargo mutants ended with {code}");
    Ok(())
}

/// Installs cargo-mutants if necessary, and returns the program.
fn install(project: &Project) -> Result<PathBuf> {
    let root = project.tools().join("cargo-mutants");
    let program = root.join("bin").join("cargo-mutants");
    let (stamp, wanted) = (root.join("installed"), format!("{VERSION}\n"));
    if program.is_file() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(program);
    }
    let install = project.plain_cargo().within(&project.root);
    let install = install.args([
        "install",
        "cargo-mutants",
        "--debug",
        "--locked",
        "--force",
        "--version",
        VERSION,
        "--root",
    ]);
    process::run(install.args([&root]))
        .context("cannot install cargo-mutants; is crates.io within reach?")?;
    fs::write(stamp, wanted)?;
    Ok(program)
}

/// The diff of those files since the commit before the last; `None` if there is no such commit.
fn last_commit(project: &Project, files: &[String]) -> Result<Option<String>> {
    let git = |arguments: &[&str]| {
        let git = Run::new("git").within(&project.root).args(arguments).stderr(std::process::Stdio::null());
        process::output(git, Duration::from_secs(60))
    };
    if git(&["rev-parse", "--verify", "HEAD~1"]).is_err() {
        return Ok(None);
    }
    let arguments = ["diff", "--no-ext-diff", "--no-color", "HEAD~1", "--"].into_iter();
    git(&arguments.chain(files.iter().map(String::as_str)).collect::<Vec<_>>()).map(Some)
}

/// The results of a run. Mutants are named without line and column, which change often.
#[derive(Debug, Default)]
struct Outcomes {
    caught: BTreeSet<String>,
    survived: BTreeSet<String>,
}

impl Outcomes {
    /// Reads what cargo-mutants has written.
    fn read(project: &Project) -> Result<Self> {
        let written = folder(project).join("mutants.out");
        let read = |names: &[&str]| -> Result<BTreeSet<String>> {
            let mut found = BTreeSet::new();
            for name in names {
                let text = fs::read_to_string(written.join(name)).unwrap_or_default();
                found.extend(text.lines().map(without_place));
            }
            Ok(found)
        };
        Ok(Self {
            caught: read(&["caught.txt", "previously_caught.txt", "timeout.txt", "unviable.txt"])?,
            survived: read(&["missed.txt"])?,
        })
    }
}

/// `shared/domain/src/operation/hold.rs:12:5: replace a with b in c` without `:12:5`.
fn without_place(line: &str) -> String {
    match line.split_once(": ") {
        Some((place, mutation)) => format!("{}: {mutation}", place.split(':').next().unwrap_or(place)),
        None => line.to_owned(),
    }
}

/// # Errors
/// When a mutant survives without a reason.
fn explained(survived: &BTreeSet<String>, known: &[Survivor]) -> Result<()> {
    let open: Vec<_> =
        survived.iter().filter(|name| !known.iter().any(|known| known.mutant == **name)).collect();
    let list: String = open.iter().map(|name| format!("\n    {name}")).collect();
    ensure!(open.is_empty(), "{} mutants survive without a reason in tests/mutants.toml:{list}", open.len());
    Ok(())
}

/// # Errors
/// When there is a reason for a mutant that is caught.
fn up_to_date(outcomes: &Outcomes, known: &[Survivor]) -> Result<()> {
    let stale: Vec<_> =
        known.iter().map(|known| &known.mutant).filter(|name| outcomes.caught.contains(*name)).collect();
    ensure!(stale.is_empty(), "tests/mutants.toml explains mutants that are caught now: {stale:#?}");
    Ok(())
}

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn a_mutant_is_named_by_its_file_and_its_change() {
        assert_eq!(
            without_place(
                "shared/domain/src/operation/hold.rs:92:5: replace capture -> Result<Posting> with Ok(Default::default())"
            ),
            "shared/domain/src/operation/hold.rs: replace capture -> Result<Posting> with Ok(Default::default())"
        );
    }

    #[test]
    fn a_survivor_needs_a_reason_and_a_caught_mutant_must_not_have_one() {
        let known = [Survivor { mutant: "a.rs: replace b with c".to_owned(), reason: "equal".to_owned() }];
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert!(explained(&names(&[]), &known).is_ok());
        assert!(explained(&names(&["a.rs: replace b with c"]), &known).is_ok());
        let open =
            explained(&names(&["a.rs: replace b with c", "a.rs: replace d with e"]), &known).unwrap_err();
        assert!(
            open.to_string().contains("1 mutants") && open.to_string().contains("replace d with e"),
            "{open}"
        );
        let caught = Outcomes { caught: names(&["a.rs: replace b with c"]), survived: names(&[]) };
        assert!(up_to_date(&caught, &known).is_err());
        assert!(up_to_date(&Outcomes::default(), &known).is_ok());
    }
}
