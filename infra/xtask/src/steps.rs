//! The steps of a run: prints each, and a summary at the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The steps that were run, how long each took, and whether it passed.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, bool)>,
    not_run: Vec<(String, &'static str)>,
    summary: Option<String>,
}

impl Steps {
    /// Runs one step, which prints its own output.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = work();
        self.done.push((name.to_owned(), started.elapsed(), outcome.is_ok()));
        outcome.with_context(|| name.to_owned())
    }

    /// Records that a step had no result, which is not a failure, and why.
    pub(crate) fn not_run(&mut self, name: &str, why: &'static str) -> Result<()> {
        println!("==> NOT RUN: {name}: {why}");
        self.not_run.push((name.to_owned(), why));
        Ok(())
    }

    /// Sets the last line of the run's output.
    pub(crate) fn close_with(&mut self, summary: String) {
        self.summary = Some(summary);
    }

    /// Prints the outcome of each step.
    pub(crate) fn print(&self) {
        if self.done.is_empty() {
            return;
        }
        println!();
        for (name, took, passed) in &self.done {
            let mark = if *passed { "ok    " } else { "FAILED" };
            println!("{mark} {:>7.1} s  {name}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took, _)| *took).sum();
        println!("       {:>7.1} s  in all", total.as_secs_f64());
        for (name, why) in &self.not_run {
            println!("NOT RUN            {name}: {why}");
        }
        if let Some(summary) = &self.summary {
            println!("\n{summary}");
        }
    }
}
