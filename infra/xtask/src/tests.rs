//! `cargo xtask test`: everything that CI runs.

use std::num::NonZero;

use anyhow::{Result, ensure};

use crate::localstripe::Localstripe;
use crate::ministack::Ministack;
use crate::process::Run;
use crate::project::Project;
use crate::steps::Steps;
use crate::tools::{
    CARGO_LAMBDA, DATEUTIL, DOCUMENT_READERS, LOCALSTRIPE, MINISTACK, STRIPE_SDK, WEBHOOK_VERIFIER,
    WEBHOOK_VERIFIERS, node,
};
use crate::{lambda, lint, mutants, planted, process, snippet, template};

/// Runs all checks, the quick ones first and beside the build, and `cargo test` last, so that a run ends with its result. Everything is built once:
/// the build that clippy checks is the one that the tests, the functions and the local machine run from.
pub(crate) fn everything(project: Project, steps: &mut Steps) -> Result<()> {
    let project = &project.linting()?;
    lint::format(project, steps)?;
    // What is installed meanwhile waits for the network most of the time.
    let building = cargo_build(project).start()?;
    template::check(project, steps)?;
    steps.step("tools of the tests", || install(project))?;
    steps.step("cargo build, begun before", || building.finish())?;
    lambda::check(project, steps)?;
    snippet::check(project, steps)?;
    planted::check(project, planted::Baseline::Skip, steps)?;
    mutants::of_last_commit(project, steps)?;
    test(project, steps)
}

/// Builds what the tests and the local machine run, with the features that `cargo test` chooses.
pub(crate) fn build(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.step("cargo build", || process::run(cargo_build(project)))
}

fn cargo_build(project: &Project) -> Run {
    project.cargo(["build", "--workspace", "--all-targets"])
}

/// Installs the programs that the functions and the tests run with.
fn install(project: &Project) -> Result<()> {
    for tool in [&MINISTACK, &CARGO_LAMBDA, &LOCALSTRIPE, &STRIPE_SDK, &WEBHOOK_VERIFIERS, &DATEUTIL] {
        tool.install(project)?;
    }
    node(project)?;
    WEBHOOK_VERIFIER.install(project)?;
    Ok(())
}

/// Runs all tests, including those that compare Scrip with other implementations: of DynamoDB, Secrets Manager, Stripe,
/// webhook verification, dates, spreadsheets and PDF.
fn test(project: &Project, steps: &mut Steps) -> Result<()> {
    let mut counted = Counted::default();
    let outcome = steps.step("cargo test", || {
        let second = Ministack::start(project)?;
        let localstripe = Localstripe::start(project)?;
        // Without the examples in documentation, because there are none (tests/contract/architecture).
        let tests = project.cargo(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
        let tests = tests
            .env("RUST_TEST_THREADS", threads())
            .env("SCRIP_SECOND_DYNAMODB", &second.endpoint)
            .env("SCRIP_SECRETS_MANAGER", &second.endpoint)
            .env("SCRIP_LOCALSTRIPE", &localstripe.url)
            .env("SCRIP_STRIPE_SDK", STRIPE_SDK.install(project)?.join("python"))
            .env("SCRIP_WEBHOOK_VERIFIERS", WEBHOOK_VERIFIERS.install(project)?.join("python"))
            .env("SCRIP_NODE", node(project)?)
            .env("SCRIP_NODE_MODULES", WEBHOOK_VERIFIER.install(project)?)
            .env("SCRIP_DATEUTIL", DATEUTIL.install(project)?.join("python"))
            .env("SCRIP_DOCUMENT_READERS", DOCUMENT_READERS.install(project)?.join("python"));
        process::each_line(tests, |line| {
            println!("{line}");
            counted.add(line);
        })
    });
    steps.close_with(format!("{} passed, {} failed", counted.passed, counted.failed));
    outcome?;
    ensure!(counted.passed > 0, "cargo test ran no test");
    Ok(())
}

/// How many tests run at once: two for each processor, because crash tests wait half of their time.
fn threads() -> String {
    let chosen = std::env::var("RUST_TEST_THREADS");
    chosen.unwrap_or_else(|_| {
        std::thread::available_parallelism().map_or(1, NonZero::get).saturating_mul(2).to_string()
    })
}

/// The results that libtest prints at the end of each binary, added up.
#[derive(Default)]
struct Counted {
    passed: u32,
    failed: u32,
}

impl Counted {
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = result.split_whitespace().collect();
        for pair in words.windows(2) {
            let [number, what] = pair else { continue };
            let number = number.parse().unwrap_or(0);
            match what.trim_end_matches(';') {
                "passed" => self.passed = self.passed.saturating_add(number),
                "failed" => self.failed = self.failed.saturating_add(number),
                _ => (),
            }
        }
    }
}

#[cfg(test)]
mod checks {
    use super::Counted;

    #[test]
    fn results_are_added_up() {
        let mut counted = Counted::default();
        for line in [
            "test books::balance ... ok",
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            counted.add(line);
        }
        assert_eq!((counted.passed, counted.failed), (15, 1));
    }
}
