//! Items: conditions, arithmetic, transactions, queries, capacity and time to live.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::RequestId;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    Put, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure, TimeToLiveSpecification,
    TransactWriteItem,
};

use super::*;

#[tokio::test]
async fn a_debit_reads_and_writes_a_nested_path() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    put(&client, "ORG#1", "ACCOUNT", &[("lots", lots(&[("a", 10), ("b", 3)]))]).await;

    let debited = debit(&client, "ORG#1", 4).return_values(ReturnValue::AllNew).send().await.unwrap();
    assert_eq!(debited.attributes().unwrap()["lots"], lots(&[("a", 6), ("b", 3)]));
    assert_eq!(debited.attributes().unwrap()["pk"], s("ORG#1"));

    let request = debit(&client, "ORG#1", 7)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let item = refused(request).await.unwrap().unwrap();
    assert_eq!(item["lots"], lots(&[("a", 6), ("b", 3)]));
    assert_eq!(refused(debit(&client, "ORG#1", 7)).await, Some(None), "the item is returned only on request");
    assert_eq!(get(&client, "ORG#1", "ACCOUNT").await.unwrap()["lots"], lots(&[("a", 6), ("b", 3)]));
}

#[tokio::test]
async fn a_condition_on_a_missing_attribute_is_false() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    put(&client, "ORG#1", "ACCOUNT", &[("lots", lots(&[("b", 3)]))]).await;
    put(&client, "ORG#2", "ACCOUNT", &[]).await;
    let request = |pk: &str| {
        debit(&client, pk, 1)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
    };
    assert_eq!(refused(request("ORG#1")).await.unwrap().unwrap()["lots"], lots(&[("b", 3)]));
    assert_eq!(refused(request("ORG#2")).await.unwrap().unwrap().len(), 2);
    assert_eq!(refused(request("ORG#3")).await, Some(None), "no item, no old item");
    assert_eq!(get(&client, "ORG#3", "ACCOUNT").await, None, "a refused update creates nothing");

    let unchecked = update(&client, "ORG#2", "ACCOUNT")
        .update_expression("SET lots.a.#left = :n")
        .expression_attribute_names("#left", "left")
        .expression_attribute_values(":n", n(1))
        .send()
        .await
        .unwrap_err();
    assert_eq!(unchecked.code(), Some("ValidationException"));
    assert!(unchecked.request_id().is_some());
}

#[tokio::test]
async fn removing_a_missing_attribute_is_no_error() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    put(&client, "ORG#1", "ACCOUNT", &[("lots", lots(&[("a", 1), ("b", 3)]))]).await;
    for left in [lots(&[("b", 3)]), lots(&[("b", 3)])] {
        let removed = update(&client, "ORG#1", "ACCOUNT")
            .update_expression("REMOVE lots.#a")
            .expression_attribute_names("#a", "a")
            .return_values(ReturnValue::AllNew);
        assert_eq!(removed.send().await.unwrap().attributes().unwrap()["lots"], left);
    }
}

#[tokio::test]
async fn a_refused_put_returns_the_item_that_was_there() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    put(&client, "ORG#1", "CLAIM#k", &[("fingerprint", s("f1"))]).await;
    let refused = client
        .put_item()
        .table_name(TABLE)
        .item("pk", s("ORG#1"))
        .item("sk", s("CLAIM#k"))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    let PutItemError::ConditionalCheckFailedException(refusal) = refused else { panic!("{refused:?}") };
    assert_eq!(refusal.item().unwrap()["fingerprint"], s("f1"));
    assert_eq!(refusal.message(), Some("The conditional request failed"));
}

#[tokio::test]
async fn a_fence_only_moves_forward() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    for (id, refused_as_older) in
        [("01B", false), ("01A", true), ("01B", true), ("01C", false), ("01C0", false)]
    {
        let fenced = update(&client, "ORG#1", "ACCOUNT")
            .update_expression("SET fence = :id")
            .condition_expression("attribute_not_exists(fence) OR fence < :id")
            .expression_attribute_values(":id", s(id));
        assert_eq!(refused(fenced).await.is_some(), refused_as_older, "{id}");
    }
}

fn new_entry(pk: &str, sk: &str) -> TransactWriteItem {
    let put = Put::builder()
        .table_name(TABLE)
        .item("pk", s(pk))
        .item("sk", s(sk))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    TransactWriteItem::builder().put(put.build().unwrap()).build()
}

