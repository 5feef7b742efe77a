//! Signing in and out: sessions of members, of keys and of operators, and the links with which they begin.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Browser, World, send, unique};

const SESSIONS: &str = "/api/v3/sessions";
const CURRENT: &str = "/api/v3/sessions/current";
const LINKS: &str = "/api/v3/sign-in-links";
const OPERATORS: &str = "/admin/v1/sessions";
const BALANCE: &str = "/api/v3/credits/balance";
const CONSUME: &str = "/api/v3/credits/consume";

fn member_id<'a>(browser: &'a Browser<'_>) -> &'a str {
    browser.session["memberId"].as_str().unwrap()
}

#[tokio::test]
async fn a_person_signs_in_with_a_key_and_out() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let answer = world.post_plain(SESSIONS, &json!({ "key": org.key })).await;
    let set = answer.headers.iter().find(|(name, _)| name == "set-cookie").unwrap().1.clone();
    let (_, terms) = set.split_once(';').unwrap();
    assert_eq!(terms, " HttpOnly; SameSite=Lax; Path=/; Max-Age=604800", "{set}");
    let stored = answer.headers.iter().find(|(name, _)| name == "cache-control");
    assert_eq!(stored.map(|(_, value)| value.as_str()), Some("no-store"));
    let browser = Browser::of(&world, &answer);
    let session = &browser.session;
    assert_eq!(
        (&session["organisationId"], &session["mode"], &session["expiresAt"], &session["isCurrent"]),
        (&json!(org.id), &json!("live"), &json!("2024-01-22T10:30:00Z"), &json!(true))
    );
    assert_eq!((&session["memberId"], &session["role"]), (&Value::Null, &Value::Null));
    assert_eq!(browser.get(CURRENT).await.data()["csrfToken"], session["csrfToken"]);
    // What the key may do, the session may: in the key's ledger, and the transactions name the key.
    assert_eq!(browser.get(BALANCE).await.data()["available"], json!(1_000));
    let body = json!({ "operation": "aml.pep" });
    let charged = browser.post(CONSUME, &body).await.created();
    assert_eq!((&charged["requestedBy"], &charged["memberId"]), (&Value::Null, &Value::Null));
    let lines = format!("/api/v3/credits/transactions?keyId={}", session["keyId"].as_str().unwrap());
    assert_eq!(world.get(&lines, &org.key).await.data()[0]["transactionId"], charged["transactionId"]);
    let out = browser.delete(CURRENT).await;
    assert_eq!(out.data()["ended"], json!(1));
    let cookie = out.headers.iter().find(|(name, _)| name == "set-cookie").unwrap().1.clone();
    assert!(cookie.starts_with("scrip-session=; ") && cookie.ends_with("; Max-Age=0"), "{cookie}");
    assert_eq!(browser.get(BALANCE).await.failure(), "401 SESSION_EXPIRED");
    assert_eq!(world.get(CURRENT, &org.key).await.failure(), "404 NOT_FOUND");
}

/// Another site can have a browser send its cookie, but cannot read what only the session's pages know.
#[tokio::test]
async fn a_request_of_another_site_changes_nothing() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let browser = world.sign_in(SESSIONS, &json!({ "key": org.key })).await;
    let other = world.sign_in(SESSIONS, &json!({ "key": org.key })).await;
    let body = json!({ "operation": "aml.pep" });
    let forged = |csrf: Option<&str>| {
        let request = browser.request_of_stranger(Method::POST, CONSUME).json(&body);
        let request = request.header("idempotency-key", unique());
        csrf.iter().fold(request, |request, csrf| request.header("scrip-csrf-token", *csrf))
    };
    for csrf in [None, Some(""), Some("x"), Some(other.csrf.as_str())] {
        assert_eq!(send(forged(csrf)).await.failure(), "403 INVALID_CSRF_TOKEN", "{csrf:?}");
    }
    assert_eq!(browser.get(BALANCE).await.data()["available"], json!(1_000));
    assert_eq!(send(forged(Some(&browser.csrf))).await.status, 201);
    // A program with a key is not asked for it, whatever cookie it sends.
    let request = browser.request_of_stranger(Method::POST, CONSUME).bearer_auth(&org.key).json(&body);
    assert_eq!(send(request.header("idempotency-key", unique())).await.status, 201);
}

