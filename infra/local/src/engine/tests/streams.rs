//! Streams: their records, trimming, and the index.

use aws_sdk_dynamodbstreams as sdk;
use sdk::types::{OperationType, Record, ShardIteratorType};

use super::super::stream;
use super::*;

fn reader(engine: &Engine) -> sdk::Client {
    sdk::Client::from_conf(engine.streams_config().build())
}

/// The records of [`TABLE`] after the sequence number `after`, or all of them.
async fn records(engine: &Engine, after: Option<&str>) -> Vec<Record> {
    let reader = reader(engine);
    let stream = client(engine).describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
    let arn = stream.latest_stream_arn().unwrap();
    let described = reader.describe_stream().stream_arn(arn).send().await.unwrap();
    let shards = described.stream_description.unwrap().shards.unwrap();
    assert_eq!(shards.len(), 1);
    let from = match after {
        Some(_) => ShardIteratorType::AfterSequenceNumber,
        None => ShardIteratorType::TrimHorizon,
    };
    let mut iterator = reader
        .get_shard_iterator()
        .stream_arn(arn)
        .shard_id(shards[0].shard_id().unwrap())
        .shard_iterator_type(from)
        .set_sequence_number(after.map(str::to_owned))
        .send()
        .await
        .unwrap()
        .shard_iterator;
    let mut records = Vec::new();
    loop {
        let page = reader.get_records().set_shard_iterator(iterator).limit(3).send().await.unwrap();
        iterator = page.next_shard_iterator;
        match page.records.unwrap_or_default() {
            page if page.is_empty() => return records,
            page => records.extend(page),
        }
    }
}

fn number(record: &Record) -> &str {
    record.dynamodb().unwrap().sequence_number().unwrap()
}

/// The change of `credits` in each record: `"1>2"`, `"->1"`.
fn changes(records: &[Record]) -> Vec<String> {
    let credits = |image: Option<&HashMap<String, sdk::types::AttributeValue>>| {
        image.map_or("-".to_owned(), |image| image["credits"].as_n().unwrap().clone())
    };
    let change = |record: &Record| {
        let record = record.dynamodb().unwrap();
        format!("{}>{}", credits(record.old_image()), credits(record.new_image()))
    };
    records.iter().map(change).collect()
}

async fn set(client: &Client, credits: std::ops::RangeInclusive<i64>) {
    for credits in credits {
        put(client, "ORG#1", "ACCOUNT", &[("credits", n(credits))]).await;
    }
}

#[tokio::test]
async fn a_record_has_the_old_and_the_new_image() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    set(&client, 1..=5).await;
    client
        .delete_item()
        .table_name(TABLE)
        .key("pk", s("ORG#1"))
        .key("sk", s("ACCOUNT"))
        .send()
        .await
        .unwrap();
    put(&client, "ORG#2", "ACCOUNT", &[("credits", n(9))]).await;
    assert!(refused(debit(&client, "ORG#2", 1)).await.is_some(), "a refused write makes no record");

    let all = records(&engine, None).await;
    assert_eq!(changes(&all), ["->1", "1>2", "2>3", "3>4", "4>5", "5>-", "->9"]);
    let kinds: Vec<_> = all.iter().map(|record| record.event_name().unwrap().clone()).collect();
    assert_eq!(kinds[0], OperationType::Insert);
    assert_eq!(kinds[1], OperationType::Modify);
    assert_eq!(kinds[5], OperationType::Remove);
    assert!(all.windows(2).all(|pair| number(&pair[0]) < number(&pair[1])));
    assert_eq!(changes(&records(&engine, Some(number(&all[3]))).await), ["4>5", "5>-", "->9"]);
    assert_eq!(changes(&records(&engine, Some(number(&all[6]))).await), [""; 0]);
}

#[tokio::test]
async fn a_trimmed_stream_continues_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path()).unwrap();
    let client = with_table(&engine).await;
    set(&client, 1..=6).await;
    let all = records(&engine, None).await;
    let third = number(&all[2]).to_owned();
    let last = number(&all[5]).to_owned();

    assert_eq!(engine.trim_stream(TABLE, &third).unwrap(), 3);
    assert_eq!(engine.trim_stream(TABLE, &third).unwrap(), 0);
    assert_eq!(engine.trim_stream("Other", &last).unwrap(), 0);
    assert_eq!(changes(&records(&engine, None).await), ["3>4", "4>5", "5>6"]);
    assert_eq!(changes(&records(&engine, Some(&third)).await), ["3>4", "4>5", "5>6"]);

    assert_eq!(engine.trim_stream(TABLE, &last).unwrap(), 2, "the newest stays");
    set(&client, 7..=7).await;
    drop((client, engine));

    let engine = Engine::open(folder.path()).unwrap();
    set(&super::client(&engine), 8..=8).await;
    let after = records(&engine, Some(&last)).await;
    assert_eq!(changes(&after), ["6>7", "7>8"]);
    assert!(last.as_str() < number(&after[0]) && number(&after[0]) < number(&after[1]));
    assert_eq!(changes(&records(&engine, None).await), ["5>6", "6>7", "7>8"]);
}

#[tokio::test]
async fn a_long_stream_is_trimmed_completely_while_it_is_written() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    set(&client, 1..=1_203).await;
    let last = number(records(&engine, None).await.last().unwrap()).to_owned();
    let writer = tokio::spawn({
        let client = client.clone();
        async move { set(&client, 2_000..=2_099).await }
    });
    let trimming = engine.clone();
    let trimmed = tokio::task::spawn_blocking(move || trimming.trim_stream(TABLE, &last).unwrap());
    let trimmed = trimmed.await.unwrap();
    writer.await.unwrap();
    assert!((1_202..=1_203).contains(&trimmed), "{trimmed}");
    let left = changes(&records(&engine, None).await);
    assert_eq!(left.len(), 1_303 - trimmed);
    assert_eq!(left.last().unwrap(), "2098>2099");
}

#[test]
fn only_sequence_numbers_of_the_engine_can_be_trimmed() {
    let engine = Engine::temporary().unwrap();
    for wrong in ["", "5", "abc", "100000000000000000000", "999999999999999999999999999999999999999"] {
        let refusal = engine.trim_stream(TABLE, wrong).unwrap_err().to_string();
        assert_eq!(refusal, format!("{wrong:?} is not a sequence number of this engine"));
    }
}

/// The costs of a write and of a poll do not grow with the stream as long as SQLite uses the index. The queries are the
/// engine's.
#[test]
fn the_next_number_and_the_next_records_are_found_through_the_index() {
    let engine = Engine::temporary().unwrap();
    let sqlite = stream::connect(&engine.0.home).unwrap();
    let queries = [
        "SELECT COALESCE(MAX(CAST(sequence_number AS INTEGER)), 0) + 1 FROM _stream_records WHERE table_name = ?1",
        "SELECT event_name, keys_json, new_image, old_image, sequence_number, created_at, user_identity, event_id
            FROM _stream_records
            WHERE table_name = ?1 AND shard_id = ?2 AND CAST(sequence_number AS INTEGER) > ?3
            ORDER BY CAST(sequence_number AS INTEGER) ASC
            LIMIT ?4",
    ];
    for query in queries {
        let mut plan = sqlite.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
        let unbound = vec![rusqlite::types::Null; plan.parameter_count()];
        let steps: Vec<String> = plan
            .query_map(rusqlite::params_from_iter(unbound), |row| row.get("detail"))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(
            steps[0].contains("USING") && steps[0].contains("INDEX _stream_records_in_order"),
            "{steps:?}"
        );
    }
}
