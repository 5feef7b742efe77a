//! Secrets are shown once: no answer after that, no event and no stored item has them.

use aws_sdk_dynamodb::Client;
use domain::ApiKeySecret;
use local::engine::Engine;
use local::{ACTIVITY_TABLE, LEDGER_TABLE, SETTINGS_TABLE};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, Org, World, unique};

/// Every item of every table, as text.
async fn stored(client: &Client) -> String {
    let mut text = String::new();
    for table in [LEDGER_TABLE, SETTINGS_TABLE, ACTIVITY_TABLE] {
        let mut start = None;
        loop {
            let page = client.scan().table_name(table).set_exclusive_start_key(start).send().await.unwrap();
            text += &format!("{:?}", page.items());
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
    }
    text
}

/// The secrets that an answer shows.
fn shown(answer: &Value) -> Vec<String> {
    ["key", "secret", "token"]
        .into_iter()
        .filter_map(|field| answer[field].as_str().map(str::to_owned))
        .collect()
}

const KEYS: &str = "/api/v3/api-keys";

/// Shows ten secrets of every kind, each by a request that is sent again. Adds them, and the second answers to `later`.
async fn show(world: &World, org: &Org, secrets: &mut Vec<String>, later: &mut String) {
    let admin_keys = format!("/admin/v1/organisations/{}/keys", org.id);
    let hook = json!({ "url": "https://hooks.example.com/" });
    let (live, jo) = (json!({ "mode": "live" }), json!({ "name": "Jo", "role": "owner" }));
    let invited = json!({ "email": "jo@example.com", "role": "viewer" });
    let mut paths = vec![];
    for (path, key, body, id) in [
        (KEYS, org.key.as_str(), &live, "keyId"),
        (&admin_keys, world.operator(), &live, "keyId"),
        ("/admin/v1/operator-keys", world.operator(), &jo, "keyId"),
        ("/api/v3/webhooks", org.key.as_str(), &hook, "webhookId"),
        ("/api/v3/invitations", org.key.as_str(), &invited, "invitationId"),
        ("/api/v3/sign-in-links", org.key.as_str(), &json!({}), "sessionId"),
        ("/admin/v1/sign-in-links", world.operator(), &json!({}), "sessionId"),
    ] {
        let name = unique();
        let made = world.post(path, key, &name, body).await.created();
        let found = shown(&made);
        assert_eq!(found.len(), 1, "{path}");
        secrets.extend(found);
        *later += &world.post(path, key, &name, body).await.body.to_string();
        paths.push((format!("{path}/{}", made[id].as_str().unwrap()), key));
    }
    for ((path, key), action) in [(&paths[0], "roll"), (&paths[2], "roll"), (&paths[3], "rotate-secret")] {
        let (path, name) = (format!("{path}/{action}"), unique());
        let rolled = world.post(&path, key, &name, &json!({})).await;
        assert!(rolled.status < 300, "{rolled:?}");
        secrets.extend(shown(&rolled.data()));
        *later += &world.post(&path, key, &name, &json!({})).await.body.to_string();
    }
}

/// Begins sessions with the links among the secrets, and uses them. Adds their tokens, and the answers to `later`.
async fn sign_in(world: &World, secrets: &mut Vec<String>, later: &mut String) {
    for link in secrets.clone().iter().filter(|secret| secret.starts_with("signin_")) {
        let place = if link.starts_with("signin_o") { "/admin/v1/sessions" } else { "/api/v3/sessions" };
        let browser = world.sign_in(place, &json!({ "link": link })).await;
        *later += &world.post_plain(place, &json!({ "link": link })).await.body.to_string();
        *later += &browser.get(place).await.body.to_string();
        let (_, token) = browser.cookie().split_once('=').unwrap();
        // A token where an id belongs is kept in no log.
        *later += &browser.delete(&format!("{place}/{token}")).await.body.to_string();
        secrets.push(token.to_owned());
    }
}

#[tokio::test]
async fn secrets_are_in_no_later_answer_event_or_item() {
    let engine = Engine::temporary().unwrap();
    let address = engine.serve(0).unwrap();
    let world = World::on(&format!("http://{address}"), "2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let admin_keys = format!("/admin/v1/organisations/{}/keys", org.id);
    let (mut secrets, mut later) = (vec![org.key.clone()], String::new());
    show(&world, &org, &mut secrets, &mut later).await;
    assert_eq!(secrets.len(), 11);
    sign_in(&world, &mut secrets, &mut later).await;
    // They are used, well and badly, also where an id belongs.
    for secret in secrets.clone() {
        for path in ["/api/v3/credits/balance", "/admin/v1/exchange-rates"] {
            later += &world.get(path, &secret).await.body.to_string();
        }
        for (method, path, by) in [
            (Method::GET, format!("{KEYS}/{secret}"), org.key.as_str()),
            (Method::DELETE, format!("/admin/v1/operator-keys/{secret}"), world.operator()),
            (Method::DELETE, format!("{admin_keys}/{secret}"), world.operator()),
        ] {
            // A webhook's secret has no form by which a path could be masked.
            if ApiKeySecret::parse(&secret).is_none() {
                continue;
            }
            later += &world.call(&ApiRequest::new(method, &path, by)).await.body.to_string();
        }
    }
    world.consume(&secrets[1], &unique(), &json!({ "operation": "aml.basic" })).await.created();
    world.settle().await;
    for path in [
        KEYS,
        "/api/v3/invitations",
        "/api/v3/webhooks",
        "/api/v3/events?after=0&limit=100",
        "/api/v3/credits/transactions",
    ] {
        later += &world.get(path, &org.key).await.body.to_string();
    }
    for path in [&admin_keys, "/admin/v1/operator-keys", "/admin/v1/audit-log?limit=100"] {
        later += &world.get(path, world.operator()).await.body.to_string();
    }
    later += &stored(&Client::from_conf(engine.dynamodb_config().build())).await;
    assert!(later.len() > 20_000, "{}", later.len());
    secrets.push(world.operator().to_owned());
    for secret in &secrets {
        assert!(!later.contains(secret.as_str()), "a secret of {} is not secret", &secret[..8]);
        if let Some(key) = ApiKeySecret::parse(secret) {
            assert!(
                later.contains(&key.hash()),
                "the hash of a key is stored: the search finds what there is"
            );
        }
    }
}
