//! API keys that an organisation manages itself.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, ApiRequest, World, unique};

const KEYS: &str = "/api/v3/api-keys";
const BALANCE: &str = "/api/v3/credits/balance";

async fn create(world: &World, by: &str, body: Value) -> ApiAnswer {
    world.post(KEYS, by, &unique(), &body).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Asks for the balance with a key; the status and the code of an error.
async fn attempt(world: &World, key: &str) -> String {
    let answer = world.get(BALANCE, key).await;
    if answer.status == 200 { "200".to_owned() } else { answer.failure() }
}

#[tokio::test]
async fn a_key_is_created_listed_changed_and_revoked() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let body = json!({
        "mode": "live", "name": "Billing service", "scopes": ["credits:read"], "expiresAt": "2024-02-01T00:00:00Z",
        "allowedIps": ["127.0.0.0/8", "2001:db8::1"],
    });
    let created = create(&world, &org.key, body).await.created();
    let (id, key) = (text(&created["keyId"]), text(&created["key"]));
    assert!(key.starts_with("sk_live_") && key.ends_with(created["last4"].as_str().unwrap()));
    let read = |changes: Value| {
        let mut view = json!({
            "keyId": id, "name": "Billing service", "mode": "live", "scopes": ["credits:read"],
            "last4": created["last4"], "status": "active", "createdAt": "2024-01-15T10:30:00Z",
            "createdBy": created["createdBy"], "expiresAt": "2024-02-01T00:00:00Z", "revokedAt": null,
            "lastUsedAt": null, "allowedIps": ["127.0.0.0/8", "2001:db8::1"], "rateLimit": null,
            "pausedAt": null, "previousSecret": null,
        });
        view.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        view
    };
    let path = format!("{KEYS}/{id}");
    assert_eq!(world.get(&path, &org.key).await.data(), read(json!({})));
    assert_eq!(attempt(&world, &key).await, "200");
    assert_eq!(world.get(&path, &org.key).await.data(), read(json!({ "lastUsedAt": "2024-01-15" })));

    let change =
        json!({ "scopes": ["credits:consume"], "expiresAt": "never", "allowedIps": [], "name": "Other" });
    let changed = world.patch(&path, &org.key, &change).await.data();
    let now = json!({
        "scopes": ["credits:consume"], "expiresAt": null, "allowedIps": [], "name": "Other",
        "lastUsedAt": "2024-01-15",
    });
    assert_eq!(changed, read(now.clone()));
    assert_eq!(attempt(&world, &key).await, "403 INSUFFICIENT_PERMISSIONS");
    assert_eq!(world.patch(&path, &org.key, &json!({})).await.data(), read(now));

    let revoked = world.delete(&path, &org.key).await.data();
    assert_eq!(
        (&revoked["status"], &revoked["revokedAt"]),
        (&json!("revoked"), &json!("2024-01-15T10:30:00Z"))
    );
    assert_eq!(attempt(&world, &key).await, "401 EXPIRED_API_KEY");
    world.pass(60).await;
    assert_eq!(world.delete(&path, &org.key).await.data(), revoked, "a key is revoked once");
    assert_eq!(world.patch(&path, &org.key, &change).await.failure(), "409 CONFLICT");
    let rolled = world.post(&format!("{path}/roll"), &org.key, &unique(), &json!({})).await;
    assert_eq!(rolled.failure(), "409 CONFLICT");

    let events = world.events(&org.key).await;
    events.iter().for_each(tests::assert_event);
    let of_keys: Vec<_> =
        events.iter().filter(|event| text(&event["event"]).starts_with("api_key.")).collect();
    let names: Vec<_> = of_keys.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["api_key.created", "api_key.changed", "api_key.revoked"]);
    assert!(of_keys.iter().all(|event| event["data"]["keyId"] == json!(id)));
    assert!(!json!(events).to_string().contains(&key), "no event has the secret");
}

