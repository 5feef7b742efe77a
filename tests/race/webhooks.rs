//! Webhooks that are created and deleted at once: an account never has more than twenty.

use std::sync::Arc;

use serde_json::{Value, json};
use tests::{Org, World, unique};
use tokio::task::JoinSet;

const WEBHOOKS: &str = "/api/v3/webhooks";
const MOST: usize = 20;

async fn create(world: &World, org: &Org) -> String {
    let body = json!({ "url": "https://hooks.example.com/" });
    let answer = world.post(WEBHOOKS, &org.key, &unique(), &body).await;
    match answer.status {
        201 => answer.created()["webhookId"].as_str().unwrap().to_owned(),
        _ => answer.failure(),
    }
}

async fn listed(world: &World, org: &Org) -> Vec<Value> {
    let listed = world.get(WEBHOOKS, &org.key).await.data().as_array().unwrap().clone();
    assert!(listed.len() <= MOST, "{}", listed.len());
    listed.into_iter().map(|webhook| webhook["webhookId"].clone()).collect()
}

/// Of thirty creations at once twenty succeed and ten are refused; so again after five deletions.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_creations_keep_to_the_limit() {
    let world = Arc::new(World::at("2024-01-15T10:30:00Z").await);
    let org = Arc::new(world.open(10).await);
    let mut expected = MOST;
    for _ in 0..3 {
        let mut creations = JoinSet::new();
        for _ in 0..30 {
            let (world, org) = (world.clone(), org.clone());
            creations.spawn(async move { create(&world, &org).await });
        }
        let (created, refused): (Vec<_>, Vec<_>) =
            creations.join_all().await.into_iter().partition(|answer| answer.starts_with("wh_"));
        assert_eq!((created.len(), refused.len()), (expected, 30 - expected), "{refused:?}");
        assert!(refused.iter().all(|refusal| refusal == "409 CONFLICT"), "{refused:?}");
        let ids = listed(&world, &org).await;
        assert_eq!(ids.len(), MOST);
        assert!(created.iter().all(|id| ids.contains(&json!(id))));
        expected = 5;
        for id in ids.iter().take(expected) {
            world.delete(&format!("{WEBHOOKS}/{}", id.as_str().unwrap()), &org.key).await.data();
        }
    }
}

/// Creations and deletions at once, at the limit: what was acknowledged is there, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_creations_and_deletions_keep_to_the_limit() {
    let world = Arc::new(World::at("2024-01-15T10:30:00Z").await);
    let org = Arc::new(world.open(10).await);
    for _ in 0..MOST {
        create(&world, &org).await;
    }
    for _ in 0..3 {
        let before = listed(&world, &org).await;
        let mut changes = JoinSet::new();
        for id in before.iter().take(8) {
            let (world, org) = (world.clone(), org.clone());
            let path = format!("{WEBHOOKS}/{}", id.as_str().unwrap());
            changes.spawn(async move {
                world.delete(&path, &org.key).await.data();
                listed(&world, &org).await;
                String::new()
            });
        }
        for _ in 0..12 {
            let (world, org) = (world.clone(), org.clone());
            changes.spawn(async move { create(&world, &org).await });
        }
        let created: Vec<_> =
            changes.join_all().await.into_iter().filter(|answer| answer.starts_with("wh_")).collect();
        let after = listed(&world, &org).await;
        assert_eq!(after.len(), MOST - 8 + created.len());
        assert!(created.iter().all(|id| after.contains(&json!(id))));
        while listed(&world, &org).await.len() < MOST {
            assert!(create(&world, &org).await.starts_with("wh_"));
        }
    }
}
