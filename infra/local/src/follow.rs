use std::collections::BTreeSet;

use anyhow::{Context, bail, ensure};
use aws_sdk_dynamodbstreams::Client as Streams;
use aws_sdk_dynamodbstreams::error::ProvideErrorMetadata;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_sdk_sqs::Client as Queues;
use aws_sdk_sqs::types::Message;
use chrono::Duration;
use domain::AccountId;
use futures_util::stream::{self, StreamExt};
use ports::Queue;
use projector::{Others, follow, is_after, project};
use scrip_webhooks::DeliveryRequest;
use serde::Deserialize;
use store::{Activity, Ledger, Moment};

use crate::directory::Directory;
use crate::follower::records;
use crate::redrive;

/// For how many minutes what was posted may be on its way through the stream.
const ON_ITS_WAY_MINUTES: i64 = 5;

/// For how many seconds a message that was taken is hidden from others: by then its records are followed.
const HIDDEN_SECONDS: i32 = 300;

/// How many seconds SQS waits for messages that it has not found yet.
const WAIT_SECONDS: i32 = 2;

/// How often one after the other nothing may be found until there is nothing.
const EMPTY_MAX: u32 = 3;

/// How many accounts are looked after side by side.
const ACCOUNTS_AT_ONCE: usize = 16;

/// After how many accounts it is told how far it is.
const A_WORD: u64 = 1_000;

/// What Lambda says of records of a stream that a function could not handle.
#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "DDBStreamBatchInfo")]
    batch: Batch,
}

/// Where those records are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    stream_arn: String,
    shard_id: String,
    start_sequence_number: String,
    end_sequence_number: String,
}

/// What has become of one message.
#[derive(PartialEq, Eq)]
enum Outcome {
    /// Its records are followed, those of them that the stream has still.
    Followed,
    /// None of them is there any more.
    Gone,
}

