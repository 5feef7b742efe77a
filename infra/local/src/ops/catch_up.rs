//! `scrip follow`: has the projector process what it has missed.

use std::collections::BTreeSet;

use anyhow::{Context, bail, ensure};
use aws_sdk_dynamodbstreams::Client as Streams;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_sdk_sqs::Client as Sqs;
use aws_sdk_sqs::types::Message;
use chrono::Duration;
use domain::AccountId;
use futures_util::stream::{self, StreamExt};
use jobs::projection::{MissedProgress, Others, is_after, project, project_missed};
use ports::Queue;
use scrip_webhooks::DeliveryRequest;
use serde::Deserialize;
use store::{Activity, Ledger, Moment};

use super::redrive;
use crate::directory::Directory;
use crate::emulation::records;

/// How many minutes the stream may take to deliver an account's last entry to the projector.
const IN_THE_STREAM_MINUTES: i64 = 5;

/// For how many seconds a received message is hidden from other receivers: long enough to process its records.
const HIDDEN_SECONDS: i32 = 300;

/// How many seconds SQS waits for messages.
const WAIT_SECONDS: i32 = 2;

/// After how many empty answers in a row the queue counts as empty.
const EMPTY_MAX: u32 = 3;

/// How many accounts are caught up at the same time.
const ACCOUNTS_AT_ONCE: usize = 16;

/// After how many accounts a line of progress is printed.
const ACCOUNTS_A_LINE: u64 = 1_000;

/// After how long the progress with one account is logged.
const A_PART: std::time::Duration = std::time::Duration::from_secs(10);

/// A queue and the client that reads it.
#[derive(Clone, Copy, Debug)]
pub struct QueueAddress<'a> {
    /// The client of the queue's region.
    pub client: &'a Sqs,
    /// The queue's URL.
    pub url: &'a str,
}

/// The message that Lambda sends to the failure queue for records that a function could not handle.
#[derive(Deserialize)]
struct FailureMessage {
    #[serde(rename = "DDBStreamBatchInfo")]
    batch: StreamBatch,
}

/// The place of those records in the stream.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamBatch {
    stream_arn: String,
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
}

/// The result of a batch.
#[derive(PartialEq, Eq)]
enum StreamBatchOutcome {
    /// The records that the stream still has were processed.
    Processed,
    /// The stream has none of its records any more.
    Expired,
}

/// Has the projector process the records that a failure queue names, as far as the stream still has them. A message is
/// deleted once its records are processed or have expired. It reads no more messages than the queue had at the
/// beginning, so a message that fails again is not read endlessly.
///
/// # Errors
/// When the queue fails, or some records fail again: their messages stay in the queue.
pub async fn reprocess_failures(
    queue: QueueAddress<'_>,
    streams: &Streams,
    ledger: &Ledger,
    others: &Others<'_>,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let QueueAddress { client, url } = queue;
    let most = usize::try_from(redrive::count(client, url).await?).unwrap_or(usize::MAX);
    let (mut processed, mut expired, mut failed, mut empty) = (0_u64, 0_u64, 0_u64, 0_u32);
    let mut known = BTreeSet::new();
    while known.len() < most && empty < EMPTY_MAX {
        let received = client.receive_message().queue_url(url).visibility_timeout(HIDDEN_SECONDS);
        let received = received.wait_time_seconds(WAIT_SECONDS).send().await.context("cannot receive")?;
        let new = received.messages.unwrap_or_default().into_iter();
        let new: Vec<_> = new.filter(|message| known.insert(message.message_id.clone())).collect();
        empty = if new.is_empty() { empty.saturating_add(1) } else { 0 };
        for Message { body, receipt_handle, .. } in new {
            match process_batch(streams, ledger, others, &body.unwrap_or_default()).await {
                Ok(outcome) => {
                    let count =
                        if outcome == StreamBatchOutcome::Expired { &mut expired } else { &mut processed };
                    *count = count.saturating_add(1);
                    let delete = client.delete_message().queue_url(url).set_receipt_handle(receipt_handle);
                    delete.send().await.context("cannot delete a message whose records were processed")?;
                }
                Err(error) => {
                    failed = failed.saturating_add(1);
                    print(&format!("failed again: {error:#}"));
                }
            }
        }
    }
    print(&format!(
        "batches of the stream: {processed} processed, {expired} older than the stream keeps them"
    ));
    ensure!(failed == 0, "{failed} batches failed again; the log says why");
    Ok(())
}