#[tokio::test]
async fn a_list_has_the_newest_key_first_and_pages() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let mut ids = vec![];
    for number in 0..5 {
        world.pass(1).await;
        let mode = if number % 2 == 0 { "live" } else { "test" };
        let created =
            create(&world, &org.key, json!({ "mode": mode, "name": format!("{number}") })).await.created();
        ids.insert(0, text(&created["keyId"]));
    }
    let all = world.get(&format!("{KEYS}?limit=100"), &org.key).await.data();
    let listed: Vec<_> = all.as_array().unwrap().iter().map(|key| text(&key["keyId"])).collect();
    assert_eq!(listed[..5], ids, "and the key of the organisation's opening");
    assert_eq!(listed.len(), 6);
    let (mut paged, mut cursor) = (vec![], String::new());
    loop {
        let page = world.get(&format!("{KEYS}?limit=4{cursor}"), &org.key).await;
        paged.extend(page.data().as_array().unwrap().iter().map(|key| text(&key["keyId"])));
        let Some(next) = page.body["meta"]["pagination"]["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(paged, listed);
    assert_eq!(world.get(&format!("{KEYS}?cursor=x"), &org.key).await.failure(), "400 INVALID_CURSOR");
    for limit in ["0", "101", "x"] {
        assert_eq!(
            world.get(&format!("{KEYS}?limit={limit}"), &org.key).await.failure(),
            "400 VALIDATION_ERROR"
        );
    }
}

#[tokio::test]
async fn a_rolled_key_keeps_its_id_and_has_two_secrets_for_a_while() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let created =
        create(&world, &org.key, json!({ "mode": "live", "scopes": ["credits:read"] })).await.created();
    let (id, first) = (text(&created["keyId"]), text(&created["key"]));
    let path = format!("{KEYS}/{id}/roll");
    let name = unique();
    let grace = json!({ "graceSeconds": 600 });
    let rolled = world.post(&path, &org.key, &name, &grace).await;
    let second = text(&rolled.created()["key"]);
    assert_ne!(first, second);
    assert_eq!(rolled.created()["keyId"], json!(id));
    let previous = json!({ "last4": created["last4"], "acceptedUntil": "2024-01-15T10:40:00Z" });
    assert_eq!(rolled.created()["previousSecret"], previous);
    let again = world.post(&path, &org.key, &name, &grace).await;
    assert_eq!((&again.data()["key"], &again.data()["secretShown"]), (&Value::Null, &json!(true)));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    // A change of the key reaches both secrets.
    let change = json!({ "scopes": ["credits:read", "credits:consume"] });
    world.patch(&format!("{KEYS}/{id}"), &org.key, &change).await.data();
    for secret in [&first, &second] {
        let body = json!({ "operation": "aml.basic" });
        let debit = world.consume(secret, &unique(), &body).await.created();
        let filtered = format!("keyId={id}");
        let found = world.transactions(&org.key, &filtered).await;
        assert!(found.iter().any(|line| line["transactionId"] == debit["transactionId"]));
    }
    world.pass(599).await;
    assert_eq!([attempt(&world, &first).await, attempt(&world, &second).await], ["200", "200"]);
    world.pass(1).await;
    assert_eq!(
        [attempt(&world, &first).await, attempt(&world, &second).await],
        ["401 EXPIRED_API_KEY", "200"]
    );

    // A key that has leaked: the secret ends at once, and so does the one before it.
    let roll = async |seconds: u32| {
        let body = json!({ "graceSeconds": seconds });
        text(&world.post(&path, &org.key, &unique(), &body).await.created()["key"])
    };
    let third = roll(86_400).await;
    let fourth = roll(0).await;
    let fifth = roll(3_600).await;
    let mut states = vec![];
    for secret in [&second, &third, &fourth, &fifth] {
        states.push(attempt(&world, secret).await);
    }
    assert_eq!(states, ["401 EXPIRED_API_KEY", "401 EXPIRED_API_KEY", "200", "200"]);
    // Revocation ends both.
    world.delete(&format!("{KEYS}/{id}"), &org.key).await.data();
    assert_eq!(
        [attempt(&world, &fourth).await, attempt(&world, &fifth).await],
        ["401 EXPIRED_API_KEY", "401 EXPIRED_API_KEY"]
    );
    let events = world.events(&org.key).await;
    events.iter().for_each(tests::assert_event);
    let rolls = events.iter().filter(|event| event["event"] == json!("api_key.rolled")).count();
    assert_eq!(rolls, 4);
    for wrong in [json!({ "graceSeconds": 604_801 }), json!({ "graceSeconds": -1 }), json!({ "grace": 1 })] {
        let refused = world.post(&path, &org.key, &unique(), &wrong).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{wrong}");
    }
}