#[tokio::test]
async fn two_puts_land_together_or_not_at_all() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    let both = |first: &str, second: &str| {
        let (first, second) = (new_entry("ORG#1", first), new_entry("ORG#1", second));
        client.transact_write_items().transact_items(first).transact_items(second)
    };
    let landed = both("CLAIM#1", "ENTRY#1").return_consumed_capacity(ReturnConsumedCapacity::Total);
    assert_eq!(landed.send().await.unwrap().consumed_capacity()[0].capacity_units(), Some(4.0));

    let lost = both("CLAIM#2", "ENTRY#1").send().await.unwrap_err().into_service_error();
    let TransactWriteItemsError::TransactionCanceledException(lost) = lost else { panic!("{lost:?}") };
    let codes: Vec<_> = lost.cancellation_reasons().iter().filter_map(|reason| reason.code()).collect();
    assert_eq!(codes, ["None", "ConditionalCheckFailed"]);
    assert_eq!(lost.cancellation_reasons()[1].item().unwrap()["sk"], s("ENTRY#1"));
    assert_eq!(get(&client, "ORG#1", "CLAIM#2").await, None);
}

#[tokio::test]
async fn a_statement_is_read_backwards_by_pages() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    for number in 0..7 {
        put(&client, "ORG#1", &format!("ENTRY#{number}"), &[]).await;
    }
    put(&client, "ORG#1", "ACCOUNT", &[]).await;
    let (mut pages, mut start) = (Vec::new(), None);
    loop {
        let page = client
            .query()
            .table_name(TABLE)
            .key_condition_expression("pk = :pk AND begins_with(sk, :entry)")
            .expression_attribute_values(":pk", s("ORG#1"))
            .expression_attribute_values(":entry", s("ENTRY#"))
            .scan_index_forward(false)
            .limit(3)
            .set_exclusive_start_key(start)
            .send()
            .await
            .unwrap();
        pages.push(page.items().iter().map(|item| item["sk"].as_s().unwrap().clone()).collect::<Vec<_>>());
        start = page.last_evaluated_key;
        if start.is_none() {
            break;
        }
    }
    assert_eq!(
        pages,
        [vec!["ENTRY#6", "ENTRY#5", "ENTRY#4"], vec!["ENTRY#3", "ENTRY#2", "ENTRY#1"], vec!["ENTRY#0"],]
    );
}

#[tokio::test]
async fn capacity_is_counted_as_dynamodb_counts_it() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    for (length, units) in [(500, 1.0), (1_500, 2.0)] {
        let put = client
            .put_item()
            .table_name(TABLE)
            .item("pk", s("ORG#1"))
            .item("sk", s("NOTE"))
            .item("text", s("x".repeat(length)))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        assert_eq!(put.send().await.unwrap().consumed_capacity().unwrap().capacity_units(), Some(units));
    }
    for (consistent, units) in [(false, 0.5), (true, 1.0)] {
        let get = client.get_item().table_name(TABLE).key("pk", s("ORG#1")).key("sk", s("NOTE"));
        let get = get.consistent_read(consistent).return_consumed_capacity(ReturnConsumedCapacity::Total);
        assert_eq!(get.send().await.unwrap().consumed_capacity().unwrap().capacity_units(), Some(units));
    }
}

#[tokio::test]
async fn racing_debits_are_all_counted_and_never_overdraw() {
    const TASKS: i64 = 64;
    const DEBITS: i64 = 50;
    /// Fewer than the racing debits request.
    const CREDITS: i64 = 3_000;
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    put(&client, "ORG#1", "ACCOUNT", &[("lots", lots(&[("a", CREDITS)]))]).await;
    let racers: Vec<_> = (0..TASKS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut landed = 0;
                for _ in 0..DEBITS {
                    landed += i64::from(refused(debit(&client, "ORG#1", 1)).await.is_none());
                }
                landed
            })
        })
        .collect();
    let mut landed = 0;
    for racer in racers {
        landed += racer.await.unwrap();
    }
    assert_eq!(landed, CREDITS);
    assert_eq!(get(&client, "ORG#1", "ACCOUNT").await.unwrap()["lots"], lots(&[("a", 0)]));
}

#[tokio::test]
async fn expired_items_are_swept() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    let ttl = TimeToLiveSpecification::builder().attribute_name("expires").enabled(true).build().unwrap();
    client.update_time_to_live().table_name(TABLE).time_to_live_specification(ttl).send().await.unwrap();
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    put(&client, "ORG#1", "CLAIM#old", &[("expires", n(now - 60))]).await;
    put(&client, "ORG#1", "CLAIM#new", &[("expires", n(now + 3_600))]).await;
    put(&client, "ORG#1", "ACCOUNT", &[]).await;
    assert_eq!(engine.sweep_ttl().unwrap(), 1);
    assert_eq!(get(&client, "ORG#1", "CLAIM#old").await, None);
    assert!(get(&client, "ORG#1", "CLAIM#new").await.is_some());
    assert_eq!(engine.sweep_ttl().unwrap(), 0);
}
