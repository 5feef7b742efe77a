use anyhow::{Result, ensure};

use crate::localstripe::Localstripe;
use crate::ministack::Ministack;
use crate::project::Project;
use crate::steps::Steps;
use crate::tools::{DATEUTIL, STRIPE_SDK, WEBHOOK_VERIFIER, WEBHOOK_VERIFIERS, node};
use crate::{lambda, lint, mutants, planted, process, snippet, template};

/// All checks, the quick ones first; `cargo test` last, so that a run closes with what it says. Everything is built once:
/// clippy looks at what the tests, the functions and the local machine are run from.
pub(crate) fn everything(project: Project, steps: &mut Steps) -> Result<()> {
    let project = &project.linting()?;
    lint::format(project, steps)?;
    template::check(project, steps)?;
    build(project, steps)?;
    lambda::check(project, steps)?;
    snippet::check(project, steps)?;
    planted::check(project, steps)?;
    mutants::of_last_commit(project, steps)?;
    test(project, steps)
}

/// Builds what the tests and the local machine run, with the features that `cargo test` gives it.
pub(crate) fn build(project: &Project, steps: &mut Steps) -> Result<()> {
    steps.step("cargo build", || process::run(project.cargo(["build", "--workspace", "--all-targets"])))
}

/// All tests; those that take a second opinion, on DynamoDB, Secrets Manager, Stripe, webhooks or dates, ask
/// what others have written.
fn test(project: &Project, steps: &mut Steps) -> Result<()> {
    let mut counted = Counted::default();
    let outcome = steps.step("cargo test", || {
        let second = Ministack::start(project)?;
        let localstripe = Localstripe::start(project)?;
        // All but the examples in documentation, of which there are none (tests/contract/architecture/mod.rs).
        let tests = project.cargo(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
        let tests = tests
            .env("SCRIP_SECOND_DYNAMODB", &second.endpoint)
            .env("SCRIP_SECRETS_MANAGER", &second.endpoint)
            .env("SCRIP_LOCALSTRIPE", &localstripe.url)
            .env("SCRIP_STRIPE_SDK", STRIPE_SDK.install(project)?.join("python"))
            .env("SCRIP_WEBHOOK_VERIFIERS", WEBHOOK_VERIFIERS.install(project)?.join("python"))
            .env("SCRIP_NODE", node(project)?)
            .env("SCRIP_NODE_MODULES", WEBHOOK_VERIFIER.install(project)?)
            .env("SCRIP_DATEUTIL", DATEUTIL.install(project)?.join("python"));
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

/// What libtest says at the end of each binary, added up.
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
