//! The project's own commands: `cargo xtask test` and its parts.
//!
//! They run on Linux and macOS, and need Rust and Python 3. Everything else they install into `target/tools`. A command
//! ends the processes that it has started, also on Ctrl-C.

#![expect(clippy::print_stdout, reason = "progress is what a command-line tool prints")]

mod follow;
mod grant_tables;
mod grants;
mod guided;
mod http;
mod key_routes;
mod lambda;
mod lint;
mod localstripe;
mod loops;
mod machine;
mod ministack;
mod mutant_list;
mod mutants;
mod planted;
mod process;
mod project;
mod route_caller;
mod router;
mod routes;
mod scratch;
mod snippet;
mod stack;
mod steps;
mod template;
mod tests;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use project::Project;
use steps::Steps;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct XtaskArguments {
    #[command(subcommand)]
    command: XtaskCommand,
}

#[derive(Clone, Subcommand)]
enum XtaskCommand {
    /// Run everything: lint, template, lambda, snippet, planted mutants, and all tests.
    Test,
    /// Run rustfmt and clippy.
    Lint,
    /// Check that template.yaml and the router of Cargo.toml match infra/stack and functions/*/function.yaml, and lint the
    /// template with cfn-lint and `sam validate --lint`.
    Template {
        /// Write both files instead of checking them.
        #[arg(long)]
        write: bool,
    },
    /// Run the functions as Lambda runs them (`cargo lambda watch`): send every event file, call every route.
    Lambda,
    /// Run the JavaScript of the API's documentation against a local machine with demo data.
    Snippet,
    /// Mutate the rules of credit and the write path with cargo-mutants, and check that the fast tests (`cargo test --lib` of
    /// the mutated crate) fail for each mutant. A mutant that survives needs a reason in tests/mutants.toml. This takes
    /// hours; after an interruption it continues where it stopped.
    Mutants {
        /// Only the mutants that tests/mutants.toml plants by hand, which takes minutes.
        #[arg(long, conflicts_with = "files")]
        planted: bool,
        /// The files to mutate; by default those that tests/mutants.toml names.
        files: Vec<String>,
    },
    /// Measure: `hot [SECONDS]`, how far the projector is behind hot accounts, under DynamoDB's limits in simulated time;
    /// `recovery [ROWS…]`, what it costs to recover lost records of the stream; `records [ROWS]`, what pages of credit records
    /// cost; `export [ROWS…]`, how long large exports take.
    Bench {
        /// The name of the measurement, and its numbers.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Send the messages of a failure queue to their queue again: `cargo run -- redrive`, which has `--help`.
    Redrive {
        /// The arguments of `scrip redrive`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Have the projector process what it has missed: `cargo run -- follow`, which has `--help`.
    Follow {
        /// The arguments of `scrip follow`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Compare rollups with the transactions that they count, and with `--write` replace those that are wrong: `cargo run --
    /// rollups`, which has `--help`.
    Rollups {
        /// The arguments of `scrip rollups`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Index the credit records of accounts that are older than the index: `cargo run -- index-records`, which has `--help`.
    IndexRecords {
        /// The arguments of `scrip index-records`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Verify the ledgers of a deployment, or with `--data DIR` of a data folder: `cargo run -- audit`, which has
    /// `--account` and `--help`.
    Audit {
        /// The arguments of `scrip audit`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let XtaskArguments { command } = XtaskArguments::parse();
    let mut steps = Steps::default();
    let outcome = process::end_with_us().and_then(|()| run(command, &mut steps));
    steps.print();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if process::is_interrupted() => {
            println!("\ninterrupted: {error:#}");
            ExitCode::from(130)
        }
        Err(error) => {
            println!("\nfailed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: XtaskCommand, steps: &mut Steps) -> anyhow::Result<()> {
    // These commands are the service's own code, and xtask is built without it.
    match &command {
        XtaskCommand::Audit { arguments } => return process::run(project::scrip(["audit"]).args(arguments)),
        XtaskCommand::Follow { arguments } => {
            return process::run(project::scrip(["follow"]).args(arguments));
        }
        XtaskCommand::IndexRecords { arguments } => {
            return process::run(project::scrip(["index-records"]).args(arguments));
        }
        XtaskCommand::Redrive { arguments } => {
            return process::run(project::scrip(["redrive"]).args(arguments));
        }
        XtaskCommand::Rollups { arguments } => {
            return process::run(project::scrip(["rollups"]).args(arguments));
        }
        XtaskCommand::Bench { arguments } => return process::run(project::bench().args(arguments)),
        XtaskCommand::Test
        | XtaskCommand::Lint
        | XtaskCommand::Template { .. }
        | XtaskCommand::Lambda
        | XtaskCommand::Snippet
        | XtaskCommand::Mutants { .. } => (),
    }
    let project = Project::find()?;
    match command {
        XtaskCommand::Test => tests::everything(project, steps),
        XtaskCommand::Lint => lint::check(&project, steps),
        XtaskCommand::Template { write: true } => template::write(&project, steps),
        XtaskCommand::Template { write: false } => template::check(&project, steps),
        XtaskCommand::Lambda => {
            tests::build(&project, steps)?;
            lambda::check(&project, steps)
        }
        XtaskCommand::Snippet => {
            tests::build(&project, steps)?;
            snippet::check(&project, steps)
        }
        XtaskCommand::Mutants { planted: true, .. } => {
            planted::check(&project, planted::Baseline::Run, steps)
        }
        XtaskCommand::Mutants { files, .. } => mutants::all(&project, &files, steps),
        XtaskCommand::Audit { .. }
        | XtaskCommand::Bench { .. }
        | XtaskCommand::Follow { .. }
        | XtaskCommand::IndexRecords { .. }
        | XtaskCommand::Redrive { .. }
        | XtaskCommand::Rollups { .. } => Ok(()),
    }
}
