//! An organisation that is closed and unfrozen at once.

use futures_util::future::join_all;
use serde_json::json;
use tests::{World, unique};

/// However they overlap, a closed organisation is frozen afterwards, and it can be reopened and used again.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_organisation_is_frozen_whatever_was_sent_with_it() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let why = json!({ "reason": "Left" });
    let debit = json!({ "operation": "aml.basic" });
    for round in 0..12 {
        let org = world.open(10).await;
        let path = format!("/admin/v1/organisations/{}", org.id);
        let post = async |action: &str| {
            world.post(&format!("{path}/{action}"), world.operator(), &unique(), &why).await
        };
        post("freeze").await.data();
        let actions =
            ["close", "unfreeze", "unfreeze", "unfreeze"].into_iter().cycle().skip(round % 4).take(4);
        for answer in join_all(actions.map(post)).await {
            assert!([200, 409].contains(&answer.status), "{answer:?}");
        }
        let known = world.get(&path, world.operator()).await.data();
        assert_eq!((&known["status"], &known["frozen"]), (&json!("closed"), &json!(true)), "{round}");
        post("reopen").await.data();
        post("unfreeze").await.data();
        world.consume(&org.key, &unique(), &debit).await.created();
    }
}
