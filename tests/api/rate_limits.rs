//! How many requests a key, or an organisation, may make.

use chrono::{DateTime, Duration, Utc};
use domain::{OrgId, RateLimit};
use serde_json::{Value, json};
use store::random;
use tests::{ApiAnswer, TestLedger, World, unique};

const KEYS: &str = "/api/v3/api-keys";
const BALANCE: &str = "/api/v3/credits/balance";

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

async fn limited(world: &World, by: &str, limit: Value) -> String {
    let body = json!({ "mode": "live", "rateLimit": limit });
    let made = world.post(KEYS, by, &unique(), &body).await.created();
    assert_eq!(made["rateLimit"], body["rateLimit"]);
    made["key"].as_str().unwrap().to_owned()
}

fn state(answer: &ApiAnswer) -> (u16, Option<&str>, Option<&str>) {
    (
        answer.status,
        answer.header("ratelimit-policy"),
        answer.header("ratelimit").map(|limit| limit.split(";t=").next().unwrap()),
    )
}

/// Windows are a day long here, so that none ends while the test runs. It may end once at midnight, and is then begun again.
#[tokio::test]
async fn a_key_makes_as_many_requests_as_its_limit_allows() {
    let world = World::demo().await;
    let org = world.open(100).await;
    let unlimited = world.get(BALANCE, &org.key).await;
    assert_eq!(state(&unlimited), (200, None, None));
    for _ in 0..2 {
        let key = limited(&world, &org.key, json!({ "requests": 3, "perSeconds": 86_400 })).await;
        let mut states = vec![];
        for _ in 0..3 {
            let body = json!({ "operation": "aml.basic" });
            states.push(world.consume(&key, &unique(), &body).await);
        }
        let refused = world.get(BALANCE, &key).await;
        if refused.status == 200 {
            continue;
        }
        let policy = Some("\"key\";q=3;w=86400");
        let expected = [
            (201, policy, Some("\"key\";r=2")),
            (201, policy, Some("\"key\";r=1")),
            (201, policy, Some("\"key\";r=0")),
        ];
        assert_eq!(states.iter().map(state).collect::<Vec<_>>(), expected);
        assert_eq!(
            (refused.failure(), state(&refused)),
            ("429 RATE_LIMITED".to_owned(), (429, policy, Some("\"key\";r=0")))
        );
        let after: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&after));
        assert_eq!(refused.body["error"]["details"]["limited"], json!("key"));
        // Other keys of the organisation go on.
        assert_eq!(world.get(BALANCE, &org.key).await.status, 200);
        return;
    }
    panic!("two days have ended while a few requests were sent");
}

#[tokio::test]
async fn all_keys_of_an_organisation_share_its_limit() {
    let world = World::demo().await;
    let org = world.open(100).await;
    let path = format!("/admin/v1/organisations/{}", org.id);
    let other = world.post(KEYS, &org.key, &unique(), &json!({ "mode": "live" })).await.created();
    let other = other["key"].as_str().unwrap();
    let limit = json!({ "rateLimit": { "requests": 4, "perSeconds": 86_400 } });
    let changed = world.patch(&path, world.operator(), &limit).await.data();
    assert_eq!(changed["rateLimit"], limit["rateLimit"]);
    let mut served = 0;
    for number in 0..20 {
        let key = if number % 2 == 0 { &org.key } else { other };
        let answer = world.get(BALANCE, key).await;
        served += usize::from(answer.status == 200);
        if answer.status != 200 {
            assert_eq!(answer.failure(), "429 RATE_LIMITED");
            assert_eq!(answer.body["error"]["details"]["limited"], json!("organisation"));
        }
    }
    // Up to twice as many if midnight has passed meanwhile.
    assert!((4..=8).contains(&served), "{served}");
    let none = world.patch(&path, world.operator(), &json!({ "rateLimit": "none" })).await.data();
    assert_eq!(none["rateLimit"], Value::Null);
    assert_eq!(state(&world.get(BALANCE, &org.key).await), (200, None, None));
    for wrong in
        [json!("many"), json!({ "requests": 0, "perSeconds": 1 }), json!({ "requests": 1 }), json!(5)]
    {
        let body = json!({ "rateLimit": wrong });
        assert_eq!(
            world.patch(&path, world.operator(), &body).await.failure(),
            "400 VALIDATION_ERROR",
            "{wrong}"
        );
        let body = json!({ "mode": "live", "rateLimit": wrong });
        assert_eq!(
            world.post(KEYS, &org.key, &unique(), &body).await.failure(),
            "400 VALIDATION_ERROR",
            "{wrong}"
        );
    }
}

/// Eight processes together make no more requests than a limit allows, and use it up to what the others have taken.
#[tokio::test(flavor = "multi_thread")]
async fn processes_together_keep_a_limit() {
    for requests in [7, 99, 100, 107, 600, 613] {
        let fixture = TestLedger::new().await;
        let limit = RateLimit::new(requests, 60).unwrap();
        let subject = OrgId::new(start(), random()).to_string();
        let counting: Vec<_> = (0..8)
            .map(|_| {
                let (settings, subject) = (fixture.settings(), subject.clone());
                tokio::spawn(async move {
                    let mut within = 0_u32;
                    for _ in 0..requests {
                        let state = settings.count_request(&subject, limit, start()).await;
                        within += u32::from(state.is_within);
                    }
                    within
                })
            })
            .collect();
        let mut within = 0;
        for process in counting {
            within += process.await.unwrap();
        }
        // Each process goes on until nothing is left, so what was taken is used.
        assert_eq!(within, requests);
        let settings = fixture.settings();
        let next = settings.count_request(&subject, limit, start() + Duration::seconds(60)).await;
        assert!(next.is_within && next.remaining == requests - 1, "{next:?}");
        // A process whose clock is behind does not begin an old window again.
        let late = fixture.settings().count_request(&subject, limit, start()).await;
        assert_eq!(late.remaining, requests - 2, "{late:?}");
    }
}

