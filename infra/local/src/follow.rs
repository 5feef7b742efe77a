use anyhow::{Context, bail, ensure};
use aws_sdk_dynamodbstreams::Client as Streams;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsOutput;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use aws_sdk_sqs::Client as Queues;
use aws_sdk_sqs::types::Message;
use chrono::{DateTime, Duration, Utc};
use projector::{Others, follow, project};
use serde::Deserialize;
use shared::domain::AccountId;
use shared::hooks::Dispatch;
use shared::store::{Activity, Ledger};

use crate::directory::every_account;
use crate::follower::records;

/// For how many minutes what was posted may be on its way through the stream.
const ON_ITS_WAY_MINUTES: i64 = 5;

/// For how many seconds a message that was taken is hidden from others: by then its records are followed.
const HIDDEN_SECONDS: i32 = 300;

/// How many seconds SQS waits for messages that it has not found yet.
const WAIT_SECONDS: i32 = 2;

/// How often one after the other nothing may be found until there is nothing.
const EMPTY_MAX: u32 = 3;

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
    /// Its records are followed.
    Followed,
    /// Its records are older than the stream keeps them.
    Gone,
}

/// Has the projector follow the records that it has failed at, as long as the stream has them: those that a queue of
/// failures tells of. A message is deleted once its records are followed.
///
/// # Errors
/// When the queue does not serve, or some records fail once more: their messages stay.
pub async fn follow_failures(
    (queues, queue): (&Queues, &str),
    streams: &Streams,
    (ledger, others): (&Ledger, &Others<'_>),
    tell: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let (mut followed, mut gone, mut failed, mut empty) = (0_u64, 0_u64, 0_u64, 0_u32);
    while empty < EMPTY_MAX {
        let taken = queues.receive_message().queue_url(queue).visibility_timeout(HIDDEN_SECONDS);
        let taken = taken.wait_time_seconds(WAIT_SECONDS).send().await.context("cannot receive")?;
        let messages = taken.messages.unwrap_or_default();
        empty = if messages.is_empty() { empty.saturating_add(1) } else { 0 };
        for Message { body, receipt_handle, .. } in messages {
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
    ensure!(failed == 0, "{failed} batches failed again; the projector's log says why");
    Ok(())
}

/// Has the records followed that one message tells of.
async fn follow_failure(
    streams: &Streams,
    (ledger, others): (&Ledger, &Others<'_>),
    body: &str,
) -> anyhow::Result<Outcome> {
    let Failure { batch } = serde_json::from_str(body).context("a message that is none of Lambda's")?;
    let Batch { stream_arn, shard_id, start_sequence_number, end_sequence_number } = batch;
    let begin = streams.get_shard_iterator().stream_arn(&stream_arn).shard_id(&shard_id);
    let begin = begin.shard_iterator_type(ShardIteratorType::AtSequenceNumber);
    let begin = match begin.sequence_number(&start_sequence_number).send().await {
        Ok(begin) => begin,
        Err(error)
            if error.as_service_error().is_some_and(|error| error.is_trimmed_data_access_exception()) =>
        {
            return Ok(Outcome::Gone);
        }
        Err(error) => return Err(error).context("cannot read the stream"),
    };
    let mut next = begin.shard_iterator;
    while let Some(iterator) = next {
        let read: GetRecordsOutput =
            streams.get_records().shard_iterator(iterator).send().await.context("cannot read the stream")?;
        next = read.next_shard_iterator.clone();
        let all = records(read);
        let count = all.len();
        let ours: Vec<_> =
            all.into_iter().filter(|record| !is_after(&record.place, &end_sequence_number)).collect();
        // Reads may be empty; the batch is over with the first record that lies behind it.
        let is_over = ours.len() < count || ours.last().is_some_and(|last| last.place == end_sequence_number);
        if let Some(place) = project(ledger, others, ours).await {
            bail!("the record {place} of {shard_id} could not be handled");
        }
        if is_over {
            break;
        }
    }
    Ok(Outcome::Followed)
}

/// Places are numbers of up to 40 digits.
fn is_after(place: &str, other: &str) -> bool {
    (other.len(), other) < (place.len(), place)
}

/// Goes round all accounts. Has each followed whose last changes nobody has followed: the stream has lost the records
/// that told of them, and no other came. What was posted within the last minutes may be on its way, and is left
/// alone. And has somebody look at webhooks that have not had all events: the bus may have lost the call.
///
/// # Errors
/// When the database does not serve, or an account can't be followed.
pub async fn follow_accounts(
    (ledger, others, dispatch): (&Ledger, &Others<'_>, &dyn Dispatch),
    now: DateTime<Utc>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let (mut seen, mut behind, mut waiting, mut failed) = (0_u64, 0_u64, 0_u64, 0_u64);
    every_account(ledger, async |account| {
        match one(ledger, others, account, now).await {
            Ok(None) => (),
            Ok(Some((from, to))) => {
                behind = behind.saturating_add(1);
                tell(&format!("{account}: followed from {from} to {to}"));
            }
            Err(error) => {
                failed = failed.saturating_add(1);
                tell(&format!("{account}: {error:#}"));
            }
        }
        if is_undelivered(ledger, others.activity, account).await? {
            dispatch.dispatch(account, 0).await?;
            waiting = waiting.saturating_add(1);
        }
        seen = seen.saturating_add(1);
        if seen.is_multiple_of(A_WORD) {
            tell(&format!("{seen} accounts so far"));
        }
        Ok(())
    })
    .await?;
    tell(&format!(
        "accounts: {seen}; behind, and followed now: {behind}; with webhooks to be looked at: {waiting}"
    ));
    ensure!(failed == 0, "{failed} accounts could not be followed");
    Ok(())
}

/// From where to where an account was followed, if it was behind.
async fn one(
    ledger: &Ledger,
    others: &Others<'_>,
    id: AccountId,
    now: DateTime<Utc>,
) -> anyhow::Result<Option<(u64, u64)>> {
    // One that is listed and not open is just being opened.
    let Some(account) = ledger.account(id).await? else { return Ok(None) };
    let through = ledger.watermark(id).await?;
    let age = now.signed_duration_since(account.floor().time()).abs();
    if account.sequence <= through || Some(age) < Duration::try_minutes(ON_ITS_WAY_MINUTES) {
        return Ok(None);
    }
    let last = account.sequence;
    let is_followed = follow(ledger, others, account).await?;
    ensure!(is_followed, "it could not be followed; the log says why");
    Ok(Some((through.saturating_add(1), last)))
}

/// Whether an account has webhooks that work and have not had all events. Those that wait for their next attempt are
/// among them; a look too many does no harm.
async fn is_undelivered(ledger: &Ledger, activity: &Activity, account: AccountId) -> anyhow::Result<bool> {
    let webhooks = activity.webhooks(account).await?;
    let places = webhooks.iter().filter(|(_, state)| state.is_active()).map(|(_, state)| state.through);
    let Some(place) = places.min() else { return Ok(false) };
    Ok(ledger.event_head(account).await?.is_some_and(|head| place < head))
}
