//! Simultaneous invitations, acceptances and departures.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{World, unique};

const INVITATIONS: &str = "/api/v3/invitations";
const MEMBERS: &str = "/api/v3/members";

/// A key of an organisation with the plan `basic`, which has three seats.
async fn basic(world: &World) -> String {
    let body = json!({ "name": "Own", "plan": "basic" });
    let org = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
    let path = format!("/admin/v1/organisations/{}/keys", org["organisationId"].as_str().unwrap());
    let scopes: Vec<_> = tests::EVERY_SCOPE.into_iter().chain(["dashboard"]).collect();
    let body = json!({ "mode": "live", "scopes": scopes });
    let key = world.post(&path, world.operator(), &unique(), &body).await.created();
    key["key"].as_str().unwrap().to_owned()
}

async fn used(world: &World, key: &str) -> u64 {
    world.get(&format!("{MEMBERS}/seats"), key).await.data()["used"].as_u64().unwrap()
}

/// Sixty-four invitations for three seats: three are made. One that gets no answer is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn invitations_never_exceed_the_seats_of_the_plan() {
    let world = World::demo().await;
    let key = basic(&world).await;
    let invite = async |number: u32| {
        let body = json!({ "email": format!("m{number}@example.com"), "role": "viewer" });
        let name = unique();
        for _ in 0..20 {
            let answer = world.post(INVITATIONS, &key, &name, &body).await;
            if answer.status != 503 && answer.status != 409 {
                return answer;
            }
        }
        panic!("no answer after twenty attempts")
    };
    let answers = join_all((0..64).map(invite)).await;
    let mut counts = BTreeMap::new();
    for answer in &answers {
        let outcome = if answer.status == 201 { "201".to_owned() } else { answer.failure() };
        *counts.entry(outcome).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([("201".to_owned(), 3), ("403 PLAN_LIMIT_REACHED".to_owned(), 61)]));
    assert_eq!(used(&world, &key).await, 3);
    // The seats become members, each once, however often the token is sent.
    let tokens =
        answers.iter().filter(|answer| answer.status == 201).map(|answer| answer.data()["token"].clone());
    let path = format!("{INVITATIONS}/accept");
    let sent = tokens.flat_map(|token| std::iter::repeat_n(token, 8));
    let accept = async |token: Value| world.post_plain(&path, &json!({ "token": token })).await.status;
    let statuses = join_all(sent.map(accept)).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3, "{statuses:?}");
    assert_eq!(world.get(MEMBERS, &key).await.data().as_array().unwrap().len(), 3);
    assert_eq!(used(&world, &key).await, 3);
}

/// All owners leave, or become something else, at once: one stays.
#[tokio::test(flavor = "multi_thread")]
async fn one_owner_stays_when_all_leave_at_once() {
    let world = World::demo().await;
    let org = world.open(10).await;
    for round in 0..4 {
        let mut owners = vec![];
        for number in 0..3 {
            let body = json!({ "email": format!("o{round}-{number}@example.com"), "role": "owner" });
            let invited = world.post(INVITATIONS, &org.key, &unique(), &body).await.created();
            let path = format!("{INVITATIONS}/accept");
            let member = world.post_plain(&path, &json!({ "token": invited["token"] })).await.created();
            owners.push(format!("{MEMBERS}/{}", member["memberId"].as_str().unwrap()));
        }
        let leave = async |(number, path): (usize, &String)| match number % 2 {
            0 => world.delete(path, &org.key).await,
            _ => world.patch(path, &org.key, &json!({ "role": "viewer" })).await,
        };
        let listed = world.get(&format!("{MEMBERS}?limit=100"), &org.key).await.data();
        let present: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .filter(|member| member["role"] == "owner" && member["status"] == "active")
            .map(|member| format!("{MEMBERS}/{}", member["memberId"].as_str().unwrap()))
            .collect();
        assert!(owners.iter().all(|owner| present.contains(owner)));
        join_all(present.iter().enumerate().map(leave)).await;
        let listed = world.get(&format!("{MEMBERS}?limit=100"), &org.key).await.data();
        let left = listed.as_array().unwrap().iter();
        let left = left.filter(|member| member["role"] == "owner" && member["status"] == "active").count();
        assert_eq!(left, 1, "round {round}");
        // Make room for the next round.
        for member in listed.as_array().unwrap().iter().filter(|member| member["status"] == "active") {
            if member["role"] != "owner" {
                world
                    .delete(&format!("{MEMBERS}/{}", member["memberId"].as_str().unwrap()), &org.key)
                    .await
                    .data();
            }
        }
    }
}
