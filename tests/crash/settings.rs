//! A change of settings under an idempotency key is made once, whatever crashes.

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, TestProcess, WriteFault};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn create_webhook<'a>(key: &'a str, body: &'a Value) -> ApiRequest<'a> {
    ApiRequest::new(Method::POST, "/api/v3/webhooks", key).under("w").with(body)
}

/// How many attempts the SDK makes of one write.
const SDK_ATTEMPTS: usize = 3;

/// Every write of a request that creates a webhook fails in every way, once or until the SDK gives up. The caller repeats the
/// request under its key: there is one webhook, and the answer names it.
#[tokio::test]
async fn a_webhook_is_created_once_whatever_crashes() {
    let process = TestProcess::open(now()).await;
    let body = json!({ "url": "https://hooks.example.com/scrip" });
    let (_, key) = process.customer(0).await;
    process.clear_faults();
    assert_eq!(process.call(&create_webhook(&key, &body)).await.0, 201);
    let writes = process.steps().0;
    assert!(writes >= 3, "{writes}");
    for number in 0..writes {
        for kind in WriteFault::EACH {
            for times in [1, SDK_ATTEMPTS] {
                let case = format!("{kind:?}, {times} from write {number} on");
                let (account, key) = process.customer(0).await;
                process.faults.arm_all(number..number + times, kind);
                let first = process.call(&create_webhook(&key, &body)).await;
                process.clear_faults();
                // After that an attempt that broke off does not count as running any more.
                process.pass(31);
                let (status, again) = process.call(&create_webhook(&key, &body)).await;
                assert_eq!(status, 201, "{case}: {again}");
                let known = process.fixture.activity().webhooks(account).await.unwrap();
                let known: Vec<_> = known.iter().map(|(webhook, _)| webhook.id.to_string()).collect();
                let named = |body: &Value| body["data"]["webhookId"].as_str().unwrap().to_owned();
                assert_eq!(known, [named(&again)], "{case}");
                assert!(first.0 != 201 || named(&first.1) == named(&again), "{case}");
            }
        }
    }
}