#[tokio::test]
async fn what_cannot_be_a_session_is_refused() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let browser = world.sign_in(SESSIONS, &json!({ "key": org.key })).await;
    let whole = browser.cookie().to_owned();
    let other = world.sign_in(SESSIONS, &json!({ "key": org.key })).await;
    // The secret of one session, the id of another.
    let (name, secret) = (whole.len() - 43, &other.cookie()[other.cookie().len() - 43..]);
    for cookie in [
        "scrip-session=x".to_owned(),
        "scrip-session=session_k".to_owned(),
        whole[..whole.len() - 1].to_owned(),
        format!("{}{secret}", &whole[..name]),
        whole.replace("session_k", "session_m"),
        whole.replace("session_", "signin_"),
    ] {
        let answer = browser.with_cookie(&cookie).get(BALANCE).await;
        assert_eq!(answer.failure(), "401 SESSION_EXPIRED", "{cookie}");
    }
    for cookie in ["", "scrip-session=", "a=b", "__Host-scrip-session=x"] {
        assert_eq!(
            browser.with_cookie(cookie).get(BALANCE).await.failure(),
            "401 MISSING_API_KEY",
            "{cookie}"
        );
    }
    assert_eq!(browser.get(BALANCE).await.status, 200);
    for (body, expected) in [
        (json!({}), "400 VALIDATION_ERROR"),
        (json!({ "key": org.key, "link": "signin_x" }), "400 VALIDATION_ERROR"),
        (json!({ "key": org.key, "email": "a@b.com" }), "400 VALIDATION_ERROR"),
        (json!({ "key": "sk_live_x" }), "401 INVALID_API_KEY"),
        (json!({ "link": "signin_x" }), "401 INVALID_SIGN_IN_LINK"),
        (json!({ "key": world.operator() }), "403 INSUFFICIENT_PERMISSIONS"),
    ] {
        assert_eq!(world.post_plain(SESSIONS, &body).await.failure(), expected, "{body}");
    }
    assert_eq!(
        world.post_plain(OPERATORS, &json!({ "key": org.key })).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
}

/// A session never does more than its key: it ends with it, and follows its address list and scopes.
#[tokio::test]
async fn a_session_ends_with_its_key() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let issue = json!({ "mode": "live", "scopes": ["credits:read"], "expiresAt": "2024-01-15T11:00:00Z" });
    let key = world.post("/api/v3/api-keys", &org.key, &unique(), &issue).await.created();
    let path = format!("/api/v3/api-keys/{}", key["keyId"].as_str().unwrap());
    let sign_in = async || world.sign_in(SESSIONS, &json!({ "key": key["key"] })).await;
    let browser = sign_in().await;
    assert_eq!(browser.get(BALANCE).await.status, 200);
    let spend = browser.post(CONSUME, &json!({ "operation": "aml.pep" })).await;
    assert_eq!(spend.failure(), "403 INSUFFICIENT_PERMISSIONS");
    world.patch(&path, &org.key, &json!({ "allowedIps": ["203.0.113.7"] })).await.data();
    assert_eq!(browser.get(BALANCE).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let refused = world.post_plain(SESSIONS, &json!({ "key": key["key"] })).await;
    assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS");
    world.patch(&path, &org.key, &json!({ "allowedIps": [] })).await.data();
    assert_eq!(browser.get(BALANCE).await.status, 200);
    world.pass(1_800).await;
    assert_eq!(browser.get(BALANCE).await.failure(), "401 EXPIRED_API_KEY");
    let all = world.sign_in(SESSIONS, &json!({ "key": org.key })).await;
    let why = json!({ "reason": "Left" });
    let close = format!("/admin/v1/organisations/{}/close", org.id);
    world.post(&close, world.operator(), &unique(), &why).await.data();
    assert_eq!(all.get(BALANCE).await.failure(), "403 ORGANISATION_FROZEN");
    let refused = world.post_plain(SESSIONS, &json!({ "key": org.key })).await;
    assert_eq!(refused.failure(), "403 ORGANISATION_FROZEN");
}

#[tokio::test]
async fn a_link_signs_in_once_within_fifteen_minutes() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let (name, body) = (unique(), json!({}));
    let made = world.post(LINKS, &org.key, &name, &body).await.created();
    let token = made["token"].as_str().unwrap();
    assert_eq!(made["link"], json!(format!("/sign-in#{token}")));
    assert_eq!(made["expiresAt"], json!("2024-01-15T10:45:00Z"));
    let again = world.post(LINKS, &org.key, &name, &body).await.data();
    assert_eq!((&again["token"], &again["link"]), (&Value::Null, &Value::Null), "shown once");
    let browser = world.sign_in(SESSIONS, &json!({ "link": token })).await;
    assert_eq!(browser.session["sessionId"], made["sessionId"]);
    assert_eq!(browser.get(BALANCE).await.status, 200);
    let used = world.post_plain(SESSIONS, &json!({ "link": token })).await;
    assert_eq!(used.failure(), "401 INVALID_SIGN_IN_LINK");
    let late = world.post(LINKS, &org.key, &unique(), &body).await.created();
    world.pass(15 * 60).await;
    let ended = world.post_plain(SESSIONS, &json!({ "link": late["token"] })).await;
    assert_eq!(ended.failure(), "401 INVALID_SIGN_IN_LINK");
}