/// Otherwise a key could get more rights than it has, through another key.
#[tokio::test]
async fn a_key_cannot_give_or_take_over_scopes_that_it_lacks() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let strong =
        create(&world, &org.key, json!({ "mode": "live", "scopes": ["credits:refund", "team:write"] }))
            .await
            .created();
    let manager = json!({ "mode": "live", "scopes": ["credits:read", "team:write"] });
    let manager = text(&create(&world, &org.key, manager).await.created()["key"]);
    let path = format!("{KEYS}/{}", strong["keyId"].as_str().unwrap());
    let refused = "403 INSUFFICIENT_PERMISSIONS";
    let wanted = json!({ "mode": "live", "scopes": ["credits:read", "credits:refund"] });
    let answer = create(&world, &manager, wanted).await;
    assert_eq!(answer.failure(), refused);
    assert_eq!(answer.body["error"]["details"]["scope"], json!("credits:refund"));
    // The default scopes have credits:consume, which this key lacks.
    assert_eq!(create(&world, &manager, json!({ "mode": "live" })).await.failure(), refused);
    assert_eq!(world.post(&format!("{path}/roll"), &manager, &unique(), &json!({})).await.failure(), refused);
    for change in
        [json!({ "name": "mine" }), json!({ "allowedIps": [] }), json!({ "scopes": ["credits:read"] })]
    {
        assert_eq!(world.patch(&path, &manager, &change).await.failure(), refused, "{change}");
    }
    let weak =
        create(&world, &manager, json!({ "mode": "live", "scopes": ["credits:read"] })).await.created();
    let weak = format!("{KEYS}/{}", weak["keyId"].as_str().unwrap());
    let more = json!({ "scopes": ["credits:read", "credits:purchase"] });
    assert_eq!(world.patch(&weak, &manager, &more).await.failure(), refused);
    // It may revoke any key.
    assert_eq!(world.delete(&path, &manager).await.data()["status"], json!("revoked"));
    for scope in ["credits:read", "credits:consume", "credits:purchase", "credits:refund", "settings:write"] {
        let key = create(&world, &org.key, json!({ "mode": "live", "scopes": [scope] })).await.created();
        let key = text(&key["key"]);
        for call in [
            ApiRequest::new(Method::GET, KEYS, &key),
            ApiRequest::new(Method::GET, &weak, &key),
            ApiRequest::new(Method::DELETE, &weak, &key),
            ApiRequest::new(Method::POST, KEYS, &key).with(&json!({ "mode": "live" })),
            ApiRequest::new(Method::PATCH, &weak, &key).with(&json!({})),
        ] {
            assert_eq!(world.call(&call).await.failure(), refused, "{scope} {call:?}");
        }
    }
}

#[tokio::test]
async fn a_test_key_manages_test_keys_only() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let live = create(&world, &org.key, json!({ "mode": "live" })).await.created();
    let test =
        create(&world, &org.key, json!({ "mode": "test", "scopes": ["credits:read", "team:write"] })).await;
    let key = text(&test.created()["key"]);
    assert!(key.starts_with("sk_test_"));
    let wanted = json!({ "mode": "live", "scopes": ["credits:read"] });
    assert_eq!(create(&world, &key, wanted).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let path = format!("{KEYS}/{}", live["keyId"].as_str().unwrap());
    assert_eq!(world.get(&path, &key).await.failure(), "404 NOT_FOUND");
    assert_eq!(world.delete(&path, &key).await.failure(), "404 NOT_FOUND");
    assert_eq!(world.patch(&path, &key, &json!({})).await.failure(), "404 NOT_FOUND");
    let listed = world.get(KEYS, &key).await.data();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let made = create(&world, &key, json!({ "mode": "test", "scopes": ["credits:read"] })).await.created();
    assert_eq!(
        world.get(BALANCE, made["key"].as_str().unwrap()).await.body["meta"]["livemode"],
        json!(false)
    );
    // A test key works on every plan.
    let free = json!({ "name": "Small", "plan": "free" });
    let small = world.post("/admin/v1/organisations", world.operator(), &unique(), &free).await.created();
    let keys = format!("/admin/v1/organisations/{}/keys", small["organisationId"].as_str().unwrap());
    for (mode, expected) in [("test", "200"), ("live", "403 API_ACCESS_NOT_INCLUDED")] {
        let issued = world.post(&keys, world.operator(), &unique(), &json!({ "mode": mode })).await.created();
        assert_eq!(attempt(&world, issued["key"].as_str().unwrap()).await, expected);
    }
}

