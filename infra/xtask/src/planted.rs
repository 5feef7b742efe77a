//! `cargo xtask mutants --planted`: mutants that were written by hand, because they once passed every test or might. The
//! tests that tests/mutants.toml names have to fail for each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::mutant_list::{MutantList, Planted, SWITCH};
use crate::process::{ProcessLog, Run};
use crate::project::Project;
use crate::scratch::Scratch;
use crate::steps::Steps;

/// How long a build and its tests may take. A mutant that never ends does not count as caught.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// The tests that mutants are planted for. With the whole workspace, dependencies keep the features that they were built
/// with.
const TESTS: [&str; 5] = ["test", "--offline", "--workspace", "--lib", "--test=all"];

/// Whether the tests are first run without any mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Baseline {
    /// They are.
    Run,
    /// They are not, because the caller runs all tests.
    Skip,
}

/// Plants all mutants together in a scratch copy, and checks for each that its tests fail when it takes effect.
pub(crate) fn check(project: &Project, baseline: Baseline, steps: &mut Steps) -> Result<()> {
    let list = MutantList::read(project)?;
    ensure!(!list.planted.is_empty(), "tests/mutants.toml has no planted mutants");
    let scratch = steps.step("a scratch copy of the tree", || Scratch::make(project))?;
    let mut before = BTreeMap::new();
    steps.step("a build of the tests with planted mutants", || {
        for (planted, number) in list.planted.iter().zip(1_u32..) {
            let text =
                fs::read_to_string(scratch.tree.join(&planted.file)).with_context(|| planted.file.clone())?;
            let old = scratch.replace(&planted.file, &planted.plant_switched(&text, number)?)?;
            before.entry(&planted.file).or_insert(old);
        }
        let (log, cargo) = logged(project, scratch.cargo(project).args(TESTS).args(["--no-run"]))?;
        let built = cargo.start()?.code_within(PATIENCE)?;
        log.explain(built.filter(|code| *code == 0).context("the tests with planted mutants do not build"))?;
        Ok(())
    })?;
    if baseline == Baseline::Run {
        run_without_mutants(project, &scratch, &list, steps)?;
    }
    for (planted, number) in list.planted.iter().zip(1_u32..) {
        steps.step(&format!("planted: {}", planted.name), || {
            check_killed(project, &scratch, planted, number)
        })?;
    }
    for (file, text) in before {
        scratch.replace(file, &text)?;
    }
    Ok(())
}

fn check_killed(project: &Project, scratch: &Scratch, planted: &Planted, number: u32) -> Result<()> {
    let names = planted.killed_by.iter().map(String::as_str).collect();
    let switched = scratch.cargo(project).env(SWITCH, number.to_string());
    planted.check_killed(&run(project, switched, &names)?)
}

/// Has the output of a command in a file.
fn logged(project: &Project, command: Run) -> Result<(ProcessLog, Run)> {
    ProcessLog::of(command, project.target.join("mutants").join("planted.log"))
}

/// Runs the tests that have to fail for a mutant, which must pass without one.
fn run_without_mutants(
    project: &Project,
    scratch: &Scratch,
    list: &MutantList,
    steps: &mut Steps,
) -> Result<()> {
    steps.step("the tests of planted mutants, without them", || {
        let named = list.planted.iter().flat_map(|planted| &planted.killed_by);
        let names: BTreeSet<&str> = named.map(String::as_str).collect();
        let passed = run(project, scratch.cargo(project), &names)?;
        let failed: Vec<_> = names.iter().filter(|name| passed.get(**name) != Some(&true)).collect();
        ensure!(failed.is_empty(), "these tests fail or do not exist: {failed:?}");
        Ok(())
    })
}

/// Runs those tests, and returns whether each of them has passed.
fn run(project: &Project, cargo: Run, names: &BTreeSet<&str>) -> Result<BTreeMap<String, bool>> {
    let cargo = cargo.args(TESTS).args(["--no-fail-fast", "--", "--exact", "--format=pretty"]);
    let (log, cargo) = logged(project, cargo.args(names))?;
    let ended = cargo.start()?.code_within(PATIENCE)?;
    let passed = outcomes(&log.text()?);
    let ended = log.explain(ended.filter(|_| !passed.is_empty()).context("no test has run"));
    ended.map(|_| passed)
}

/// Reads which tests have passed from libtest's output: `test a::b ... ok`.
fn outcomes(text: &str) -> BTreeMap<String, bool> {
    let each = text.lines().filter_map(|line| line.strip_prefix("test ")?.split_once(" ... "));
    let known = each.filter_map(|(name, outcome)| match outcome.split_whitespace().next()? {
        "ok" => Some((name.to_owned(), true)),
        "FAILED" => Some((name.to_owned(), false)),
        _ => None,
    });
    known.collect()
}

#[cfg(test)]
mod checks {
    use super::outcomes;

    #[test]
    fn outcomes_are_read_from_libtests_output() {
        let passed = outcomes(
            "\nrunning 3 tests\ntest a::b ... ok\ntest a::c ... FAILED\ntest a::d ... ignored\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored\n",
        );
        assert_eq!(
            passed.into_iter().collect::<Vec<_>>(),
            [("a::b".to_owned(), true), ("a::c".to_owned(), false)]
        );
    }
}
