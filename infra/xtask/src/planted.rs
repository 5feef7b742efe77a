//! `cargo xtask mutants --planted`: mutants that were written by hand, because they once passed every test or might. The
//! tests that tests/mutants.toml names have to fail for each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::mutant_list::{MutantList, Planted, SWITCH, Where};
use crate::process::{ProcessLog, Run};
use crate::project::Project;
use crate::scratch::Scratch;
use crate::steps::Steps;

/// How long a build and its tests may take. A mutant that never ends does not count as caught.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Whether the tests are first run without any mutant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Baseline {
    /// They are.
    Run,
    /// They are not, because the caller runs all tests.
    Skip,
}

/// Plants one mutant after the other in a scratch copy.
pub(crate) fn check(project: &Project, baseline: Baseline, steps: &mut Steps) -> Result<()> {
    let list = MutantList::read(project)?;
    ensure!(!list.planted.is_empty(), "tests/mutants.toml has no planted mutants");
    let scratch = steps.step("a scratch copy of the tree", || Scratch::make(project))?;
    if baseline == Baseline::Run {
        run_without_mutants(project, &scratch, &list, steps)?;
    }
    let (alone, together): (Vec<_>, Vec<_>) =
        list.planted.iter().partition(|planted| planted.tests == Where::Domain);
    for planted in alone {
        steps.step(&format!("planted: {}", planted.name), || kill(project, &scratch, planted))?;
    }
    kill_each(project, &scratch, &together, steps)
}

/// Plants mutants together, because the package `tests` takes long to build, and checks for each that its tests fail.
fn kill_each(project: &Project, scratch: &Scratch, mutants: &[&Planted], steps: &mut Steps) -> Result<()> {
    let mut before = BTreeMap::new();
    steps.step("a build of the tests with planted mutants", || {
        for (planted, number) in mutants.iter().zip(1_u32..) {
            let text =
                fs::read_to_string(scratch.tree.join(&planted.file)).with_context(|| planted.file.clone())?;
            let old = scratch.replace(&planted.file, &planted.plant_switched(&text, number)?)?;
            before.entry(&planted.file).or_insert(old);
        }
        let cargo = scratch.cargo(project).args(["test", "--offline", "--no-run"]);
        let (log, cargo) = logged(project, cargo.args(Where::Tests.target()))?;
        let built = cargo.start()?.code_within(PATIENCE)?;
        log.explain(built.filter(|code| *code == 0).context("the tests with planted mutants do not build"))?;
        Ok(())
    })?;
    for (planted, number) in mutants.iter().zip(1_u32..) {
        steps.step(&format!("planted: {}", planted.name), || {
            let names = planted.killed_by.iter().map(String::as_str).collect();
            let switched = scratch.cargo(project).env(SWITCH, number.to_string());
            planted.check_killed(&run(project, switched, Where::Tests, &names)?)
        })?;
    }
    for (file, text) in before {
        scratch.replace(file, &text)?;
    }
    Ok(())
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
        let mut named: BTreeMap<Where, BTreeSet<&str>> = BTreeMap::new();
        for planted in &list.planted {
            named.entry(planted.tests).or_default().extend(planted.killed_by.iter().map(String::as_str));
        }
        for (place, names) in named {
            let passed = run(project, scratch.cargo(project), place, &names)?;
            let failed: Vec<_> = names.iter().filter(|name| passed.get(**name) != Some(&true)).collect();
            ensure!(failed.is_empty(), "these tests fail or do not exist: {failed:?}");
        }
        Ok(())
    })
}

/// Plants a mutant, and checks that its tests fail.
fn kill(project: &Project, scratch: &Scratch, planted: &Planted) -> Result<()> {
    let text = fs::read_to_string(scratch.tree.join(&planted.file)).with_context(|| planted.file.clone())?;
    let before = scratch.replace(&planted.file, &planted.plant(&text)?)?;
    let names = planted.killed_by.iter().map(String::as_str).collect();
    let passed = run(project, scratch.cargo(project), planted.tests, &names);
    scratch.replace(&planted.file, &before)?;
    planted.check_killed(&passed?)
}

/// Runs those tests, and returns whether each of them has passed.
fn run(
    project: &Project,
    cargo: Run,
    place: Where,
    names: &BTreeSet<&str>,
) -> Result<BTreeMap<String, bool>> {
    let cargo = cargo.args(["test", "--offline"]).args(place.target());
    let (log, cargo) = logged(project, cargo.args(["--", "--exact", "--format=pretty"]).args(names))?;
    let ended = cargo.start()?.code_within(PATIENCE)?;
    let passed = outcomes(&log.text()?);
    // Without any result the mutant does not compile.
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