#[tokio::test]
async fn a_key_ends_at_its_end_and_works_from_its_addresses_only() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let ends = json!({ "mode": "live", "expiresAt": "2024-01-15T10:30:10Z" });
    let ending = create(&world, &org.key, ends).await.created();
    let key = text(&ending["key"]);
    world.pass(9).await;
    assert_eq!(attempt(&world, &key).await, "200");
    world.pass(1).await;
    assert_eq!(attempt(&world, &key).await, "401 EXPIRED_API_KEY");
    let path = format!("{KEYS}/{}", ending["keyId"].as_str().unwrap());
    assert_eq!(world.get(&path, &org.key).await.data()["status"], json!("expired"));
    let later = json!({ "expiresAt": "2024-01-16T00:00:00Z" });
    assert_eq!(world.patch(&path, &org.key, &later).await.data()["status"], json!("active"));
    assert_eq!(attempt(&world, &key).await, "200");

    let near =
        create(&world, &org.key, json!({ "mode": "live", "allowedIps": ["127.0.0.1"] })).await.created();
    assert_eq!(attempt(&world, near["key"].as_str().unwrap()).await, "200");
    let far =
        create(&world, &org.key, json!({ "mode": "live", "allowedIps": ["203.0.113.0/24"] })).await.created();
    let far = text(&far["key"]);
    // A header does not change where a request comes from.
    let request = world.request(Method::GET, BALANCE, &far).header("x-forwarded-for", "203.0.113.7");
    let refused = tests::send(request).await;
    assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("127.0.0.1"), "{}", refused.body);
    for (field, wrong) in [
        ("expiresAt", json!("2024-01-15T10:30:10Z")),
        ("expiresAt", json!("tomorrow")),
        ("allowedIps", json!(["localhost"])),
        ("allowedIps", json!("127.0.0.1")),
        ("scopes", json!([])),
        ("mode", json!("both")),
        ("name", json!("")),
    ] {
        let mut body = json!({ "mode": "live" });
        body[field] = wrong;
        let refused = create(&world, &org.key, body.clone()).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{body}");
        let fields = refused.body["error"]["details"]["fields"].as_object().unwrap();
        assert!(fields.keys().all(|path| path.starts_with(field)), "{body} {fields:?}");
    }
    assert_eq!(
        world.patch(&path, &org.key, &json!({ "scopes": [] })).await.failure(),
        "400 VALIDATION_ERROR"
    );
}

#[tokio::test]
async fn no_organisation_sees_another_ones_keys() {
    let world = World::demo().await;
    let (one, other) = (world.open(10).await, world.open(10).await);
    let key = create(&world, &one.key, json!({ "mode": "live" })).await.created();
    let path = format!("{KEYS}/{}", key["keyId"].as_str().unwrap());
    for call in [
        ApiRequest::new(Method::GET, &path, &other.key),
        ApiRequest::new(Method::DELETE, &path, &other.key),
        ApiRequest::new(Method::PATCH, &path, &other.key).with(&json!({ "name": "mine" })),
        ApiRequest::new(Method::POST, &format!("{path}/roll"), &other.key).with(&json!({})),
    ] {
        assert_eq!(world.call(&call).await.failure(), "404 NOT_FOUND", "{call:?}");
    }
    let listed = world.get(KEYS, &other.key).await.data();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(attempt(&world, key["key"].as_str().unwrap()).await, "200");
}

/// Sixteen connections change keys of one organisation: every request is answered, and has one event.
#[tokio::test(flavor = "multi_thread")]
async fn many_changes_at_once_are_all_answered_and_announced() {
    let world = std::sync::Arc::new(World::demo().await);
    let org = world.open(10).await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (world, key) = (world.clone(), org.key.clone());
            tokio::spawn(async move {
                for _ in 0..4 {
                    let created = create(&world, &key, json!({ "mode": "live" })).await.created();
                    let path = format!("{KEYS}/{}", created["keyId"].as_str().unwrap());
                    let name = json!({ "name": "Changed" });
                    assert_eq!(world.patch(&path, &key, &name).await.status, 200);
                    world.post(&format!("{path}/roll"), &key, &unique(), &json!({})).await.created();
                    assert_eq!(world.delete(&path, &key).await.status, 200);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let events = world.events(&org.key).await;
    for name in ["api_key.created", "api_key.changed", "api_key.rolled", "api_key.revoked"] {
        let found = events.iter().filter(|event| event["event"] == json!(name)).count();
        assert_eq!(found, 64, "{name}");
    }
}

/// The previous secret of a rolled key says what it is, and a key without its scheme says what is missing.
#[tokio::test]
async fn a_refused_secret_is_told_what_to_send() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let body = json!({ "mode": "live", "scopes": ["credits:read", "team:write"] });
    let made = create(&world, &org.key, body).await.created();
    let (id, first) = (text(&made["keyId"]), text(&made["key"]));
    let alone = world.request(Method::GET, KEYS, "").header("authorization", &first);
    let alone = tests::send(alone).await;
    assert_eq!(alone.failure(), "401 INVALID_API_KEY");
    assert!(text(&alone.body["error"]["message"]).contains("Bearer <key>"), "{alone:?}");
    world.post(&format!("{KEYS}/{id}/roll"), &org.key, &unique(), &json!({})).await.created();
    let owner = json!({ "name": "Jo", "role": "owner" });
    let jo = world.post("/admin/v1/operator-keys", world.operator(), &unique(), &owner).await.created();
    let path = format!("/admin/v1/operator-keys/{}/roll", text(&jo["keyId"]));
    world.post(&path, world.operator(), &unique(), &json!({})).await.created();
    for (path, secret) in [(KEYS, first), ("/admin/v1/audit-log", text(&jo["key"]))] {
        let refused = world.get(path, &secret).await;
        assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS");
        assert!(text(&refused.body["error"]["message"]).contains("previous secret"), "{refused:?}");
    }
}
