use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What a run does, one after the other, and how long each took.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration, bool)>,
    not_run: Vec<(String, &'static str)>,
    last_words: Option<String>,
}

impl Steps {
    /// Does one step. Its own output has been shown when it fails.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("==> {name}");
        let started = Instant::now();
        let outcome = work();
        self.done.push((name.to_owned(), started.elapsed(), outcome.is_ok()));
        outcome.with_context(|| name.to_owned())
    }

    /// Notes what has had no result, which is no failure, and why.
    pub(crate) fn not_run(&mut self, name: &str, why: &'static str) -> Result<()> {
        println!("==> NOT RUN: {name}: {why}");
        self.not_run.push((name.to_owned(), why));
        Ok(())
    }

    /// What the run is to close with.
    pub(crate) fn close_with(&mut self, words: String) {
        self.last_words = Some(words);
    }

    /// Prints how it went.
    pub(crate) fn tell(&self) {
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
        if let Some(words) = &self.last_words {
            println!("\n{words}");
        }
    }
}
