//! Invitations that end in another way than by being accepted, and seats that they give back.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const INVITATIONS: &str = "/api/v3/invitations";
const SEATS: &str = "/api/v3/members/seats";

async fn world() -> (World, Org) {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    (world, org)
}

async fn invite(world: &World, key: &str, email: &str, role: &str) -> ApiAnswer {
    world.post(INVITATIONS, key, &unique(), &json!({ "email": email, "role": role })).await
}

async fn accept(world: &World, token: &Value) -> ApiAnswer {
    world.post_plain(&format!("{INVITATIONS}/accept"), &json!({ "token": token })).await
}

async fn used(world: &World, org: &Org) -> u64 {
    world.get(SEATS, &org.key).await.data()["used"].as_u64().unwrap()
}

/// A key that cannot give a role does not withdraw an invitation with that role.
#[tokio::test]
async fn a_key_withdraws_only_invitations_whose_scopes_it_has() {
    let (world, org) = world().await;
    let body = json!({ "mode": "live", "scopes": ["credits:read", "credits:consume", "team:write"] });
    let small = world.post("/api/v3/api-keys", &org.key, &unique(), &body).await.created();
    let small = small["key"].as_str().unwrap();
    for (role, status) in [("owner", 403), ("admin", 403), ("billing", 403), ("member", 200), ("viewer", 200)]
    {
        let invited = invite(&world, &org.key, &format!("{role}@example.com"), role).await.created();
        let path = format!("{INVITATIONS}/{}", invited["invitationId"].as_str().unwrap());
        assert_eq!(world.delete(&path, small).await.status, status, "{role}");
    }
    assert_eq!(used(&world, &org).await, 3);
}

#[tokio::test]
async fn a_closed_organisation_takes_no_new_members() {
    let (world, org) = world().await;
    let invited = invite(&world, &org.key, "jo@example.com", "viewer").await.created();
    let path = format!("/admin/v1/organisations/{}", org.id);
    let why = json!({ "reason": "Left" });
    for (action, expected) in [("close", 409), ("reopen", 201)] {
        world.post(&format!("{path}/{action}"), world.operator(), &unique(), &why).await.data();
        assert_eq!(accept(&world, &invited["token"]).await.status, expected, "{action}");
    }
}

/// The budget of an invitation is made with it, ends with it, and is not made again by a request that is repeated later.
#[tokio::test]
async fn the_limit_of_an_invitation_ends_with_it() {
    let (world, org) = world().await;
    let budgets =
        async || world.get("/api/v3/credits/budgets", &org.key).await.data().as_array().unwrap().len();
    let body =
        json!({ "email": "jo@example.com", "role": "member", "limit": { "credits": 5, "period": "day" } });
    let name = unique();
    let invited = world.post(INVITATIONS, &org.key, &name, &body).await.created();
    assert_eq!(budgets().await, 1);
    let path = format!("{INVITATIONS}/{}", invited["invitationId"].as_str().unwrap());
    world.delete(&path, &org.key).await.data();
    assert_eq!(budgets().await, 0);
    assert_eq!(
        world.post(INVITATIONS, &org.key, &name, &body).await.data()["status"],
        json!("open"),
        "the first answer"
    );
    assert_eq!((budgets().await, used(&world, &org).await), (0, 0));
    // Once it was accepted, the budget is the organisation's to change or delete.
    let invited = world.post(INVITATIONS, &org.key, &unique(), &body).await.created();
    let member = accept(&world, &invited["token"]).await.created()["memberId"].clone();
    let own = world.get("/api/v3/credits/budgets", &org.key).await.data()[0].clone();
    assert_eq!((&own["id"], &own["limit"]), (&member, &json!(5)));
    world
        .delete(&format!("/api/v3/credits/budgets/{}", own["budgetId"].as_str().unwrap()), &org.key)
        .await
        .data();
    assert_eq!(accept(&world, &invited["token"]).await.failure(), "409 CONFLICT");
    assert_eq!(budgets().await, 0);
}

/// Thirty invitations have ended, of which some were withdrawn before: the next one finds all their seats free.
#[tokio::test]
async fn invitations_that_have_ended_give_their_seats_back() {
    let (world, org) = world().await;
    let path = format!("/admin/v1/organisations/{}/subscription", org.id);
    world.put(&path, world.operator(), &json!({ "plan": "enterprise" })).await.data();
    for number in 0..30 {
        let invited = invite(&world, &org.key, &format!("m{number}@example.com"), "viewer").await.created();
        if number % 4 == 0 {
            let path = format!("{INVITATIONS}/{}", invited["invitationId"].as_str().unwrap());
            world.delete(&path, &org.key).await.data();
        }
    }
    assert_eq!(used(&world, &org).await, 22);
    world.pass(7 * 86_400 - 1).await;
    assert_eq!(used(&world, &org).await, 22);
    world.pass(1).await;
    assert_eq!(used(&world, &org).await, 0);
    world.put(&path, world.operator(), &json!({ "plan": "professional" })).await.data();
    let seats = world.get(SEATS, &org.key).await.data()["limit"].as_u64().unwrap();
    assert!(seats < 22, "{seats}");
    for number in 0..seats {
        invite(&world, &org.key, &format!("n{number}@example.com"), "viewer").await.created();
    }
    assert_eq!(
        invite(&world, &org.key, "one@example.com", "viewer").await.failure(),
        "403 PLAN_LIMIT_REACHED"
    );
    assert_eq!(used(&world, &org).await, seats);
}

/// Removing an owner gives back the seat, like removing any other member.
#[tokio::test]
async fn every_member_who_leaves_gives_a_seat_back() {
    let (world, org) = world().await;
    let mut members = vec![];
    for role in ["owner", "owner", "viewer"] {
        let invited = invite(&world, &org.key, &format!("{}@example.com", unique()), role).await.created();
        members.push(accept(&world, &invited["token"]).await.created()["memberId"].clone());
    }
    for (member, left) in members[1..].iter().zip([2, 1]) {
        world.delete(&format!("/api/v3/members/{}", member.as_str().unwrap()), &org.key).await.data();
        assert_eq!(used(&world, &org).await, left);
    }
}
