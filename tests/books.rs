use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use chrono::{DateTime, Utc};
use local::Follower;
use local::engine::Engine;
use projector::{Others, Record, project};
use shared::calendar::{Task, Tasks, Unsent};
use shared::domain::{
    Account, AccountId, Allowance, ClaimKey, Credits, Details, Fingerprint, Head, IdempotencyKey, Mode,
    OrgId, PlanId, Posting, Receipt, Refusal,
};
use shared::hooks::{Bus, Published, Unpublished};
use shared::pay::{Asleep, Wakes};
use shared::store::{Activity, Connection, Ledger, Moment, Query, Settings, Settled, Unsettled, random};

use crate::{Faults, UnitMeter};

/// An item as the table has it.
pub type Item = HashMap<String, AttributeValue>;

/// A ledger of one's own, in fresh tables.
pub struct Books {
    /// The ledger under test.
    pub ledger: Ledger,
    /// What carries out the projector's duty.
    pub follower: Follower,
    /// The wire, where the ledger stands on the embedded engine.
    pub faults: Option<Faults>,
    config: Config,
    table: String,
    streams: aws_sdk_dynamodbstreams::Client,
}

/// The DynamoDBs that store tests run on: the embedded engine; the one that `SCRIP_SECOND_DYNAMODB`
/// names, which `cargo xtask test` always does; and the one that `SCRIP_THIRD_DYNAMODB` names, for
/// whoever has AWS's own DynamoDB Local at hand.
pub fn backends() -> Vec<Option<String>> {
    let others = ["SCRIP_SECOND_DYNAMODB", "SCRIP_THIRD_DYNAMODB"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok());
    std::iter::once(None).chain(others.map(Some)).collect()
}

/// Queues that nobody listens to.
struct Unheard;

#[async_trait::async_trait]
impl Wakes for Unheard {
    async fn wake(&self, _: AccountId) -> Result<(), Asleep> {
        Ok(())
    }
}

#[async_trait::async_trait]
impl Tasks for Unheard {
    async fn send(&self, _: Task, _: u16) -> Result<(), Unsent> {
        Ok(())
    }
}

#[async_trait::async_trait]
impl Bus for Unheard {
    async fn publish(&self, _: &[Published]) -> Result<(), Unpublished> {
        Ok(())
    }
}

/// What the projector works with where nobody listens.
#[must_use]
pub fn others(activity: &Activity) -> Others<'_> {
    let moment = moment(DateTime::UNIX_EPOCH);
    Others { activity, bus: &Unheard, wakes: &Unheard, tasks: &Unheard, moment }
}

impl Books {
    /// Fresh books on the embedded engine.
    pub async fn new() -> Self {
        Self::on(None).await
    }