/// Sixteen browsers open the same link: one is signed in.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_many_use_signs_one_in() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let made = world.post(LINKS, &org.key, &unique(), &json!({})).await.created();
    let open = async |_| world.post_plain(SESSIONS, &json!({ "link": made["token"] })).await.status;
    let statuses = futures_util::future::join_all((0..16).map(open)).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 401, 503].contains(status)), "{statuses:?}");
    assert_eq!(world.get(SESSIONS, &org.key).await.data().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_member_does_what_the_role_allows_in_both_ledgers() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let browser = world.member(&org.key, "member").await;
    let session = &browser.session;
    assert_eq!(
        (&session["role"], &session["mode"], &session["scopes"], &session["keyId"]),
        (&json!("member"), &Value::Null, &json!(["credits:read", "credits:consume"]), &Value::Null)
    );
    let body = json!({ "operation": "aml.pep" });
    let charged = browser.post(CONSUME, &body).await.created();
    let own = json!(member_id(&browser));
    assert_eq!((&charged["requestedBy"], &charged["memberId"]), (&own, &own));
    let test = browser.request(Method::GET, BALANCE).header("scrip-mode", "test");
    assert_eq!(send(test).await.body["meta"]["livemode"], json!(false));
    let wrong = browser.request(Method::GET, BALANCE).header("scrip-mode", "sandbox");
    assert_eq!(send(wrong).await.failure(), "400 VALIDATION_ERROR");
    // What a member does counts to the member.
    let other = json!({ "operation": "aml.pep", "memberId": "mem_01HKZNPZB0YQ3T5N1C8V6W2X4H" });
    assert_eq!(browser.post(CONSUME, &other).await.failure(), "400 VALIDATION_ERROR");
    let batch = json!({ "items": [body, other] });
    let refused = browser.post("/api/v3/credits/consume/batch", &batch).await;
    assert!(refused.body["error"]["details"]["fields"]["items[1].memberId"].is_string(), "{refused:?}");
    let hold = browser.post("/api/v3/credits/holds", &json!({ "amount": 2 })).await.created();
    assert_eq!(hold["memberId"], own);
    for (method, path) in [(Method::GET, "/api/v3/members"), (Method::POST, "/api/v3/credits/purchase")] {
        let answer = send(browser.request(method, path).json(&json!({}))).await;
        assert_eq!(answer.failure(), "403 INSUFFICIENT_PERMISSIONS", "{path}");
    }
    let acting = browser.request(Method::GET, BALANCE).header("scrip-organisation", &org.id);
    assert_eq!(send(acting).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
}

/// The budget of a member counts what the member does in sessions.
#[tokio::test]
async fn a_members_budget_holds_in_sessions() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let browser = world.member(&org.key, "member").await;
    let body = json!({ "scope": "member", "id": member_id(&browser), "limit": 5, "period": "day" });
    world.post("/api/v3/credits/budgets", &org.key, &unique(), &body).await.created();
    let body = json!({ "operation": "aml.pep", "quantity": 5 });
    let first = browser.post(CONSUME, &body).await;
    let price = first.body["data"]["amount"].as_u64();
    let refused = if price.is_some() { browser.post(CONSUME, &body).await } else { first };
    assert_eq!(refused.failure(), "403 BUDGET_EXCEEDED");
}

#[tokio::test]
async fn a_changed_role_and_a_removal_reach_the_session() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let browser = world.member(&org.key, "viewer").await;
    let path = format!("/api/v3/members/{}", member_id(&browser));
    assert_eq!(browser.get("/api/v3/members").await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    world.patch(&path, &org.key, &json!({ "role": "admin" })).await.data();
    assert_eq!(browser.get("/api/v3/members").await.status, 200);
    // Who was invited and created by a member says so.
    let invite = json!({ "email": "next@example.com", "role": "viewer" });
    let invited = browser.post("/api/v3/invitations", &invite).await.created();
    assert_eq!(invited["invitedBy"], json!(member_id(&browser)));
    let key = browser.post("/api/v3/api-keys", &json!({ "mode": "test" })).await.created();
    assert_eq!(key["createdBy"], json!(member_id(&browser)));
    world.settle().await;
    let events = world.get("/api/v3/events?after=0&limit=100", &org.key).await.data();
    for event in events.as_array().unwrap() {
        tests::assert_event(event);
    }
    world.delete(&path, &org.key).await.data();
    assert_eq!(browser.get(BALANCE).await.failure(), "401 SESSION_EXPIRED");
    let link = world.post(LINKS, &org.key, &unique(), &json!({ "memberId": member_id(&browser) })).await;
    assert_eq!(link.failure(), "400 VALIDATION_ERROR");
}

