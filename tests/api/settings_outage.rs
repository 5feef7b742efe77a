//! What callers get while the settings table does not answer.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, ApiKeySecret, Mode};
use http::Method;
use serde_json::{Value, json};
use store::{Fault, KnownKey, Moment, SETTINGS_UNREAD, Settings};
use tests::{AlarmLog, ApiRequest, Outage, TestProcess, WarmProcess, unique};
use tokio::time::Instant;

const TABLE: &str = "-settings";

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn after(seconds: i64) -> Moment {
    let at = start() + TimeDelta::seconds(seconds);
    Moment { now: at, wall: at }
}

/// A customer, its key, and the settings as a warm function has read them at the start.
struct Scene {
    process: TestProcess,
    account: AccountId,
    secret: ApiKeySecret,
    warm: Settings,
}

impl Scene {
    async fn open() -> Self {
        let process = TestProcess::open(start()).await;
        let (account, key) = process.customer(1_000).await;
        let scene = Self {
            warm: process.fixture.settings(),
            process,
            account,
            secret: ApiKeySecret::parse(&key).unwrap(),
        };
        scene.read(0).await.unwrap();
        scene
    }

    /// Reads the key, the organisation and the catalogue; returns whether they are current.
    async fn read(&self, seconds: i64) -> Result<bool, Fault> {
        let moment = after(seconds);
        let KnownKey { plan, is_current, .. } = self.warm.find_key(&self.secret, moment).await?.unwrap();
        assert_eq!(plan.unwrap().plan.0, "professional");
        self.warm.organisation(self.account.org, moment.wall).await?.unwrap();
        self.warm.catalogue(moment.wall).await?;
        Ok(is_current)
    }

    fn cut(&self, outage: Outage) {
        self.process.faults.outage.begin(TABLE, outage);
    }

    fn requests(&self) -> usize {
        self.process.faults.outage.requests()
    }
}

#[tokio::test]
async fn what_was_read_serves_for_fifteen_minutes() {
    let scene = Scene::open().await;
    scene.cut(Outage::Cut);
    for (seconds, is_current) in [(0, true), (59, true), (60, false), (61, false), (500, false), (899, false)]
    {
        assert_eq!(scene.read(seconds).await.unwrap(), is_current, "after {seconds} s");
    }
    assert!(matches!(scene.read(900).await, Err(Fault::Unavailable { .. })));
    scene.process.faults.outage.end();
    assert!(scene.read(905).await.unwrap());
    // The 15 minutes begin with each successful read.
    scene.cut(Outage::Cut);
    assert!(!scene.read(905 + 899).await.unwrap());
    assert!(scene.read(905 + 900).await.is_err());
}

