//! A ledger in tables of its own, on the embedded engine or on another DynamoDB.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use aws::Connection;
use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use chrono::{DateTime, Utc};
use domain::{
    Account, AccountId, Allowance, Attempt, ClaimKey, Credits, Details, Fingerprint, IdempotencyKey, Mode,
    OrgId, PlanId, Posting, Receipt, Refusal, RowShards,
};
use jobs::projection::{Others, Record, project};
use local::StreamReader;
use local::engine::Engine;
use ports::{Bus, BusEvent, PublishError, Queue, QueueError};
use store::{
    Activity, Claim, Fault, JOB_SHARDS, Ledger, Moment, ScheduledJob, Settings, Settled, StatementPlace,
    StatementQuery, Unsettled, random,
};

use crate::role::as_function;
use crate::{Faults, UnitMeter};

/// An item as it is stored.
pub type TableItem = HashMap<String, AttributeValue>;

/// A ledger in new tables of its own, with its stream and projector.
pub struct TestLedger {
    /// The ledger under test.
    pub ledger: Ledger,
    /// Runs the projector on the stream.
    pub follower: StreamReader,
    /// The faulty connection, if the ledger is on the embedded engine.
    pub faults: Option<Faults>,
    pub(crate) config: Config,
    pub(crate) table: String,
    streams: aws_sdk_dynamodbstreams::Client,
}

/// The DynamoDBs that store tests run on: the embedded engine (`None`), and the endpoints that
/// `SCRIP_SECOND_DYNAMODB` (set by `cargo xtask test`) and `SCRIP_THIRD_DYNAMODB` (for example AWS's DynamoDB
/// Local) name.
pub fn backends() -> Vec<Option<String>> {
    let others = ["SCRIP_SECOND_DYNAMODB", "SCRIP_THIRD_DYNAMODB"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok());
    std::iter::once(None).chain(others.map(Some)).collect()
}

/// Settings that are never read: no key of the tests that project with [`others`] spends more than it used to.
pub(crate) static NO_SETTINGS: LazyLock<Settings> =
    LazyLock::new(|| Settings::new(&Config::builder().behavior_version_latest().build(), "none"));

/// A queue and event bus that discard everything.
struct DiscardEverything;

#[async_trait::async_trait]
impl<M: Sync> Queue<M> for DiscardEverything {
    async fn send(&self, _: &M, _: u16) -> Result<(), QueueError> {
        Ok(())
    }
}

#[async_trait::async_trait]
impl Bus for DiscardEverything {
    async fn publish(&self, _: &[BusEvent]) -> Result<(), PublishError> {
        Ok(())
    }
}

/// The projector's dependencies besides the ledger, with queues and a bus that discard everything.
#[must_use]
pub fn others(activity: &Activity) -> Others<'_> {
    Others {
        activity,
        settings: &NO_SETTINGS,
        bus: &DiscardEverything,
        recharges: &DiscardEverything,
        tasks: &DiscardEverything,
        moment: moment(DateTime::UNIX_EPOCH),
        grace: Duration::ZERO,
    }
}

impl TestLedger {
    /// A new ledger on the embedded engine.
    pub async fn new() -> Self {
        Self::on(None).await
    }

    /// A new ledger on the DynamoDB at `endpoint`, or on the embedded engine.
    pub async fn on(endpoint: Option<&str>) -> Self {
        let table = format!("ledger-{:x}", random());
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
        let (config, streams, engine, faults) = match endpoint {
            None => {
                let engine = Engine::temporary().unwrap();
                let faults = Faults::on(engine.http_client());
                let config = engine.dynamodb_config().http_client(faults.client());
                let streams = engine.streams_config().build();
                (config.retry_config(retries).build(), streams, Some(engine), Some(faults))
            }
            Some(endpoint) => {
                let connection = Connection {
                    region: "us-east-1".into(),
                    access_key: "test".into(),
                    secret_key: "test".into(),
                    session_token: None,
                    endpoint: Some(endpoint.into()),
                };
                (connection.clone().config(), streams_config(endpoint), None, None)
            }
        };
        let client = aws_sdk_dynamodb::Client::from_conf(config.clone());
        let (settings, activity) = (format!("{table}-settings"), format!("{table}-activity"));
        let tables = local::Tables { ledger: &table, settings: &settings, activity: &activity };
        // Most test clocks stand in 2024, so the engine's own expiry, which uses today's date, would delete
        // items.
        local::create_tables_keeping_all(&client, tables).await.unwrap();
        let streams = aws_sdk_dynamodbstreams::Client::from_conf(streams);
        let follower = StreamReader::new(streams.clone(), &table, engine).await.unwrap();
        Self { ledger: Ledger::new(&config, table.clone()), follower, faults, config, table, streams }
    }

    /// The ledger as a newly started function sees it, with empty caches.
    pub fn restarted(&self) -> Ledger {
        Ledger::new(&self.config, self.table.clone())
    }