/// Has the projector follow the records that it has failed at, as long as the stream has them: those that a queue of
/// failures tells of. A message is deleted once its records are followed, or gone. No more than were there at the
/// beginning: one that fails again does not go round and round.
///
/// # Errors
/// When the queue does not serve, or some records fail once more: their messages stay.
pub async fn follow_failures(
    (queues, queue): (&Queues, &str),
    streams: &Streams,
    (ledger, others): (&Ledger, &Others<'_>),
    tell: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let most = usize::try_from(redrive::count(queues, queue).await?).unwrap_or(usize::MAX);
    let (mut followed, mut gone, mut failed, mut empty) = (0_u64, 0_u64, 0_u64, 0_u32);
    let mut seen = BTreeSet::new();
    while seen.len() < most && empty < EMPTY_MAX {
        let taken = queues.receive_message().queue_url(queue).visibility_timeout(HIDDEN_SECONDS);
        let taken = taken.wait_time_seconds(WAIT_SECONDS).send().await.context("cannot receive")?;
        let new = taken.messages.unwrap_or_default().into_iter();
        let new: Vec<_> = new.filter(|message| seen.insert(message.message_id.clone())).collect();
        empty = if new.is_empty() { empty.saturating_add(1) } else { 0 };
        for Message { body, receipt_handle, .. } in new {
            match follow_failure(streams, (ledger, others), &body.unwrap_or_default()).await {
                Ok(outcome) => {
                    let count = if outcome == Outcome::Gone { &mut gone } else { &mut followed };
                    *count = count.saturating_add(1);
                    let delete = queues.delete_message().queue_url(queue).set_receipt_handle(receipt_handle);
                    delete.send().await.context("cannot delete what was followed")?;
                }
                Err(error) => {
                    failed = failed.saturating_add(1);
                    tell(&format!("failed again: {error:#}"));
                }
            }
        }
    }
    tell(&format!("batches of the stream: {followed} followed, {gone} older than the stream keeps them"));
    ensure!(failed == 0, "{failed} batches failed again; the log says why");
    Ok(())
}

/// Has the records followed that one message tells of.
async fn follow_failure(
    streams: &Streams,
    (ledger, others): (&Ledger, &Others<'_>),
    body: &str,
) -> anyhow::Result<Outcome> {
    let Failure { batch } = serde_json::from_str(body).context("a message that is none of Lambda's")?;
    let (mut next, mut outcome) = (iterator(streams, &batch).await?, Outcome::Gone);
    while let Some(iterator) = next {
        let read = match streams.get_records().shard_iterator(iterator).send().await {
            Ok(read) => read,
            Err(error) if is_gone(error.code()) => break,
            Err(error) => return Err(error).context("cannot read the stream"),
        };
        next = read.next_shard_iterator.clone();
        let all = records(read);
        let count = all.len();
        let ours = all.into_iter().filter(|record| !is_after(&record.place, &batch.end_sequence_number));
        let ours: Vec<_> = ours.collect();
        // Reads may be empty; the batch is over with the first record that lies behind it.
        let is_over =
            ours.len() < count || ours.last().is_some_and(|last| last.place == batch.end_sequence_number);
        if !ours.is_empty() {
            outcome = Outcome::Followed;
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

/// Where to read a batch from: its first record, or the first that the stream has still; nowhere when it has no more
/// of that shard.
async fn iterator(streams: &Streams, batch: &Batch) -> anyhow::Result<Option<String>> {
    let from = |kind| {
        let from = streams.get_shard_iterator().stream_arn(&batch.stream_arn).shard_id(&batch.shard_id);
        from.shard_iterator_type(kind)
    };
    let first = from(ShardIteratorType::AtSequenceNumber).sequence_number(&batch.start_sequence_number);
    let found = match first.send().await {
        Err(error) if is_gone(error.code()) => from(ShardIteratorType::TrimHorizon).send().await,
        found => found,
    };
    match found {
        Ok(found) => Ok(found.shard_iterator),
        Err(error) if is_gone(error.code()) => Ok(None),
        Err(error) => Err(error).context("cannot read the stream"),
    }
}

/// Whether an error says that records, or the whole shard with them, are older than the stream keeps them.
fn is_gone(code: Option<&str>) -> bool {
    matches!(code, Some("TrimmedDataAccessException" | "ResourceNotFoundException"))
}

/// Goes round all accounts. Has each followed whose last changes nobody has followed: the stream has lost the records
/// that told of them, and no other came. What was posted within the last minutes may be on its way, and is left
/// alone. And has somebody look at webhooks that have not had all events: the bus may have lost the call.
///
/// # Errors
/// When the directory can't be read, or an account can't be looked after; the others are.
pub async fn follow_accounts(
    (ledger, others, deliveries): (&Ledger, &Others<'_>, &dyn Queue<DeliveryRequest>),
    clock: impl Fn() -> Moment,
    tell: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let mut count = Count::default();
    let mut directory = Directory::of(ledger);
    while let Some(accounts) = directory.next().await? {
        let looks = accounts.into_iter().map(|account| {
            let others = Others { moment: clock(), ..*others };
            async move { (account, look_after(ledger, &others, deliveries, account).await) }
        });
        let mut looks = stream::iter(looks).buffer_unordered(ACCOUNTS_AT_ONCE);
        while let Some((account, looked)) = looks.next().await {
            count.add(account, looked, tell);
        }
    }
    let Count { seen, behind, waiting, failed } = count;
    tell(&format!(
        "accounts: {seen}; behind, and followed now: {behind}; with webhooks to be looked at: {waiting}"
    ));
    ensure!(failed == 0, "{failed} accounts could not be looked after");
    Ok(())
}

/// What was found at one account.
struct Looked {
    /// From where to where it was followed, if it was behind.
    followed: Option<(u64, u64)>,
    /// Whether its webhooks are to be looked at.
    undelivered: bool,
}

#[derive(Default)]
struct Count {
    seen: u64,
    behind: u64,
    waiting: u64,
    failed: u64,
}

impl Count {
    fn add(
        &mut self,
        account: AccountId,
        looked: anyhow::Result<Looked>,
        tell: &mut (dyn FnMut(&str) + Send),
    ) {
        match looked {
            Ok(Looked { followed, undelivered }) => {
                if let Some((from, to)) = followed {
                    self.behind = self.behind.saturating_add(1);
                    tell(&format!("{account}: followed from {from} to {to}"));
                }
                self.waiting = self.waiting.saturating_add(u64::from(undelivered));
            }
            Err(error) => {
                self.failed = self.failed.saturating_add(1);
                tell(&format!("{account}: {error:#}"));
            }
        }
        self.seen = self.seen.saturating_add(1);
        if self.seen.is_multiple_of(A_WORD) {
            tell(&format!("{} accounts so far", self.seen));
        }
    }
}

async fn look_after(
    ledger: &Ledger,
    others: &Others<'_>,
    deliveries: &dyn Queue<DeliveryRequest>,
    account: AccountId,
) -> anyhow::Result<Looked> {
    let followed = follow_up(ledger, others, account).await?;
    let undelivered = is_undelivered(ledger, others.activity, account).await?;
    if undelivered {
        deliveries.send(&DeliveryRequest::Account { account }, 0).await?;
    }
    Ok(Looked { followed, undelivered })
}

/// From where to where an account was followed, if it was behind.
async fn follow_up(
    ledger: &Ledger,
    others: &Others<'_>,
    id: AccountId,
) -> anyhow::Result<Option<(u64, u64)>> {
    // One that is listed and not open is just being opened.
    let Some(account) = ledger.account(id).await? else { return Ok(None) };
    let last = account.sequence;
    let known = ledger.followed(id, last.saturating_add(1)).await?.followed();
    let age = others.moment.now.signed_duration_since(account.floor().time()).abs();
    if last <= known || Some(age) < Duration::try_minutes(ON_ITS_WAY_MINUTES) {
        return Ok(None);
    }
    let is_followed = follow(ledger, others, account).await?;
    ensure!(is_followed, "it could not be followed; the log says why");
    Ok(Some((known.saturating_add(1), last)))
}

/// Whether an account has webhooks that work and have not had all events. Those that wait for their next attempt are
/// among them; a look too many does no harm.
async fn is_undelivered(ledger: &Ledger, activity: &Activity, account: AccountId) -> anyhow::Result<bool> {
    let webhooks = activity.webhooks(account).await?;
    let places = webhooks.iter().filter(|(_, state)| state.is_active()).map(|(_, state)| state.through);
    let Some(place) = places.min() else { return Ok(false) };
    Ok(ledger.event_head(account).await?.is_some_and(|head| place < head))
}
