//! The project's own commands: `cargo xtask test` and its parts.
//!
//! Linux and macOS. What a command needs beside Rust and Python 3 it installs into `target/tools`; what
//! it starts it ends, also on Ctrl-C.

#![expect(clippy::print_stdout, reason = "progress is what a command-line tool prints")]

mod guided;
mod http;
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

/// Checks the project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Subcommand)]
enum Command {
    /// Everything: lint, template, lambda, snippet, planted mutants, and all tests.
    Test,
    /// rustfmt and clippy.
    Lint,
    /// template.yaml: that it and the router of Cargo.toml are what infra/stack and functions/*/function.yaml say; then
    /// cfn-lint and `sam validate --lint`.
    Template {
        /// Writes them, and checks nothing.
        #[arg(long)]
        write: bool,
    },
    /// The functions as Lambda runs them: `cargo lambda watch`, every event file, every route.
    Lambda,
    /// The JavaScript of the API's documentation, against a machine with demo data.
    Snippet,
    /// Mutates the rules of credit and the write path with cargo-mutants, and has the fast tests (`cargo test --lib` of the mutated crate)
    /// tell each mutant from the code. What survives needs a reason in tests/mutants.toml. It takes hours; interrupted, it
    /// goes on where it was.
    Mutants {
        /// Only the mutants of tests/mutants.toml that were planted by hand, which takes minutes.
        #[arg(long, conflicts_with = "files")]
        planted: bool,
        /// The files to be mutated; those of tests/mutants.toml when none is given.
        files: Vec<String>,
    },
    /// Sends the messages of a queue of failures again: `cargo run -- redrive`, which has `--help`.
    Redrive {
        /// What `scrip redrive` is to be told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Has the projector follow what it has missed: `cargo run -- follow`, which has `--help`.
    Follow {
        /// What `scrip follow` is to be told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Verifies the ledgers of a deployment, or with `--data DIR` of a data folder: `cargo run -- audit`, which has
    /// `--account` and `--help`.
    Audit {
        /// What `scrip audit` is to be told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    let mut steps = Steps::default();
    let outcome = process::end_with_us().and_then(|()| run(command, &mut steps));
    steps.tell();
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

fn run(command: Command, steps: &mut Steps) -> anyhow::Result<()> {
    // It is the service's own code that audits, follows and sends again, and this is built without it.
    match &command {
        Command::Audit { arguments } => return process::run(project::scrip(["audit"]).args(arguments)),
        Command::Follow { arguments } => return process::run(project::scrip(["follow"]).args(arguments)),
        Command::Redrive { arguments } => return process::run(project::scrip(["redrive"]).args(arguments)),
        Command::Test
        | Command::Lint
        | Command::Template { .. }
        | Command::Lambda
        | Command::Snippet
        | Command::Mutants { .. } => (),
    }
    let project = Project::find()?;
    match command {
        Command::Test => tests::everything(project, steps),
        Command::Lint => lint::check(&project, steps),
        Command::Template { write: true } => template::write(&project, steps),
        Command::Template { write: false } => template::check(&project, steps),
        Command::Lambda => {
            tests::build(&project, steps)?;
            lambda::check(&project, steps)
        }
        Command::Snippet => {
            tests::build(&project, steps)?;
            snippet::check(&project, steps)
        }
        Command::Mutants { planted: true, .. } => planted::check(&project, steps),
        Command::Mutants { files, .. } => mutants::all(&project, &files, steps),
        Command::Audit { .. } | Command::Follow { .. } | Command::Redrive { .. } => Ok(()),
    }
}
