//! Members and invitations: who joins, with which role, and within how many seats.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const INVITATIONS: &str = "/api/v3/invitations";
const MEMBERS: &str = "/api/v3/members";

async fn invite(world: &World, key: &str, email: &str, role: &str) -> ApiAnswer {
    let body = json!({ "email": email, "role": role });
    world.post(INVITATIONS, key, &unique(), &body).await
}

async fn accept(world: &World, token: &Value) -> ApiAnswer {
    world.post_plain(&format!("{INVITATIONS}/accept"), &json!({ "token": token, "name": "Jo" })).await
}

/// A member with a role; returns its path.
async fn join(world: &World, org: &Org, email: &str, role: &str) -> String {
    let invited = invite(world, &org.key, email, role).await.created();
    let member = accept(world, &invited["token"]).await.created();
    format!("{MEMBERS}/{}", member["memberId"].as_str().unwrap())
}

async fn seats(world: &World, org: &Org) -> (u64, Value, u64) {
    let seats = world.get(&format!("{MEMBERS}/seats"), &org.key).await.data();
    (seats["used"].as_u64().unwrap(), seats["limit"].clone(), seats["over"].as_u64().unwrap())
}

#[tokio::test]
async fn an_invitation_is_shown_once_and_accepted_once() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let (name, body) = (unique(), json!({ "email": "Jo@Example.com", "role": "billing" }));
    let invited = world.post(INVITATIONS, &org.key, &name, &body).await.created();
    assert_eq!(
        (&invited["status"], &invited["role"], &invited["expiresAt"]),
        (&json!("open"), &json!("billing"), &json!("2024-01-22T10:30:00Z"))
    );
    let link = invited["link"].as_str().unwrap();
    assert!(link.ends_with(&format!("/join#{}", invited["token"].as_str().unwrap())), "{link}");
    let again = world.post(INVITATIONS, &org.key, &name, &body).await;
    assert_eq!(
        (&again.data()["token"], &again.data()["link"], &again.data()["secretShown"]),
        (&Value::Null, &Value::Null, &json!(true))
    );
    // The address is taken, in any case.
    assert_eq!(invite(&world, &org.key, "jo@example.com", "viewer").await.failure(), "409 CONFLICT");
    let member = accept(&world, &invited["token"]).await.created();
    assert_eq!(
        (&member["email"], &member["name"], &member["role"], &member["status"]),
        (&json!("Jo@Example.com"), &json!("Jo"), &json!("billing"), &json!("active"))
    );
    assert_eq!(accept(&world, &invited["token"]).await.failure(), "409 CONFLICT");
    assert_eq!(accept(&world, &json!("join_x")).await.failure(), "404 NOT_FOUND");
    assert_eq!(invite(&world, &org.key, "JO@example.com", "viewer").await.failure(), "409 CONFLICT");
    let listed = world.get(INVITATIONS, &org.key).await.data();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["status"]), (1, &json!("accepted")));
    assert_eq!(listed[0].get("token"), None);
    world.settle().await;
    let events = world.get("/api/v3/events?after=0&limit=100", &org.key).await.data();
    let names: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"].as_str().unwrap().starts_with("member."))
        .map(|event| {
            tests::assert_event(event);
            event["event"].as_str().unwrap()
        })
        .collect();
    assert_eq!(names, ["member.invited", "member.joined"]);
}

#[tokio::test]
async fn seats_follow_the_plan_and_a_downgrade_removes_no_member() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    assert_eq!(seats(&world, &org).await, (0, json!(10), 0));
    let mut members = vec![];
    for number in 0..4 {
        members.push(join(&world, &org, &format!("m{number}@example.com"), "member").await);
    }
    let path = format!("/admin/v1/organisations/{}/subscription", org.id);
    world.put(&path, world.operator(), &json!({ "plan": "basic" })).await.data();
    world.settle().await;
    // The plan has no API access, so a key of the dashboard asks.
    let body =
        json!({ "mode": "live", "scopes": ["dashboard", "credits:read", "credits:consume", "team:write"] });
    let keys = format!("/admin/v1/organisations/{}/keys", org.id);
    let key = world.post(&keys, world.operator(), &unique(), &body).await.created();
    let key = Org { id: org.id.clone(), key: key["key"].as_str().unwrap().to_owned() };
    assert_eq!(seats(&world, &key).await, (4, json!(3), 1));
    let refused = invite(&world, &key.key, "new@example.com", "member").await;
    assert_eq!(refused.failure(), "403 PLAN_LIMIT_REACHED");
    assert_eq!(refused.body["error"]["details"], json!({ "limit": 3, "used": 4, "over": 1 }));
    for removed in [&members[0], &members[1]] {
        assert_eq!(world.delete(removed, &key.key).await.data()["status"], json!("removed"));
    }
    assert_eq!(seats(&world, &key).await, (2, json!(3), 0));
    let invited = invite(&world, &key.key, "new@example.com", "member").await.created();
    assert_eq!(
        invite(&world, &key.key, "one@example.com", "member").await.failure(),
        "403 PLAN_LIMIT_REACHED"
    );
    // An invitation that was withdrawn, or that has expired, gives its seat back.
    let path = format!("{INVITATIONS}/{}", invited["invitationId"].as_str().unwrap());
    assert_eq!(world.delete(&path, &key.key).await.data()["status"], json!("withdrawn"));
    assert_eq!(accept(&world, &invited["token"]).await.failure(), "409 CONFLICT");
    let expired = invite(&world, &key.key, "one@example.com", "member").await.created();
    world.pass(7 * 86_400).await;
    assert_eq!(accept(&world, &expired["token"]).await.failure(), "409 CONFLICT");
    invite(&world, &key.key, "two@example.com", "member").await.created();
    let statuses = world.get(INVITATIONS, &key.key).await.data();
    let open = statuses.as_array().unwrap().iter().filter(|one| one["status"] == "open").count();
    assert_eq!((open, seats(&world, &key).await), (1, (3, json!(3), 0)));
}

