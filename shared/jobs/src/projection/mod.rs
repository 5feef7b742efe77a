//! Projection: completes what writers may have left unfinished, from the stream of the ledger table. Every sequence gets
//! its row, and every row its place in the account's hash chain; events are emitted and rollups are counted.

mod account;
mod budgets;
mod error;
mod missed;
mod records;
mod runaways;
mod skip;

use std::error::Error;
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{self, StreamExt};
use ports::{Bus, BusEvent, Queue};
use scrip_payments::RechargeRequest;
use store::{Activity, Ledger, Moment, Settings};

pub use error::ProjectionError;
pub use missed::{MissedProgress, project_missed};
pub use records::{Record, is_after};
pub use skip::SKIPPED;

use crate::RenewalTask;
use account::AccountRecords;
use records::{Batch, earlier_of};

/// For how many accounts of a batch records are projected at the same time.
const ACCOUNTS_AT_ONCE: usize = 32;

/// How long a request may take from its debit to its rows before the projector writes them.
pub const ROW_GRACE: Duration = Duration::from_millis(200);

/// The log message for an account that its projection job projects, because it could not be projected with its record.
pub const LEFT_TO_JOB: &str = "an account is left to its projection job";

/// What projection uses besides the ledger.
#[derive(Clone, Copy)]
pub struct Others<'a> {
    /// The table that has the rollups.
    pub activity: &'a Activity,
    /// The table that has organisations and their API keys, of which one may be paused.
    pub settings: &'a Settings,
    /// The bus that events are published to.
    pub bus: &'a dyn Bus,
    /// The queue of auto-recharge, for accounts below their threshold.
    pub recharges: &'a dyn Queue<RechargeRequest>,
    /// The queue of renewal, for accounts with monitors that received credits.
    pub tasks: &'a dyn Queue<RenewalTask>,
    /// When the records arrived.
    pub moment: Moment,
    /// How long a request may take from its debit to its rows, see [`ROW_GRACE`].
    pub grace: Duration,
}

/// Projects records of the stream: completes rows, emits and publishes events, counts rollups, and notifies auto-recharge and
/// renewal. Accounts are projected side by side, each in the order of its records. Returns the first record that must be
/// delivered again, with all records after it. A record that is projected twice changes nothing.
///
/// Only a row needs its record, so a record is returned only if its row, or the event in it, could not be written. For
/// everything else a projection job of the account is scheduled: an account or a queue that fails costs the others nothing.
/// What is unreadable is skipped, see [`SKIPPED`]: the account waits until the item is repaired.
pub async fn project(
    ledger: &Ledger,
    others: &Others<'_>,
    records: impl IntoIterator<Item = Record>,
) -> Option<String> {
    let Batch { accounts, events, failed } = Batch::of(ledger, records).await;
    let accounts = accounts.into_iter().map(|(id, states)| {
        let records = AccountRecords { ledger, others, id };
        async move { records.project(states).await }
    });
    let accounts = stream::iter(accounts).buffer_unordered(ACCOUNTS_AT_ONCE).collect::<Vec<_>>();
    let (unwritten, unpublished) = join(Box::pin(accounts), publish(others.bus, events)).await;
    unwritten.into_iter().flatten().chain(unpublished).chain(failed).reduce(earlier_of)
}

/// Publishes events. Returns the earliest record to deliver again.
async fn publish(bus: &dyn Bus, events: Vec<(String, BusEvent)>) -> Option<String> {
    if events.is_empty() {
        return None;
    }
    let (places, events): (Vec<_>, Vec<_>) = events.into_iter().unzip();
    let unpublished = bus.publish(&events).await.err()?;
    tracing::error!(cause = &unpublished as &dyn Error, "events could not be published");
    let failed = unpublished.places.into_iter().filter_map(|place| places.get(place).cloned());
    failed.reduce(earlier_of)
}
