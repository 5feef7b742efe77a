//! A freeze holds while the settings are served as last known.

use chrono::{DateTime, Utc};
use domain::AccountId;
use http::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, Outage, TestProcess, WarmProcess, unique};

/// Every request that moves credits for a caller: path and body.
fn requests() -> Vec<(&'static str, Value)> {
    let debit = json!({ "operation": "aml.basic" });
    vec![
        ("/api/v3/credits/consume", debit.clone()),
        ("/api/v3/credits/consume/batch", json!({ "items": [debit] })),
        ("/api/v3/credits/holds", json!({ "amount": 5 })),
        ("/api/v3/credits/purchase", json!({ "package": "starter", "paymentMethod": "card_1" })),
        ("/api/v3/monitors", json!({ "operation": "aml.monitoring", "resourceId": unique() })),
    ]
}

struct Scene {
    process: TestProcess,
    warm: WarmProcess,
    account: AccountId,
    key: String,
    operator: String,
}

impl Scene {
    /// A customer whose auto-recharge buys below 100 credits and whose monitor is charged each month.
    async fn open() -> Self {
        let now: DateTime<Utc> = "2024-01-31T23:55:00Z".parse().unwrap();
        let process = TestProcess::open(now).await;
        let (account, key) = process.customer(1_000).await;
        let (operator, warm) = (process.operator().await, process.warm());
        let scene = Self { process, warm, account, key, operator };
        let (status, _) = scene.post("/api/v3/monitors", &requests()[4].1).await;
        assert_eq!(status, 201);
        let settings = json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_1" });
        let path = "/api/v3/credits/auto-recharge";
        let (status, body) =
            scene.warm.call(&ApiRequest::new(Method::PUT, path, &scene.key).with(&settings)).await;
        assert_eq!(status, 200, "{body}");
        // The function that administers has read the operator's key.
        let path = format!("/admin/v1/organisations/{}", scene.account.org);
        let (status, _) = scene.warm.call(&ApiRequest::new(Method::GET, &path, &scene.operator)).await;
        assert_eq!(status, 200);
        scene
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let name = unique();
        self.warm.call(&ApiRequest::new(Method::POST, path, &self.key).under(&name).with(body)).await
    }

    async fn freeze(&self) -> u16 {
        let path = format!("/admin/v1/organisations/{}/freeze", self.account.org);
        let (name, why) = (unique(), json!({ "reason": "unpaid" }));
        let call = ApiRequest::new(Method::POST, &path, &self.operator).under(&name).with(&why);
        self.warm.call(&call).await.0
    }

    fn begin_outage(&self) {
        self.process.faults.outage.begin("-settings", Outage::Cut);
        self.process.pass(60);
    }

    /// Everything of the account that a freeze must not let change.
    async fn spent(&self) -> (u64, usize) {
        let account = self.process.fixture.ledger.account(self.account).await.unwrap().unwrap();
        (account.balance(self.process.now()).used.get(), self.process.taken(self.account).len())
    }

    /// Every request is refused because the organisation is frozen.
    async fn refuses_all(&self) {
        let before = self.spent().await;
        for (path, body) in requests() {
            let (status, answer) = self.post(path, &body).await;
            assert_eq!((status, &answer["error"]["code"]), (403, &json!("ORGANISATION_FROZEN")), "{path}");
        }
        assert_eq!(self.spent().await, before);
    }
}

/// An account that was frozen before the outage, by another function than those that serve.
#[tokio::test]
async fn a_freeze_from_before_the_outage_holds() {
    let scene = Scene::open().await;
    for (path, body) in requests() {
        assert_eq!(scene.post(path, &body).await.0, 201, "{path}");
    }
    assert_eq!(scene.freeze().await, 200);
    scene.begin_outage();
    scene.refuses_all().await;
    scene.process.pass(838);
    scene.refuses_all().await;
}

/// An operator can freeze an organisation during the outage, and the next request knows it.
#[tokio::test]
async fn a_freeze_during_the_outage_holds_at_once() {
    let scene = Scene::open().await;
    scene.begin_outage();
    for (path, body) in requests() {
        assert_eq!(scene.post(path, &body).await.0, 201, "{path}");
    }
    assert_eq!(scene.freeze().await, 200);
    scene.refuses_all().await;
}

/// Scheduled work goes on with the last known settings. For a frozen account auto-recharge buys nothing, and the monitor's
/// next month is not charged.
#[tokio::test]
async fn scheduled_work_spends_nothing_for_a_frozen_account() {
    for (is_frozen, bought, charged) in [(false, 1, 1), (true, 0, 0)] {
        let scene = Scene::open().await;
        let app = &scene.warm.app;
        let known = async || app.ledger.account(scene.account).await.unwrap().unwrap();
        assert_eq!(scene.post("/api/v3/credits/holds", &json!({ "amount": 990 })).await.0, 201);
        if is_frozen {
            assert_eq!(scene.freeze().await, 200);
        }
        scene.begin_outage();
        recharge::attend(app, scene.account, app.clock.moment()).await.unwrap();
        assert_eq!(scene.process.taken(scene.account).len(), bought, "frozen: {is_frozen}");
        // The month turns.
        scene.process.pass(300);
        app.jobs().charge_page(scene.account, None, app.clock.moment()).await.unwrap();
        assert_eq!(known().await.balance(scene.process.now()).used.get(), charged, "frozen: {is_frozen}");
        assert_eq!(known().await.frozen, is_frozen);
    }
}