/// Has the projector process the records that one message names.
async fn process_batch(
    streams: &Streams,
    ledger: &Ledger,
    others: &Others<'_>,
    body: &str,
) -> anyhow::Result<StreamBatchOutcome> {
    let FailureMessage { batch } =
        serde_json::from_str(body).context("a message that Lambda did not send")?;
    let (mut next, mut outcome) = (iterator(streams, &batch).await?, StreamBatchOutcome::Expired);
    while let Some(iterator) = next {
        let read = match streams.get_records().shard_iterator(iterator).send().await {
            Ok(read) => read,
            Err(error) if is_expired(error.code()) => break,
            Err(error) => return Err(error).context("cannot read the stream"),
        };
        next = read.next_shard_iterator.clone();
        let all = records(read);
        let count = all.len();
        let ours = all.into_iter().filter(|record| !is_after(&record.place, &batch.end_sequence_number));
        let ours: Vec<_> = ours.collect();
        // A read may be empty, so the batch ends only with its last record or the first record behind it.
        let is_over =
            ours.len() < count || ours.last().is_some_and(|last| last.place == batch.end_sequence_number);
        if !ours.is_empty() {
            outcome = StreamBatchOutcome::Processed;
        }
        if let Some(place) = project(ledger, others, ours).await {
            bail!("the record {place} of {} could not be handled", batch.shard_id);
        }
        if is_over {
            break;
        }
    }
    Ok(outcome)
}

/// An iterator at a batch's first record, or at the oldest one that the stream still has; `None` when it has no records of
/// that shard any more.
async fn iterator(streams: &Streams, batch: &StreamBatch) -> anyhow::Result<Option<String>> {
    let from = |kind| {
        let from = streams.get_shard_iterator().stream_arn(&batch.stream_arn).shard_id(&batch.shard_id);
        from.shard_iterator_type(kind)
    };
    let first = from(ShardIteratorType::AtSequenceNumber).sequence_number(&batch.start_sequence_number);
    let found = match first.send().await {
        Err(error) if is_expired(error.code()) => from(ShardIteratorType::TrimHorizon).send().await,
        found => found,
    };
    match found {
        Ok(found) => Ok(found.shard_iterator),
        Err(error) if is_expired(error.code()) => Ok(None),
        Err(error) => Err(error).context("cannot read the stream"),
    }
}

/// Whether an error says that records, or their whole shard, are older than the stream keeps them.
fn is_expired(code: Option<&str>) -> bool {
    matches!(code, Some("TrimmedDataAccessException" | "ResourceNotFoundException"))
}

/// Has the projector process the entries of all accounts that it is behind on, because the stream has lost their last
/// records and no later record has arrived. Entries of the last minutes are skipped: they may still be in the stream.
/// Also requests delivery to webhooks that have not had all events, because the bus may have lost the request.
///
/// # Errors
/// When the directory can't be read, or an account could not be caught up; the other accounts are.
pub async fn catch_up_accounts(
    ledger: &Ledger,
    others: &Others<'_>,
    deliveries: &dyn Queue<DeliveryRequest>,
    clock: impl Fn() -> Moment,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let mut totals = CatchUpTotals::default();
    let mut directory = Directory::of(ledger);
    while let Some(accounts) = directory.next().await? {
        let each = accounts.into_iter().map(|account| {
            let others = Others { moment: clock(), ..*others };
            async move { (account, catch_up_account(ledger, &others, deliveries, account).await) }
        });
        let mut each = stream::iter(each).buffer_unordered(ACCOUNTS_AT_ONCE);
        while let Some((account, outcome)) = each.next().await {
            totals.add(account, outcome, print);
        }
    }
    let CatchUpTotals { checked, behind, undelivered, failed } = totals;
    print(&format!(
        "accounts: {checked}; were behind and have caught up: {behind}; delivery to webhooks requested: {undelivered}"
    ));
    ensure!(failed == 0, "{failed} accounts could not be caught up");
    Ok(())
}

