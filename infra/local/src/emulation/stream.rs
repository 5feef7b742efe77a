//! Reads the ledger table's stream and hands its records to the projector, as Lambda's event source does.

use std::error::Error;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodbstreams::Client;
use aws_sdk_dynamodbstreams::operation::get_records::GetRecordsOutput;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use jobs::projection::{Others, Record, project};
use scrip_http::App;
use store::Ledger;

use crate::engine::Engine;

/// How long the reader waits when the stream has no new record.
const REST: Duration = Duration::from_millis(50);

/// How many records one read asks for, as in template.yaml. While callers keep calling, `POST /_local/settle` waits for a
/// few reads.
const RECORDS: i32 = 500;

/// How long a request may take here from its debit to its rows: the stream has no delay, so the projector often comes
/// first.
const ROW_GRACE: Duration = Duration::from_millis(50);

/// The number of handled records after which they are deleted from the embedded engine.
const TRIM_AFTER: usize = 5_000;

/// A reader of the ledger table's stream. It reads in order, continues where it stopped, and starts again at the first
/// record that failed.
pub struct StreamReader {
    client: Client,
    stream: String,
    table: String,
    shards: Vec<Shard>,
    engine: Option<Engine>,
    untrimmed: usize,
}

/// What projection uses of the machine.
pub(crate) fn projection(app: &App) -> Others<'_> {
    Others { grace: ROW_GRACE, ..app.projection() }
}

struct Shard {
    id: String,
    /// The sequence number of the last record that was handled.
    through: Option<String>,
    /// Where the next read begins; lost when a read fails.
    iterator: Option<String>,
}

impl StreamReader {
    /// A reader of `table`'s stream from its oldest record on.
    ///
    /// # Errors
    /// When the table has no stream, or the database fails.
    pub async fn new(client: Client, table: &str, engine: Option<Engine>) -> anyhow::Result<Self> {
        let streams = client.list_streams().table_name(table).send().await.context("cannot list streams")?;
        let stream = streams.streams().first().and_then(|stream| stream.stream_arn());
        let stream = stream.with_context(|| format!("the table {table} has no stream"))?.to_owned();
        let described =
            client.describe_stream().stream_arn(&stream).send().await.context("cannot read a stream")?;
        let shards = described.stream_description.map(|stream| stream.shards.unwrap_or_default());
        let shards = shards.unwrap_or_default().into_iter().filter_map(|shard| shard.shard_id);
        let shards = shards.map(|id| Shard { id, through: None, iterator: None }).collect();
        Ok(Self { client, stream, table: table.to_owned(), shards, engine, untrimmed: 0 })
    }

    /// Reads for as long as the machine runs.
    pub(crate) async fn run(this: &tokio::sync::Mutex<Self>, app: &App) {
        loop {
            let handled = this.lock().await.step(&app.ledger, &projection(app)).await;
            match handled {
                Ok(0) => tokio::time::sleep(REST).await,
                Ok(_) => (),
                Err(error) => {
                    let error: &(dyn Error + Send + Sync) = error.as_ref();
                    tracing::error!(error = error as &dyn Error, "the stream could not be read");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// Handles all records, and returns how many there were.
    ///
    /// # Errors
    /// When a record can't be handled, or the stream can't be read.
    pub async fn drain(&mut self, ledger: &Ledger, others: &Others<'_>) -> anyhow::Result<usize> {
        let mut handled = 0usize;
        loop {
            match self.step(ledger, others).await? {
                0 => return Ok(handled),
                more => handled = handled.saturating_add(more),
            }
        }
    }

    /// Handles the next records of every shard, and returns how many there were.
    pub(crate) async fn step(&mut self, ledger: &Ledger, others: &Others<'_>) -> anyhow::Result<usize> {
        let mut handled = 0usize;
        for shard in &mut self.shards {
            let iterator = match shard.iterator.take() {
                Some(iterator) => iterator,
                None => shard.find(&self.client, &self.stream).await?,
            };
            let answer = self.client.get_records().shard_iterator(iterator).limit(RECORDS).send().await?;
            let mut places =
                answer.records().iter().filter_map(|record| record.dynamodb()?.sequence_number());
            let last = places.next_back().map(str::to_owned);
            let count = answer.records().len();
            let next = answer.next_shard_iterator.clone();
            if let Some(place) = project(ledger, others, records(answer)).await {
                // The whole read is delivered again; records that were handled have no second effect.
                anyhow::bail!("the record {place} of the stream could not be handled");
            }
            shard.through = last.or(shard.through.take());
            shard.iterator = next;
            handled = handled.saturating_add(count);
        }
        self.untrimmed = self.untrimmed.saturating_add(handled);
        if self.untrimmed >= TRIM_AFTER {
            self.trim().await?;
        }
        Ok(handled)
    }

    async fn trim(&mut self) -> anyhow::Result<()> {
        self.untrimmed = 0;
        let through = self.shards.iter().filter_map(|shard| shard.through.clone()).min();
        if let (Some(engine), Some(through)) = (self.engine.clone(), through) {
            let table = self.table.clone();
            tokio::task::spawn_blocking(move || engine.trim_stream(&table, &through)).await??;
        }
        Ok(())
    }
}

impl Shard {
    async fn find(&self, client: &Client, stream: &str) -> anyhow::Result<String> {
        let kind = match self.through {
            Some(_) => ShardIteratorType::AfterSequenceNumber,
            None => ShardIteratorType::TrimHorizon,
        };
        let found =
            client.get_shard_iterator().stream_arn(stream).shard_id(&self.id).shard_iterator_type(kind);
        let found = found.set_sequence_number(self.through.clone()).send().await;
        found.context("cannot read a stream")?.shard_iterator.context("the stream has ended")
    }
}

/// The records of a read, in the projector's format.
pub(crate) fn records(read: GetRecordsOutput) -> Vec<Record> {
    let changes = read.records.unwrap_or_default().into_iter().filter_map(|record| record.dynamodb);
    let records = changes.map(|change| Record {
        place: change.sequence_number.unwrap_or_default(),
        image: change.new_image.filter(|image| !image.is_empty()).map(Into::into),
    });
    records.collect()
}