/// A key that this function has never read is neither valid nor invalid.
#[tokio::test]
async fn what_was_never_read_is_unavailable() {
    let scene = Scene::open().await;
    let known = ApiKeySecret::parse(&scene.process.api_key(scene.account).await).unwrap();
    let never_issued = ApiKeySecret::for_organisation(Mode::Live, [7; 34]);
    scene.cut(Outage::Cut);
    for secret in [&known, &never_issued] {
        let found = scene.warm.find_key(secret, after(1)).await;
        assert!(matches!(found, Err(Fault::Unavailable { .. })), "{found:?}");
    }
    scene.process.faults.outage.end();
    assert!(scene.warm.find_key(&known, after(1)).await.unwrap().is_some());
    assert!(scene.warm.find_key(&never_issued, after(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_change_does_not_decide_on_what_is_not_current() {
    let scene = Scene::open().await;
    scene.cut(Outage::Cut);
    assert!(scene.warm.current_catalogue(after(59).wall).await.is_ok());
    assert!(scene.warm.current_catalogue(after(60).wall).await.is_err());
    assert!(scene.warm.catalogue(after(60).wall).await.is_ok());
    assert!(scene.warm.current_organisation(scene.account.org).await.is_err());
}

/// Each thing is read again at most once in five seconds, also by many requests at the same time, and one request waits
/// two seconds at most for a thing. The clock is simulated.
#[tokio::test(start_paused = true)]
async fn a_silent_table_is_asked_once_in_five_seconds() {
    let scene = Arc::new(Scene::open().await);
    scene.cut(Outage::Silent);
    let mut asked = 0;
    for seconds in 60..80 {
        let begun = Instant::now();
        let requests: Vec<_> = (0..20)
            .map(|_| {
                let scene = scene.clone();
                tokio::spawn(async move { scene.read(seconds).await.unwrap() })
            })
            .collect();
        for request in requests {
            assert!(!request.await.unwrap());
        }
        // The log of changes is one item, the key another, the organisation too, and the catalogue four.
        let is_due = seconds % 5 == 0;
        let (reads, waited) = if is_due { (7, Duration::from_secs(8)) } else { (0, Duration::ZERO) };
        assert_eq!(scene.requests() - asked, reads, "after {seconds} s");
        assert!(begun.elapsed() <= waited + Duration::from_millis(10), "after {seconds} s");
        asked = scene.requests();
    }
}

/// Once the table answers, what has changed meanwhile is noticed at the next attempt.
#[tokio::test]
async fn a_revoked_key_is_noticed_when_the_table_answers() {
    let scene = Scene::open().await;
    let other = scene.process.fixture.settings();
    let is_revoked = async |seconds| {
        let known = scene.warm.find_key(&scene.secret, after(seconds)).await.unwrap().unwrap();
        known.key.revoked_at.is_some()
    };
    let key = scene.warm.find_key(&scene.secret, after(1)).await.unwrap().unwrap().key.key_id;
    other.revoke(Some(scene.account.org), key, start()).await.unwrap();
    scene.cut(Outage::Cut);
    assert!(!is_revoked(300).await);
    scene.process.faults.outage.end();
    assert!(!is_revoked(304).await);
    assert!(is_revoked(305).await);
    // The function that revokes a key does not accept it again, whatever the table does.
    let (_, key) = scene.process.customer(0).await;
    let secret = ApiKeySecret::parse(&key).unwrap();
    let known = other.find_key(&secret, after(0)).await.unwrap().unwrap().key;
    other.revoke(known.org, known.key_id, start()).await.unwrap();
    scene.cut(Outage::Cut);
    assert!(other.find_key(&secret, after(1)).await.is_err());
}

#[tokio::test]
async fn a_warning_is_logged_at_most_once_in_five_seconds() {
    let scene = Scene::open().await;
    let (log, _guard) = AlarmLog::capture();
    scene.read(44).await.unwrap();
    assert!(log.warnings(SETTINGS_UNREAD).is_empty());
    scene.cut(Outage::Cut);
    for (seconds, lines) in [(60, 1), (61, 1), (64, 1), (65, 2), (69, 2), (70, 3)] {
        scene.read(seconds).await.unwrap();
        assert_eq!(log.warnings(SETTINGS_UNREAD).len(), lines, "after {seconds} s");
    }
}

async fn status(warm: &WarmProcess, call: ApiRequest<'_>) -> u16 {
    warm.call(&call).await.0
}

fn debit() -> Value {
    json!({ "operation": "aml.basic" })
}

/// Requests that read or spend go on; requests that change settings do not, until the key was read again.
#[tokio::test]
async fn spending_goes_on_and_changes_of_settings_wait() {
    let process = TestProcess::open(start()).await;
    let (_, key) = process.customer(1_000).await;
    let (operator, warm) = (process.operator().await, process.warm());
    let (consume, balance) = ("/api/v3/credits/consume", "/api/v3/credits/balance");
    let alerts = ("/api/v3/credits/alerts", json!({ "lowBalanceThreshold": 10 }));
    let package = json!({ "package": "starter", "paymentMethod": "card_1" });
    let name = unique();
    assert_eq!(status(&warm, ApiRequest::new(Method::GET, balance, &key)).await, 200);
    assert_eq!(status(&warm, ApiRequest::new(Method::GET, "/admin/v1/exchange-rates", &operator)).await, 200);
    process.faults.outage.begin(TABLE, Outage::Cut);
    process.pass(60);
    let spend = || ApiRequest::new(Method::POST, consume, &key);
    assert_eq!(status(&warm, spend().under(&name).with(&debit())).await, 201);
    assert_eq!(status(&warm, ApiRequest::new(Method::GET, balance, &key)).await, 200);
    let buy = ApiRequest::new(Method::POST, "/api/v3/credits/purchase", &key);
    assert_eq!(status(&warm, buy.under(&unique()).with(&package)).await, 201);
    assert_eq!(status(&warm, ApiRequest::new(Method::GET, "/admin/v1/exchange-rates", &operator)).await, 200);

    let plan = json!({ "plan": "basic" });
    let recharge = json!({ "enabled": false });
    let price = json!({ "credits": 1 });
    let bonus = json!({ "source": "bonus", "amount": 5 });
    let org = warm.app.settings.find_key(&ApiKeySecret::parse(&key).unwrap(), after(60)).await.unwrap();
    let org = org.unwrap().key.org.unwrap();
    let grants = format!("/admin/v1/organisations/{org}/grants");
    let unfreeze = format!("/admin/v1/organisations/{org}/unfreeze");
    let why = json!({ "reason": "paid" });
    let changes = [
        (Method::PUT, alerts.0, &key, &alerts.1),
        (Method::PUT, "/api/v3/credits/auto-recharge", &key, &recharge),
        (Method::PUT, "/api/v3/subscription", &key, &plan),
        (Method::PUT, "/admin/v1/pricing/aml.pep", &operator, &price),
        (Method::POST, &grants, &operator, &bonus),
        (Method::POST, &unfreeze, &operator, &why),
    ];
    for (method, path, key, body) in &changes {
        let name = unique();
        let call = ApiRequest::new(method.clone(), path, key).under(&name).with(body);
        assert_eq!(status(&warm, call).await, 503, "{method} {path}");
    }
    // The table answers again, but within five seconds of the failed attempt the key is not read again.
    process.faults.outage.end();
    process.pass(4);
    let change = || ApiRequest::new(Method::PUT, alerts.0, &key).with(&alerts.1);
    assert_eq!(status(&warm, change()).await, 503);
    process.pass(1);
    assert_eq!(status(&warm, change()).await, 200);

    // 15 minutes after the last successful read nothing serves, and no debit was lost.
    process.faults.outage.begin(TABLE, Outage::Cut);
    process.pass(900);
    assert_eq!(status(&warm, spend().under(&name).with(&debit())).await, 503);
    process.faults.outage.end();
    process.pass(5);
    let (again, body) = warm.call(&spend().under(&name).with(&debit())).await;
    assert_eq!((again, body["data"]["balance"]["usedCredits"].clone()), (201, json!(1)));
}

/// Every function that reads the settings counts the warning for the alarm.
#[test]
fn the_alarm_counts_the_warning_of_every_function_that_reads_settings() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let filter = format!("FilterPattern: '\"{SETTINGS_UNREAD}\"'");
    let (mut readers, mut counted) = (0, 0);
    for folder in std::fs::read_dir(root.join("functions")).unwrap() {
        let Ok(text) = std::fs::read_to_string(folder.unwrap().path().join("function.yaml")) else {
            continue;
        };
        readers += usize::from(text.contains("SettingsTable.Arn"));
        let counts = text.contains(&filter) && text.contains("MetricName: SettingsUnread,");
        assert_eq!(counts, text.contains("SettingsTable.Arn"), "{text}");
        counted += usize::from(counts);
    }
    assert!(counted == readers && readers > 10, "{counted} of {readers}");
    let template = std::fs::read_to_string(root.join("template.yaml")).unwrap();
    assert_eq!(template.matches(&filter).count(), readers);
    assert!(template.contains("  SettingsUnreadAlarm:\n    Type: AWS::CloudWatch::Alarm\n"));
}