/// What was done for one account.
struct CaughtUp {
    /// The numbers of the first and the last entry that the projector had missed.
    entries: Option<(u64, u64)>,
    /// Whether delivery to its webhooks was requested.
    undelivered: bool,
}

#[derive(Default)]
struct CatchUpTotals {
    checked: u64,
    behind: u64,
    undelivered: u64,
    failed: u64,
}

impl CatchUpTotals {
    fn add(
        &mut self,
        account: AccountId,
        outcome: anyhow::Result<CaughtUp>,
        print: &mut (dyn FnMut(&str) + Send),
    ) {
        match outcome {
            Ok(CaughtUp { entries, undelivered }) => {
                if let Some((first, last)) = entries {
                    self.behind = self.behind.saturating_add(1);
                    print(&format!("{account}: caught up from {first} to {last}"));
                }
                self.undelivered = self.undelivered.saturating_add(u64::from(undelivered));
            }
            Err(error) => {
                self.failed = self.failed.saturating_add(1);
                print(&format!("{account}: {error:#}"));
            }
        }
        self.checked = self.checked.saturating_add(1);
        if self.checked.is_multiple_of(ACCOUNTS_A_LINE) {
            print(&format!("{} accounts so far", self.checked));
        }
    }
}

async fn catch_up_account(
    ledger: &Ledger,
    others: &Others<'_>,
    deliveries: &dyn Queue<DeliveryRequest>,
    account: AccountId,
) -> anyhow::Result<CaughtUp> {
    let entries = catch_up_projection(ledger, others, account).await?;
    let undelivered = is_undelivered(ledger, others.activity, account).await?;
    if undelivered {
        deliveries.send(&DeliveryRequest::Account { account }, 0).await?;
    }
    Ok(CaughtUp { entries, undelivered })
}

/// Has the projector process the entries that it has missed, and returns the numbers of the first and the last of them.
async fn catch_up_projection(
    ledger: &Ledger,
    others: &Others<'_>,
    id: AccountId,
) -> anyhow::Result<Option<(u64, u64)>> {
    // An account that is listed and does not exist yet is being opened.
    let Some(account) = ledger.account(id).await? else { return Ok(None) };
    let last = account.sequence;
    let known = ledger.projected_through(id).await?.notified_through();
    let age = others.moment.now.signed_duration_since(account.floor().time()).abs();
    if last <= known || Some(age) < Duration::try_minutes(IN_THE_STREAM_MINUTES) {
        return Ok(None);
    }
    // A function ends after a time and continues with its next job; the command continues at once.
    while let MissedProgress::Partly(through) = project_missed(ledger, others, id, A_PART).await? {
        tracing::info!(account = %id, through, last, "catching up");
    }
    Ok(Some((known.saturating_add(1), last)))
}

/// Whether an active webhook of the account has not had all events. It may also be waiting for its next attempt; one
/// request too many has no effect.
async fn is_undelivered(ledger: &Ledger, activity: &Activity, account: AccountId) -> anyhow::Result<bool> {
    let webhooks = activity.webhooks(account).await?;
    let places = webhooks.iter().filter(|(_, state)| state.is_active()).map(|(_, state)| state.through);
    let Some(place) = places.min() else { return Ok(false) };
    Ok(ledger.event_head(account).await?.is_some_and(|head| place < head))
}