    /// Fresh books on the DynamoDB at `endpoint`, or on the embedded engine.
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
        // The clock of most tests stands in 2024, so whoever sweeps by his own finds all that has an end over already.
        local::create_tables_keeping_all(&client, tables).await.unwrap();
        let streams = aws_sdk_dynamodbstreams::Client::from_conf(streams);
        let follower = Follower::new(streams.clone(), &table, engine).await.unwrap();
        Self { ledger: Ledger::new(&config, table.clone()), follower, faults, config, table, streams }
    }

    /// The same table as a function sees it that has just started: it remembers nothing.
    pub fn restarted(&self) -> Ledger {
        Ledger::new(&self.config, self.table.clone())
    }

    /// The same, with a meter of what it asks of the table.
    pub fn metered(&self) -> (Ledger, UnitMeter) {
        let meter = UnitMeter::default();
        let config = self.config.to_builder().interceptor(meter.clone()).build();
        (Ledger::new(&config, self.table.clone()), meter)
    }

    /// The settings of the same books, as a function sees them that has just started.
    pub fn settings(&self) -> Settings {
        Settings::new(&self.config, format!("{}-settings", self.table))
    }

    /// The activity of the same books.
    pub fn activity(&self) -> Activity {
        Activity::new(&self.config, format!("{}-activity", self.table))
    }

    /// Opens an account with a monthly allowance, and books its first month.
    pub async fn open(&self, allowance: u64, now: DateTime<Utc>) -> AccountId {
        let id = AccountId { org: OrgId::new(now, random()), mode: Mode::Live };
        let allowance = Allowance::Monthly(Credits::try_from(allowance).unwrap());
        self.ledger.open(&Account::open(id, PlanId("basic".into()), allowance, now)).await.unwrap();
        self.ledger.catch_up(id, moment(now)).await.unwrap();
        id
    }

    /// How many write units a write of the account costs as it is now: DynamoDB counts the whole item.
    pub async fn units_of(&self, id: AccountId) -> f64 {
        use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

        let client = aws_sdk_dynamodb::Client::from_conf(self.config.clone());
        let update = client.update_item().table_name(&self.table);
        let update = update.key("pk", AttributeValue::S(format!("ACCT#{id}")));
        let update = update.key("sk", AttributeValue::S("A".to_owned())).update_expression("SET seq = seq");
        let update = update.return_consumed_capacity(ReturnConsumedCapacity::Total);
        update.send().await.unwrap().consumed_capacity.unwrap().capacity_units.unwrap()
    }

    /// Works the stream off.
    pub async fn project(&mut self) {
        let activity = self.activity();
        self.follower.drain(&self.ledger, &others(&activity)).await.unwrap();
    }

    /// Works off records as one batch, in a process of its own; the place of the first that has to come again.
    pub async fn deliver(&self, ledger: &Ledger, records: &[Record]) -> Option<String> {
        project(ledger, &others(&self.activity()), records.iter().cloned()).await
    }

    /// A client of the table's stream, and the stream's name.
    pub async fn stream(&self) -> (aws_sdk_dynamodbstreams::Client, String) {
        let streams = self.streams.list_streams().table_name(&self.table).send().await.unwrap();
        (self.streams.clone(), streams.streams()[0].stream_arn().unwrap().to_owned())
    }

    /// Every record of the stream, from its beginning.
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

    /// The items of one partition, as somebody sees them who has the table in hand.
    pub async fn items(&self, partition: &str) -> Vec<Item> {
        self.items_in(&self.table, partition).await
    }

    /// The same of the table of activity.
    pub async fn activity_items(&self, partition: &str) -> Vec<Item> {
        self.items_in(&format!("{}-activity", self.table), partition).await
    }

    async fn items_in(&self, table: &str, partition: &str) -> Vec<Item> {
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

    /// Writes an item by hand, over whatever stands there.
    pub async fn write(&self, item: &Item) {
        self.write_in(&self.table, item).await;
    }

    /// The same in the table of activity.
    pub async fn write_activity(&self, item: &Item) {
        self.write_in(&format!("{}-activity", self.table), item).await;
    }

    async fn write_in(&self, table: &str, item: &Item) {
        let put = self.client().put_item().table_name(table).set_item(Some(item.clone()));
        put.send().await.unwrap();
    }

    /// Deletes an item by hand.
    pub async fn delete(&self, item: &Item) {
        self.delete_in(&self.table, item).await;
    }

    /// The same in the table of activity.
    pub async fn delete_activity(&self, item: &Item) {
        self.delete_in(&format!("{}-activity", self.table), item).await;
    }

    async fn delete_in(&self, table: &str, item: &Item) {
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
            let page = self.ledger.statement(id, &Query::default(), (cursor, 7), now).await.unwrap();
            rows.extend(page.receipts);
            cursor = page.next;
            if cursor.is_none() {
                return rows;
            }
        }
    }
}

/// A request under `key`, settled on `ledger`.
///
/// # Errors
/// Those of [`Ledger::settle`].
pub async fn settle(
    ledger: &Ledger,
    id: AccountId,
    (key, body): (&str, &str),
    moment: Moment,
    decide: impl Fn(&Account, &Head) -> Result<Posting, Refusal> + Send + Sync,
) -> Result<Settled, Unsettled> {
    let key = ClaimKey::Caller(IdempotencyKey::try_from(key.to_owned()).unwrap());
    let details = Details::default();
    ledger.settle(id, (&key, &Fingerprint(body.to_owned()), &details), moment, decide).await
}

/// Both clocks at `now`.
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