#[tokio::test]
async fn a_key_gives_only_roles_whose_scopes_it_has() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let body = json!({ "mode": "live", "scopes": ["credits:read", "credits:consume", "team:write"] });
    let small = world.post("/api/v3/api-keys", &org.key, &unique(), &body).await.created();
    let small = small["key"].as_str().unwrap();
    for (role, status) in [("owner", 403), ("admin", 403), ("billing", 403), ("member", 201), ("viewer", 201)]
    {
        let answer = invite(&world, small, &format!("{role}@example.com"), role).await;
        assert_eq!(answer.status, status, "{role}: {answer:?}");
    }
    let viewer = join(&world, &org, "v@example.com", "viewer").await;
    assert_eq!(
        world.patch(&viewer, small, &json!({ "role": "owner" })).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    assert_eq!(
        world.patch(&viewer, small, &json!({ "role": "member" })).await.data()["role"],
        json!("member")
    );
    let owner = join(&world, &org, "o@example.com", "owner").await;
    assert_eq!(
        world.patch(&owner, small, &json!({ "role": "viewer" })).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    assert_eq!(world.delete(&owner, small).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    // A test key sees and invites none.
    let keys = format!("/admin/v1/organisations/{}/keys", org.id);
    let body = json!({ "mode": "test", "scopes": tests::EVERY_SCOPE });
    let test = world.post(&keys, world.operator(), &unique(), &body).await.created();
    let test = test["key"].as_str().unwrap();
    assert_eq!(world.get(MEMBERS, test).await.data(), json!([]));
    assert_eq!(world.get(INVITATIONS, test).await.data(), json!([]));
    assert_eq!(world.get(&format!("{MEMBERS}/seats"), test).await.data()["used"], json!(0));
    assert_eq!(world.get(&owner, test).await.failure(), "404 NOT_FOUND");
    assert_eq!(
        invite(&world, test, "t@example.com", "viewer").await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
}

#[tokio::test]
async fn the_last_owner_stays() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let first = join(&world, &org, "first@example.com", "owner").await;
    let viewer = json!({ "role": "viewer" });
    assert_eq!(world.patch(&first, &org.key, &viewer).await.failure(), "409 CONFLICT");
    assert_eq!(world.delete(&first, &org.key).await.failure(), "409 CONFLICT");
    let second = join(&world, &org, "second@example.com", "owner").await;
    assert_eq!(world.patch(&first, &org.key, &viewer).await.data()["role"], json!("viewer"));
    assert_eq!(world.delete(&second, &org.key).await.failure(), "409 CONFLICT");
    world.patch(&first, &org.key, &json!({ "role": "owner" })).await.data();
    world.delete(&second, &org.key).await.data();
    assert_eq!(world.patch(&second, &org.key, &viewer).await.failure(), "409 CONFLICT", "it was removed");
    // The address of one who was removed may be invited again.
    invite(&world, &org.key, "second@example.com", "viewer").await.created();
}

/// The limit of an invitation is a budget of the member.
#[tokio::test]
async fn a_member_with_a_limit_gets_a_budget() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let body =
        json!({ "email": "jo@example.com", "role": "member", "limit": { "credits": 5, "period": "day" } });
    let invited = world.post(INVITATIONS, &org.key, &unique(), &body).await.created();
    assert_eq!(invited["limit"], body["limit"]);
    let member = accept(&world, &invited["token"]).await.created()["memberId"].clone();
    let debit = json!({ "operation": "aml.basic", "quantity": 5, "memberId": member });
    world.consume(&org.key, &unique(), &debit).await.created();
    let refused = world.consume(&org.key, &unique(), &debit).await;
    assert_eq!(refused.failure(), "403 BUDGET_EXCEEDED");
    let details = &refused.body["error"]["details"];
    assert_eq!(
        (&details["scope"], &details["id"], &details["limit"]),
        (&json!("member"), &member, &json!(5))
    );
    for wrong in
        [json!({ "credits": 0, "period": "day" }), json!({ "credits": 5, "period": "year" }), json!(5)]
    {
        let body = json!({ "email": "kim@example.com", "role": "member", "limit": wrong });
        assert_eq!(
            world.post(INVITATIONS, &org.key, &unique(), &body).await.failure(),
            "400 VALIDATION_ERROR",
            "{wrong}"
        );
    }
    for wrong in ["", "jo", "jo@", "jo@a@b", "a b@example.com"] {
        assert_eq!(
            invite(&world, &org.key, wrong, "viewer").await.failure(),
            "400 VALIDATION_ERROR",
            "{wrong}"
        );
    }
    assert_eq!(invite(&world, &org.key, "kim@example.com", "chief").await.failure(), "400 VALIDATION_ERROR");
}