    /// The ledger as a newly started deployed function sees it: a request that its role does not allow fails the test. On
    /// another DynamoDB than the embedded engine everything is allowed.
    pub fn ledger_of(&self, function: &str) -> Ledger {
        Ledger::new(&self.config_of(function), self.table.clone())
    }

    /// The settings table, as [`TestLedger::ledger_of`].
    pub fn settings_of(&self, function: &str) -> Settings {
        Settings::new(&self.config_of(function), format!("{}-settings", self.table))
    }

    /// The activity table, as [`TestLedger::ledger_of`].
    pub fn activity_of(&self, function: &str) -> Activity {
        Activity::new(&self.config_of(function), format!("{}-activity", self.table))
    }

    fn config_of(&self, function: &str) -> Config {
        let Some(faults) = &self.faults else { return self.config.clone() };
        self.config.to_builder().http_client(as_function(faults.client(), function)).build()
    }

    pub(crate) fn metered_config(&self) -> (Config, UnitMeter) {
        let meter = UnitMeter::default();
        (self.config.to_builder().interceptor(meter.clone()).build(), meter)
    }

    /// A newly started ledger, and a meter of its requests.
    pub fn metered(&self) -> (Ledger, UnitMeter) {
        let (config, meter) = self.metered_config();
        (Ledger::new(&config, self.table.clone()), meter)
    }

    /// The activity table, and a meter of its requests.
    pub fn metered_activity(&self) -> (Activity, UnitMeter) {
        let (config, meter) = self.metered_config();
        (Activity::new(&config, format!("{}-activity", self.table)), meter)
    }

    /// The settings table, as a newly started function sees it.
    pub fn settings(&self) -> Settings {
        Settings::new(&self.config, format!("{}-settings", self.table))
    }

    /// The activity table.
    pub fn activity(&self) -> Activity {
        Activity::new(&self.config, format!("{}-activity", self.table))
    }

    /// Opens an account with a monthly allowance and books its first month.
    pub async fn open(&self, allowance: u64, now: DateTime<Utc>) -> AccountId {
        self.open_spread(allowance, now, RowShards::ONE).await
    }

    /// The same, with rows that are spread over `shards`.
    pub async fn open_spread(&self, allowance: u64, now: DateTime<Utc>, shards: RowShards) -> AccountId {
        let id = AccountId { org: OrgId::new(now, random()), mode: Mode::Live };
        let allowance = Allowance::Monthly(Credits::try_from(allowance).unwrap());
        let account = Account::open(id, PlanId("basic".into()), allowance, now);
        self.ledger.open(&Account { row_shards: shards, ..account }).await.unwrap();
        self.ledger.catch_up(id, moment(now)).await.unwrap();
        id
    }

    /// The write units of one write of the account's item: DynamoDB counts the whole item.
    pub async fn units_of(&self, id: AccountId) -> f64 {
        use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

        let client = aws_sdk_dynamodb::Client::from_conf(self.config.clone());
        let update = client.update_item().table_name(&self.table);
        let update = update.key("pk", AttributeValue::S(format!("ACCT#{id}")));
        let update = update.key("sk", AttributeValue::S("A".to_owned())).update_expression("SET seq = seq");
        let update = update.return_consumed_capacity(ReturnConsumedCapacity::Total);
        update.send().await.unwrap().consumed_capacity.unwrap().capacity_units.unwrap()
    }

    /// Projects every record of the stream.
    pub async fn project(&mut self) {
        let (ledger, activity) = (self.ledger_of("projector"), self.activity_of("projector"));
        self.follower.drain(&ledger, &others(&activity)).await.unwrap();
    }

    /// Projects records as one batch through `ledger`; returns the position of the first that has to be
    /// delivered again.
    pub async fn deliver(&self, ledger: &Ledger, records: &[Record]) -> Option<String> {
        project(ledger, &others(&self.activity_of("projector")), records.iter().cloned()).await
    }

    /// A client of the table's stream, and the stream's ARN.
    pub async fn stream(&self) -> (aws_sdk_dynamodbstreams::Client, String) {
        let streams = self.streams.list_streams().table_name(&self.table).send().await.unwrap();
        (self.streams.clone(), streams.streams()[0].stream_arn().unwrap().to_owned())
    }

    /// Every record of the stream, oldest first.
    pub async fn records(&self) -> Vec<Record> {
        let (_, stream) = self.stream().await;
        let described = self.streams.describe_stream().stream_arn(&stream).send().await.unwrap();
        let mut records = Vec::new();
        for shard in described.stream_description().unwrap().shards() {
            let begin =
                self.streams.get_shard_iterator().stream_arn(&stream).shard_id(shard.shard_id().unwrap());
            let begin = begin.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
            let mut next = begin.shard_iterator;
            while let Some(iterator) = next {
                let answer = self.streams.get_records().shard_iterator(iterator).send().await.unwrap();
                let changes: Vec<_> =
                    answer.records().iter().filter_map(|record| record.dynamodb()).collect();
                records.extend(changes.iter().map(|change| Record {
                    place: change.sequence_number().unwrap().to_owned(),
                    image: change.new_image.clone().filter(|image| !image.is_empty()).map(Into::into),
                }));
                let more = !changes.is_empty();
                next = answer.next_shard_iterator.filter(|_| more);
            }
        }
        records
    }