/// Counting costs a write a request below 100 requests a window, and at most a tenth above.
#[tokio::test]
async fn counting_costs_at_most_a_tenth_of_a_write_a_request() {
    for (requests, most) in [(50, 1.0), (100, 0.1), (1_000, 0.03), (100_000, 0.01)] {
        let fixture = TestLedger::new().await;
        let (settings, meter) = fixture.metered_settings();
        let limit = RateLimit::new(requests, 3_600).unwrap();
        let calls = requests.min(1_000);
        // The first request of a window finds the window before it: two writes.
        settings.count_request("key", limit, start()).await;
        meter.take();
        for _ in 1..calls {
            assert!(settings.count_request("key", limit, start()).await.is_within);
        }
        let written = meter.take().written / f64::from(calls);
        assert!(written <= most, "{requests}: {written}");
    }
}

#[tokio::test]
async fn requests_go_on_while_their_limits_cannot_be_counted() {
    let fixture = TestLedger::new().await;
    let settings = fixture.settings();
    let limit = RateLimit::new(1, 60).unwrap();
    fixture.faults.as_ref().unwrap().outage.begin("-settings", tests::Outage::Cut);
    assert!(settings.count_request("key", limit, start()).await.is_within);
    let sent = fixture.faults.as_ref().unwrap().outage.requests();
    for _ in 0..3 {
        assert!(settings.count_request("key", limit, start()).await.is_within);
    }
    assert_eq!(
        fixture.faults.as_ref().unwrap().outage.requests(),
        sent,
        "they do not wait for the table again"
    );
    fixture.faults.as_ref().unwrap().outage.end();
    let later = start() + Duration::seconds(5);
    assert!(settings.count_request("key", limit, later).await.is_within);
    assert!(!settings.count_request("key", limit, later).await.is_within);
}

/// Many processes that serve a request each take nothing from one another.
#[tokio::test]
async fn processes_that_serve_little_take_little() {
    let fixture = TestLedger::new().await;
    let limit = RateLimit::new(100, 60).unwrap();
    for number in 0..100 {
        let state = fixture.settings().count_request("key", limit, start()).await;
        assert!(state.is_within && state.remaining == 99 - number, "{number}: {state:?}");
    }
    assert!(!fixture.settings().count_request("key", limit, start()).await.is_within);
}

/// A limit that was changed is in force with the next request of a function that knows it.
#[tokio::test]
async fn a_changed_limit_is_counted_anew() {
    let fixture = TestLedger::new().await;
    let settings = fixture.settings();
    let count = async |requests: u32| {
        settings.count_request("key", RateLimit::new(requests, 60).unwrap(), start()).await.is_within
    };
    assert!(count(2).await && count(2).await && !count(2).await);
    assert!(count(3).await && !count(3).await, "one more is within the larger limit");
    assert!(!count(2).await);
}

/// Requests that cost much more than others have limits of their own: those of one ledger refuse nothing of another.
#[tokio::test]
async fn expensive_requests_are_limited_by_the_minute() {
    let world = World::demo().await;
    let org = world.open(100).await;
    let twin = json!({ "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "reason": "duplicate_operation" });
    let hook =
        world.post("/api/v3/webhooks", &org.key, &unique(), &json!({ "url": "http://127.0.0.1:9/" })).await;
    let test = format!("/api/v3/webhooks/{}/test", hook.created()["webhookId"].as_str().unwrap());
    let body = json!({ "mode": "test", "scopes": tests::EVERY_SCOPE });
    let clock = world.post(KEYS, &org.key, &unique(), &body).await.created();
    let clock = clock["key"].as_str().unwrap();
    let second = json!({ "advanceSeconds": 1 });
    for (path, key, body, name, most) in [
        ("/api/v3/credits/refund", org.key.as_str(), &twin, "duplicate-search", 30),
        ("/api/v3/test-clock", clock, &second, "test-clock", 30),
        (&test, &org.key, &json!({}), "delivery", 60),
    ] {
        let mut before = 0;
        let refused = loop {
            let answer = world.post(path, key, &unique(), body).await;
            if answer.status == 429 {
                break answer;
            }
            before += 1;
            assert!(before <= 2 * most, "{name}");
        };
        // The minute may have turned once meanwhile.
        assert!(most <= before, "{name}: {before}");
        assert_eq!(refused.body["error"]["details"]["limited"], json!(name));
        assert!((1..=60).contains(&refused.header("retry-after").unwrap().parse::<u64>().unwrap()));
    }
    assert_eq!(world.get(BALANCE, &org.key).await.status, 200);
    let other = world.open(10).await;
    assert_eq!(world.post("/api/v3/credits/refund", &other.key, &unique(), &twin).await.status, 404);
}
