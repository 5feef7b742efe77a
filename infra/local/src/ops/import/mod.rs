//! `scrip import`: opens the organisations of a CSV file and grants their credits, through the API of a deployment.
//!
//! Every request has an idempotency key that is made from the row's `externalId`, so the command may be ended and repeated:
//! what was done is not done twice.

mod arguments;
mod client;
mod rows;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use futures_util::stream::iter;
use scrip_http::{Clock, SystemClock};
use secrecy::SecretString;

pub use arguments::ImportArguments;
use client::ImportClient;

/// How often a line of progress is printed.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// What is imported, and where to.
#[derive(Debug)]
pub struct ImportOrder {
    /// The CSV file.
    pub file: PathBuf,
    /// The URL of the API.
    pub url: String,
    /// An operator's key with the role `money` or `owner`.
    pub key: SecretString,
    /// How many organisations are imported side by side.
    pub parallel: usize,
    /// The CSV file that gets a line for each organisation.
    pub report: PathBuf,
    /// Whether the file is only checked.
    pub is_check: bool,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowOutcome {
    /// The organisation was opened, by this run or an earlier one, and has its credits.
    Imported(String),
    /// The organisation was opened in another way, or more than 30 days ago. Nothing was granted.
    Known(String),
    /// The reason why it was not imported.
    Failed(String),
}

#[derive(Debug, Default)]
struct ImportTotals {
    done: usize,
    known: usize,
    failed: usize,
}

/// Imports a file, prints how far it is, and writes the report.
///
/// # Errors
/// When the file cannot be read or a row of it is invalid, before anything is sent; when the report cannot be written; when
/// an organisation was not imported.
pub async fn import(order: &ImportOrder, print: &mut (dyn FnMut(&str) + Send)) -> anyhow::Result<()> {
    let rows = rows::read(&order.file)?;
    let count = rows.len();
    if order.is_check {
        rows::expire_later(&rows, SystemClock.now())?;
        print(&format!("organisations: {count}; the file is valid, and nothing was sent"));
        return Ok(());
    }
    let client = Arc::new(ImportClient::new(&order.url, &order.key)?);
    rows::expire_later(&rows, client.check().await.context("nothing was sent")?)?;
    let mut report = csv::Writer::from_path(&order.report)
        .with_context(|| format!("cannot write {}", order.report.display()))?;
    report.write_record(["externalId", "outcome", "organisationId", "problem"])?;
    let (begun, mut printed, mut totals) = (Instant::now(), Instant::now(), ImportTotals::default());
    let mut outcomes = iter(rows)
        .map(|row| {
            let client = client.clone();
            async move {
                let outcome = client.import(&row).await;
                (row.external_id, outcome)
            }
        })
        .buffer_unordered(order.parallel.max(1));
    while let Some((external_id, outcome)) = outcomes.next().await {
        totals.add(&outcome);
        let line = match &outcome {
            RowOutcome::Imported(org) => [external_id.as_str(), "imported", org, ""],
            RowOutcome::Known(org) => {
                [external_id.as_str(), "known", org, "it existed already; nothing was granted"]
            }
            RowOutcome::Failed(problem) => [external_id.as_str(), "failed", "", problem],
        };
        report.write_record(line)?;
        report.flush()?;
        if LINE_EVERY <= printed.elapsed() {
            printed = Instant::now();
            print(&totals.progress(count, begun.elapsed()));
        }
    }
    let ImportTotals { done, known, failed } = totals;
    let imported = done.saturating_sub(known).saturating_sub(failed);
    print(&format!(
        "{imported} imported, {known} known before, {failed} failed; see {}",
        order.report.display()
    ));
    ensure!(failed == 0, "not imported: {failed}; mend these lines, and run the same command again");
    Ok(())
}

impl ImportTotals {
    fn add(&mut self, outcome: &RowOutcome) {
        self.done = self.done.saturating_add(1);
        match outcome {
            RowOutcome::Imported(_) => (),
            RowOutcome::Known(_) => self.known = self.known.saturating_add(1),
            RowOutcome::Failed(_) => self.failed = self.failed.saturating_add(1),
        }
    }

    /// A line that says how far the import is, and how long the rest takes if it goes on like this.
    fn progress(&self, count: usize, elapsed: Duration) -> String {
        let left = u32::try_from(count.saturating_sub(self.done)).unwrap_or(u32::MAX);
        let each = elapsed.checked_div(u32::try_from(self.done).unwrap_or(u32::MAX)).unwrap_or_default();
        let rest = each.saturating_mul(left).as_secs();
        format!("{} of {count} organisations, {} failed; about {rest} s left", self.done, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_names_what_is_left() {
        let totals = ImportTotals { done: 50, known: 1, failed: 2 };
        let line = totals.progress(200, Duration::from_secs(10));
        assert_eq!(line, "50 of 200 organisations, 2 failed; about 30 s left");
    }
}