    /// The jobs of all shards that are due by a time, the earliest first, read in small pages.
    pub async fn due_jobs(&self, by: DateTime<Utc>) -> Vec<ScheduledJob> {
        self.find_due_jobs(by).await.unwrap()
    }

    /// The same, where the table may not answer.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn find_due_jobs(&self, by: DateTime<Utc>) -> Result<Vec<ScheduledJob>, Fault> {
        let mut due = Vec::new();
        for shard in 0..JOB_SHARDS {
            let mut after = None;
            loop {
                let page = self.ledger.due_page(shard, after.as_ref(), by, 3).await?;
                due.extend(page.jobs);
                after = page.last;
                if page.is_end {
                    break;
                }
            }
        }
        due.sort();
        Ok(due)
    }

    /// The items of one partition of the ledger table.
    pub async fn items(&self, partition: &str) -> Vec<TableItem> {
        self.items_in(&self.table, partition).await
    }

    /// The items of one partition of the activity table.
    pub async fn activity_items(&self, partition: &str) -> Vec<TableItem> {
        self.items_in(&format!("{}-activity", self.table), partition).await
    }

    async fn items_in(&self, table: &str, partition: &str) -> Vec<TableItem> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let query = self.client().query().table_name(table).consistent_read(true);
            let query = query.key_condition_expression("pk = :pk").set_exclusive_start_key(after);
            let query = query.expression_attribute_values(":pk", AttributeValue::S(partition.to_owned()));
            let answer = query.send().await.unwrap();
            items.extend(answer.items.unwrap_or_default());
            after = answer.last_evaluated_key;
            if after.is_none() {
                return items;
            }
        }
    }

    /// Puts an item into the ledger table unconditionally.
    pub async fn write(&self, item: &TableItem) {
        self.write_in(&self.table, item).await;
    }

    /// Puts an item into the activity table unconditionally.
    pub async fn write_activity(&self, item: &TableItem) {
        self.write_in(&format!("{}-activity", self.table), item).await;
    }

    async fn write_in(&self, table: &str, item: &TableItem) {
        let put = self.client().put_item().table_name(table).set_item(Some(item.clone()));
        put.send().await.unwrap();
    }

    /// Deletes an item of the ledger table.
    pub async fn delete(&self, item: &TableItem) {
        self.delete_in(&self.table, item).await;
    }

    /// Deletes an item of the activity table.
    pub async fn delete_activity(&self, item: &TableItem) {
        self.delete_in(&format!("{}-activity", self.table), item).await;
    }

    async fn delete_in(&self, table: &str, item: &TableItem) {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone()));
        let delete = self.client().delete_item().table_name(table).set_key(Some(HashMap::from(key)));
        delete.send().await.unwrap();
    }

    fn client(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::from_conf(self.config.clone())
    }

    /// Every row of an account, newest first, in pages of seven.
    pub async fn rows(&self, id: AccountId, now: DateTime<Utc>) -> Vec<Receipt> {
        let mut rows = Vec::new();
        let mut cursor = None;
        loop {
            let page = self
                .ledger
                .statement(id, &StatementQuery::default(), StatementPlace { cursor, limit: 7 }, now)
                .await
                .unwrap();
            rows.extend(page.receipts);
            cursor = page.next;
            if cursor.is_none() {
                return rows;
            }
        }
    }
}

/// A request's idempotency key, and its body in short.
#[derive(Clone, Copy, Debug)]
pub struct Keyed<'a> {
    key: &'a str,
    body: &'a str,
}

/// A request with this body under this idempotency key.
pub fn keyed<'a>(key: &'a str, body: &'a str) -> Keyed<'a> {
    Keyed { key, body }
}

/// Settles a request under an idempotency key.
///
/// # Errors
/// Those of [`Ledger::settle`].
pub async fn settle(
    ledger: &Ledger,
    id: AccountId,
    request: Keyed<'_>,
    moment: Moment,
    decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
) -> Result<Settled, Unsettled> {
    let key = ClaimKey::Caller(IdempotencyKey::try_from(request.key.to_owned()).unwrap());
    let details = Details::default();
    ledger.settle(id, Claim::new(&key, &Fingerprint(request.body.to_owned()), &details), moment, decide).await
}

/// A moment whose two clocks both say `now`.
pub fn moment(now: DateTime<Utc>) -> Moment {
    Moment { now, wall: now }
}

fn streams_config(endpoint: &str) -> aws_sdk_dynamodbstreams::Config {
    use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Credentials, Region};

    aws_sdk_dynamodbstreams::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .build()
}