#[tokio::test]
async fn a_link_for_a_member_needs_every_right_of_the_member() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let (org, other) = (world.open(1_000).await, world.open(1_000).await);
    let (admin, viewer) = (world.member(&org.key, "admin").await, world.member(&org.key, "viewer").await);
    let body = json!({ "memberId": member_id(&viewer) });
    let link = admin.post(LINKS, &body).await.created();
    let begun = world.sign_in(SESSIONS, &json!({ "link": link["token"] })).await;
    assert_eq!(begun.session["memberId"], json!(member_id(&viewer)));
    // The member sees who made the link.
    let listed = viewer.get(SESSIONS).await.data();
    assert_eq!((&listed[0]["linkBy"], &listed[1]["linkBy"]), (&json!(member_id(&admin)), &Value::Null));
    assert_eq!(viewer.post(LINKS, &json!({})).await.status, 201);
    assert_eq!(viewer.post(LINKS, &body).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let team = json!({ "mode": "live", "scopes": ["team:write", "credits:read"] });
    let key = world.post("/api/v3/api-keys", &org.key, &unique(), &team).await.created();
    let key = key["key"].as_str().unwrap();
    assert_eq!(world.post(LINKS, key, &unique(), &body).await.status, 201);
    let of_admin = json!({ "memberId": member_id(&admin) });
    assert_eq!(world.post(LINKS, key, &unique(), &of_admin).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert_eq!(world.post(LINKS, &other.key, &unique(), &body).await.failure(), "400 VALIDATION_ERROR");
    // An operator does not sign in as a member: what it does bears its own key.
    let acting = world.request(Method::POST, LINKS, world.operator()).header("scrip-organisation", &org.id);
    assert_eq!(send(acting.json(&body)).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
}

#[tokio::test]
async fn signing_out_everywhere_ends_all_sessions_and_links_of_one_owner() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let (first, stays) = (world.member(&org.key, "admin").await, world.member(&org.key, "viewer").await);
    let link = async || first.post(LINKS, &json!({})).await.created()["token"].clone();
    let second = world.sign_in(SESSIONS, &json!({ "link": link().await })).await;
    let open = link().await;
    assert_eq!(second.get(SESSIONS).await.data().as_array().unwrap().len(), 2);
    // One session of another owner is not there to be ended.
    let foreign = format!("{SESSIONS}/{}", stays.session["sessionId"].as_str().unwrap());
    assert_eq!(first.delete(&foreign).await.failure(), "404 NOT_FOUND");
    assert_eq!(world.delete(&foreign, &org.key).await.failure(), "404 NOT_FOUND");
    assert_eq!(second.delete(SESSIONS).await.data()["ended"], json!(2));
    for browser in [&first, &second] {
        assert_eq!(browser.get(BALANCE).await.failure(), "401 SESSION_EXPIRED");
    }
    let used = world.post_plain(SESSIONS, &json!({ "link": open })).await;
    assert_eq!(used.failure(), "401 INVALID_SIGN_IN_LINK");
    assert_eq!(stays.get(BALANCE).await.status, 200);
    world.pass(7 * 86_400).await;
    assert_eq!(stays.get(BALANCE).await.failure(), "401 SESSION_EXPIRED");
}

/// An operator's session works below `/admin/v1` and, with the header, for an organisation; half a day at most. One browser
/// can have both sessions.
#[tokio::test]
async fn an_operator_signs_in_for_half_a_day() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let operator = world.sign_in(OPERATORS, &json!({ "key": world.operator() })).await;
    assert_eq!(
        (&operator.session["role"], &operator.session["expiresAt"], &operator.session["organisationId"]),
        (&json!("owner"), &json!("2024-01-15T22:30:00Z"), &Value::Null)
    );
    assert_eq!(operator.get("/admin/v1/organisations").await.status, 200);
    let log = operator.get("/admin/v1/audit-log").await.data();
    let signed_in = log.as_array().unwrap().iter().find(|entry| entry["path"] == json!(OPERATORS)).unwrap();
    assert_eq!(
        (&signed_in["method"], &signed_in["keyId"], &signed_in["status"]),
        (&json!("POST"), &operator.session["keyId"], &json!(201))
    );
    assert_eq!(signed_in["after"]["sessionId"], operator.session["sessionId"]);
    assert!(!log.to_string().contains(&operator.csrf), "{log}");
    let grant = format!("/admin/v1/organisations/{}/grants", org.id);
    let granted = operator.post(&grant, &json!({ "source": "bonus", "amount": 5 })).await.created();
    assert_eq!(granted["superAdmin"], operator.session["keyId"]);
    let customer = world.sign_in(SESSIONS, &json!({ "key": org.key })).await;
    let both = operator.with_cookie(&format!("{}; {}", customer.cookie(), operator.cookie()));
    assert_eq!(both.get(CURRENT).await.data()["organisationId"], json!(org.id));
    assert_eq!(both.get(&format!("{OPERATORS}/current")).await.data()["role"], json!("owner"));
    let acting = both.request(Method::POST, CONSUME).header("scrip-organisation", &org.id);
    let acting = acting.header("idempotency-key", unique()).json(&json!({ "operation": "aml.pep" }));
    assert_eq!(send(acting).await.created()["superAdmin"], operator.session["keyId"]);
    assert_eq!(operator.get(BALANCE).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let link = operator.post("/admin/v1/sign-in-links", &json!({})).await.created();
    assert!(link["link"].as_str().unwrap().starts_with("/operator/sign-in#signin_o"), "{link}");
    let wrong = world.post_plain(SESSIONS, &json!({ "link": link["token"] })).await;
    assert_eq!(wrong.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let second = world.sign_in(OPERATORS, &json!({ "link": link["token"] })).await;
    assert_eq!(second.delete(&format!("{OPERATORS}/current")).await.data()["ended"], json!(1));
    assert_eq!(second.get(OPERATORS).await.failure(), "401 SESSION_EXPIRED");
    world.pass(12 * 3_600).await;
    assert_eq!(operator.get(OPERATORS).await.failure(), "401 SESSION_EXPIRED");
}

/// Where mails are sent, links go to the address they are for, and to no other.
#[tokio::test]
async fn links_are_mailed_where_mails_are_sent() {
    let world = World::with_mail("2024-01-15T10:30:00Z").await;
    let (org, other) = (world.open(10).await, world.open(10).await);
    let mails = async || world.get("/_local/mail", "").await.data();
    let link = |mail: &Value, page: &str| {
        let text = mail["text"].as_str().unwrap();
        let lines = text.lines().filter(|line| line.contains(page));
        lines.map(|line| line.split_once('#').unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    for org in [&org, &other] {
        let body = json!({ "email": "Jo@example.com", "role": "viewer" });
        let invited = world.post("/api/v3/invitations", &org.key, &unique(), &body).await.created();
        assert_eq!(
            (&invited["mailed"], &invited["token"], &invited["link"]),
            (&json!(true), &Value::Null, &Value::Null)
        );
        let newest = mails().await[0].clone();
        assert_eq!(newest["to"], json!("Jo@example.com"));
        let token = &link(&newest, "/join#")[0];
        world.post_plain("/api/v3/invitations/accept", &json!({ "token": token })).await.created();
    }
    let ask = async |email: &str| world.post_plain("/api/v3/sign-in-mails", &json!({ "email": email })).await;
    let (known, unknown) = (ask("jo@EXAMPLE.com").await, ask("stranger@example.com").await);
    assert_eq!((known.status, unknown.status), (202, 202));
    assert_eq!(known.body["data"], unknown.body["data"]);
    assert_eq!(mails().await.as_array().unwrap().len(), 3);
    let links = link(&mails().await[0], "/sign-in#");
    assert_eq!(links.len(), 2, "one for each organisation");
    for token in &links {
        let browser = world.sign_in(SESSIONS, &json!({ "link": token })).await;
        assert_eq!(browser.session["email"], json!("Jo@example.com"));
    }
    // A member who was removed is not found by the address.
    let members = world.get("/api/v3/members", &org.key).await.data();
    let path = format!("/api/v3/members/{}", members[0]["memberId"].as_str().unwrap());
    world.delete(&path, &org.key).await.data();
    ask("jo@example.com").await.data();
    assert_eq!(link(&mails().await[0], "/sign-in#").len(), 1);
    for _ in 0..3 {
        ask("jo@example.com").await.data();
    }
    let many = ask("jo@example.com").await;
    assert_eq!(many.failure(), "429 RATE_LIMITED");
    let silent = World::demo().await;
    let refused = silent.post_plain("/api/v3/sign-in-mails", &json!({ "email": "jo@example.com" })).await;
    assert_eq!(refused.failure(), "409 CONFLICT");
}
