//! A request under an idempotency key takes effect once, on any route: a late repeat undoes nothing.

use chrono::TimeDelta;
use domain::{ClaimKey, Fingerprint, IdempotencyKey};
use reqwest::Method;
use serde_json::{Value, json};
use store::{ChangeAttempt, ChangeRequest, ChangeStart, ClaimsOf, Moment, Unsettled};
use tests::{ApiRequest, TestLedger, World, backends, moment, unique};

const NOW: &str = "2024-01-15T10:30:00Z";
const RECHARGE: &str = "/api/v3/credits/auto-recharge";
const ALERTS: &str = "/api/v3/credits/alerts";

/// Each row: a request, another one that undoes it, and the state after the first was repeated.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one history from beginning to end")]
async fn a_late_repeat_undoes_nothing() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    let at = |path: &str| format!("/admin/v1/organisations/{}{path}", org.id);
    let webhook = json!({ "url": "https://hooks.example.com/" });
    let webhook = world.post("/api/v3/webhooks", &org.key, &unique(), &webhook).await.created();
    let webhook = format!("/api/v3/webhooks/{}", webhook["webhookId"].as_str().unwrap());
    let (owner, operator) = (org.key.as_str(), world.operator());
    let on = json!({ "enabled": true, "threshold": 5, "amount": 500, "paymentMethod": "card_1" });
    let price = |amount: u64| json!({ "price": { "amount": amount, "currency": "GBP" } });
    let why = json!({ "reason": "x" });
    let (put, patch, post) = (Method::PUT, Method::PATCH, Method::POST);
    for (key, method, (first, body), (later, other), (read, pointer, expected)) in [
        (
            owner,
            &put,
            (RECHARGE, on),
            (RECHARGE, json!({ "enabled": false })),
            (RECHARGE, "/data/enabled", json!(false)),
        ),
        (
            owner,
            &put,
            (ALERTS, json!({ "lowBalanceThreshold": 5 })),
            (ALERTS, json!({ "lowBalanceThreshold": 9 })),
            (ALERTS, "/data/lowBalanceThreshold", json!(9)),
        ),
        (
            owner,
            &patch,
            (&webhook, json!({ "status": "PAUSED" })),
            (&webhook, json!({ "status": "ACTIVE" })),
            (&webhook, "/data/status", json!("ACTIVE")),
        ),
        (
            operator,
            &put,
            (&at("/post-paid"), json!({ "limit": 1_000 })),
            (&at("/post-paid"), json!({ "limit": 7 })),
            ("/api/v3/credits/balance", "/data/postPaid/limit", json!(7)),
        ),
        (
            operator,
            &patch,
            (&at(""), json!({ "selfServicePlans": false })),
            (&at(""), json!({ "selfServicePlans": true })),
            ("/api/v3/subscription", "/data/plan", json!("professional")),
        ),
        (
            operator,
            &put,
            ("/admin/v1/pricing/aml.pep", json!({ "credits": 1 })),
            ("/admin/v1/pricing/aml.pep", json!({ "credits": 9 })),
            ("/api/v3/pricing", "/data/8/credits", json!(9)),
        ),
        (
            operator,
            &put,
            ("/admin/v1/packages/starter", price(4_800)),
            ("/admin/v1/packages/starter", price(5_000)),
            ("/api/v3/credits/packages", "/data/0/price/amount", json!(5_000)),
        ),
        (
            operator,
            &put,
            ("/admin/v1/plans/basic", json!({ "allowance": 1_000 })),
            ("/admin/v1/plans/basic", json!({ "allowance": 7 })),
            ("/api/v3/plans", "/data/1/allowance", json!(7)),
        ),
        (
            operator,
            &post,
            (&at("/freeze"), why.clone()),
            (&at("/unfreeze"), why),
            ("/api/v3/credits/balance", "/data/available", json!(10)),
        ),
    ] {
        let name = unique();
        let send = async || {
            let request = ApiRequest::new(method.clone(), first, key);
            world.call(&request.under(&name).with(&body)).await
        };
        let answered = send().await;
        assert_eq!((answered.status, answered.header("idempotent-replayed")), (200, None), "{answered:?}");
        world.call(&ApiRequest::new(method.clone(), later, key).under(&unique()).with(&other)).await.data();
        let late = send().await;
        assert_eq!(late.header("idempotent-replayed"), Some("true"), "{first}");
        assert_eq!(late.data(), answered.data(), "{first}");
        let found = world.get(read, owner).await.body;
        assert_eq!(found.pointer(pointer), Some(&expected), "{first}: {found}");
    }
    world.consume(owner, &unique(), &json!({ "operation": "aml.basic" })).await.created();
    world.put("/api/v3/subscription", owner, &json!({ "plan": "enterprise" })).await.data();
}

/// A refused request does not use up its key: it may be repeated, and the key may serve another request.
#[tokio::test]
async fn a_refused_request_takes_no_key() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    let put = async |body: Value| {
        world.call(&ApiRequest::new(Method::PUT, RECHARGE, &org.key).under("k").with(&body)).await
    };
    assert_eq!(put(json!({ "enabled": true, "threshold": 5 })).await.failure(), "400 VALIDATION_ERROR");
    assert_eq!(put(json!({ "enabled": 7 })).await.failure(), "400 VALIDATION_ERROR");
    let on = json!({ "enabled": true, "threshold": 5, "amount": 500, "paymentMethod": "card_1" });
    assert_eq!(put(on.clone()).await.header("idempotent-replayed"), None);
    assert_eq!(put(on).await.header("idempotent-replayed"), Some("true"));
    world.put(RECHARGE, &org.key, &json!({ "enabled": false })).await.data();
    for name in ["a b", ""] {
        let request = world.request(Method::PUT, RECHARGE, &org.key).header("Idempotency-Key", name);
        let refused = tests::send(request.json(&json!({ "enabled": false }))).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{name:?}");
    }
    // Idempotency keys of two organisations are separate; those of one organisation's settings and debits are
    // shared, and a conflict is refused.
    let other = world.open(10).await;
    let body = json!({ "enabled": false, "threshold": 5, "amount": 500, "paymentMethod": "card_1" });
    world.call(&ApiRequest::new(Method::PUT, RECHARGE, &other.key).under("k").with(&body)).await.data();
    let debit = world.consume(&org.key, "k", &json!({ "operation": "aml.basic" })).await;
    assert_eq!(debit.failure(), "422 IDEMPOTENCY_KEY_REUSED");
}

/// Many simultaneous copies of one request: one takes effect, the others get the same answer or are to wait.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_copies_are_one_request() {
    let world = std::sync::Arc::new(World::at(NOW).await);
    let org = world.open(10).await;
    let mut sendings = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (world, key) = (world.clone(), org.key.clone());
        sendings.spawn(async move {
            let body = json!({ "url": "https://hooks.example.com/" });
            world.post("/api/v3/webhooks", &key, "one", &body).await
        });
    }
    let answers = sendings.join_all().await;
    let shown = answers.iter().filter(|answer| answer.body["data"]["secret"].is_string()).count();
    assert_eq!(shown, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            (answer.failure().as_str(), answer.header("retry-after")),
            ("409 OPERATION_IN_PROGRESS", Some("1"))
        );
    }
    assert_eq!(world.get("/api/v3/webhooks", &org.key).await.data().as_array().unwrap().len(), 1);
}

/// A request that changes a setting, in the store.
struct SettingChange<'a> {
    fixture: &'a TestLedger,
    changes: ChangeRequest,
    asked: Fingerprint,
}

impl<'a> SettingChange<'a> {
    fn new(fixture: &'a TestLedger, account: domain::AccountId, name: &str, thing: Option<&str>) -> Self {
        let key = ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
        let (of, thing) = (ClaimsOf::Account(account), thing.map(str::to_owned));
        Self {
            fixture,
            changes: ChangeRequest { of, key: Some(key), thing },
            asked: Fingerprint(format!("of {name}")),
        }
    }

    async fn begin(&self, moment: Moment) -> Result<ChangeStart, Unsettled> {
        self.fixture.ledger.begin_change(&self.changes, &self.asked, moment).await
    }

    async fn carried_out(&self, moment: Moment) -> ChangeAttempt {
        match self.begin(moment).await {
            Ok(ChangeStart::CarryOut(begun)) => begun,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&self, begun: &ChangeAttempt, answer: &str) {
        self.fixture.ledger.save_answer(&self.changes, begun, answer).await.unwrap();
    }
}

/// A repeat continues an interrupted request under the same id, unless another request has changed the same setting
/// since and was answered.
#[tokio::test]
async fn an_interrupted_request_does_not_undo_a_later_one() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let start = moment(NOW.parse().unwrap());
        let account = fixture.open(10, start.now).await;
        let at = |seconds: i64| Moment { wall: start.wall + TimeDelta::seconds(seconds), ..start };
        let on = SettingChange::new(&fixture, account, "on", Some("recharge"));
        let off = SettingChange::new(&fixture, account, "off", Some("recharge"));
        let begun = on.carried_out(at(0)).await;
        assert!(matches!(on.begin(at(29)).await, Err(Unsettled::InProgress)));
        // The first request has not been answered, so the next one continues it, one at a time.
        let next = on.carried_out(at(30)).await;
        assert_eq!(next.id, begun.id);
        assert!(matches!(on.begin(at(31)).await, Err(Unsettled::InProgress)));
        let other = off.carried_out(at(40)).await;
        assert!(
            matches!(on.begin(at(61)).await, Ok(ChangeStart::CarryOut(_))),
            "no request was answered yet"
        );
        off.answer(&other, "off").await;
        assert_eq!(on.begin(at(92)).await.unwrap(), ChangeStart::Overtaken);
        assert_eq!(off.begin(at(92)).await.unwrap(), ChangeStart::Answered("off".to_owned()));
        let made = SettingChange::new(&fixture, account, "made", None);
        let first = made.carried_out(at(0)).await;
        assert_eq!(made.carried_out(at(100)).await.id, first.id);
        // A request that a fault interrupted can continue at once; a refused request frees its key.
        let broken = SettingChange::new(&fixture, account, "broken", Some("alerts"));
        let first = broken.carried_out(at(0)).await;
        fixture.ledger.save_failure(&broken.changes, &first).await.unwrap();
        let second = broken.carried_out(at(1)).await;
        assert_eq!(second.id, first.id);
        fixture.ledger.release_key(&broken.changes, &second).await.unwrap();
        assert_ne!(broken.carried_out(at(2)).await.id, first.id);
        let late = Moment { wall: start.wall + TimeDelta::days(32), ..start };
        let reused = SettingChange { asked: Fingerprint("another".to_owned()), ..off };
        assert!(matches!(reused.begin(at(100)).await, Err(Unsettled::KeyReused)));
        reused.carried_out(late).await;
    }
}
