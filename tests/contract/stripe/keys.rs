//! Stripe's keys from AWS Secrets Manager.

use aws::SecretsManager;
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use scrip_payments::{EventRejected, PaymentStatus, Provider, Stripe, StripeConfig, StripeSecrets, sign};
use serde_json::{Value, json};
use store::random;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Bench, now};
use tests::stripe_double::API_KEY;

const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:scrip/stripe-AbCdEf";

/// A Secrets Manager with one secret.
struct Keeper {
    url: String,
    kept: Arc<Mutex<StoredSecret>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct StoredSecret {
    secret: Option<String>,
    asked: usize,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Keeper {
    async fn of(secret: &Value) -> Self {
        let kept = Arc::new(Mutex::new(StoredSecret { secret: Some(secret.to_string()), asked: 0 }));
        let router = Router::new().fallback(give).with_state(Arc::clone(&kept));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, kept, server }
    }

    fn change(&self, secret: Option<&Value>) {
        self.kept.lock().unwrap().secret = secret.map(Value::to_string);
    }

    fn asked(&self) -> usize {
        self.kept.lock().unwrap().asked
    }

    fn stripe(&self, bench: &Bench) -> Stripe {
        stripe(&self.url, ARN, bench)
    }
}

/// A client that reads its keys from `endpoint`.
fn stripe(endpoint: &str, arn: &str, bench: &Bench) -> Stripe {
    let secrets = StripeSecrets::Managed(SecretsManager {
        arn: arn.into(),
        region: "us-east-1".into(),
        access_key: "AKIDEXAMPLE".into(),
        secret_key: "example".into(),
        session_token: Some("token".into()),
        endpoint: Some(endpoint.into()),
    });
    let config = StripeConfig { api_base: Some(bench.fake.url.clone()), ..StripeConfig::new(secrets) };
    assert!(!format!("{config:?}").contains("\"token\""));
    Stripe::new(config).unwrap()
}

async fn give(State(kept): State<Arc<Mutex<StoredSecret>>>, headers: HeaderMap, asked: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&asked).unwrap();
    assert_eq!(headers["x-amz-target"], "secretsmanager.GetSecretValue");
    assert_eq!(
        (&asked["SecretId"], &headers["x-amz-security-token"]),
        (&json!(ARN), &"token".parse().unwrap())
    );
    let mut kept = kept.lock().unwrap();
    kept.asked += 1;
    match &kept.secret {
        Some(secret) => {
            Json(json!({ "ARN": ARN, "Name": "scrip/stripe", "SecretString": secret })).into_response()
        }
        None => (StatusCode::BAD_REQUEST, Json(json!({ "__type": "AccessDeniedException" }))).into_response(),
    }
}

fn secret(api_key: &str, webhook_secrets: &[&str]) -> Value {
    json!({ "apiKey": api_key, "webhookSecrets": webhook_secrets })
}

#[tokio::test]
async fn the_keys_are_read_once_and_used_for_calls_and_events() {
    let bench = Bench::new().await;
    let keeper = Keeper::of(&secret(API_KEY, &["whsec_old", "whsec_new"])).await;
    let stripe = keeper.stripe(&bench);
    assert_eq!(keeper.asked(), 0);
    for _ in 0..3 {
        let status = stripe.charge(&bench.order("pm_visa")).await.unwrap().status;
        assert_eq!(status, PaymentStatus::Succeeded);
    }
    for known in ["whsec_old", "whsec_new"] {
        let header = sign(&known.into(), b"{}", now());
        let answer = stripe.event(&header, b"{}", now()).await;
        assert!(matches!(answer, Err(EventRejected::Forged("the body is not an event"))), "{answer:?}");
    }
    let foreign = sign(&"whsec_other".into(), b"{}", now());
    let answer = stripe.event(&foreign, b"{}", now()).await;
    assert!(
        matches!(answer, Err(EventRejected::Forged("no signature of the event matches its body"))),
        "{answer:?}"
    );
    assert_eq!(keeper.asked(), 1);
}

#[tokio::test]
async fn a_refused_key_is_read_again() {
    let bench = Bench::new().await;
    let keeper = Keeper::of(&secret("sk_test_rolled", &[])).await;
    let stripe = keeper.stripe(&bench);
    let order = bench.order("pm_visa");
    assert!(stripe.charge(&order).await.unwrap_err().to_string().contains("401"));
    keeper.change(Some(&secret(API_KEY, &[])));
    assert_eq!(stripe.charge(&order).await.unwrap().status, PaymentStatus::Succeeded);
    assert_eq!(keeper.asked(), 2);
}

/// A signing secret that was withdrawn is refused, and its successor accepted, once the cached keys are five minutes old.
#[tokio::test]
async fn a_withdrawn_secret_is_refused_after_five_minutes() {
    let bench = Bench::new().await;
    let keeper = Keeper::of(&secret(API_KEY, &["whsec_old"])).await;
    let stripe = keeper.stripe(&bench);
    let accepts = async |secret: &str| {
        let answer = stripe.event(&sign(&secret.into(), b"{}", now()), b"{}", now()).await;
        matches!(answer, Err(EventRejected::Forged("the body is not an event")))
    };
    assert!(accepts("whsec_old").await);
    keeper.change(Some(&secret(API_KEY, &["whsec_new"])));
    for (seconds, is_cached) in [(0, true), (300, false)] {
        tokio::time::pause();
        tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
        tokio::time::resume();
        let accepted = [accepts("whsec_old").await, accepts("whsec_new").await];
        assert_eq!(accepted, [is_cached, !is_cached], "after {seconds} s");
    }
}

#[tokio::test]
async fn an_unreadable_secret_is_never_quoted() {
    let bench = Bench::new().await;
    let keeper = Keeper::of(&json!(null)).await;
    let order = bench.order("pm_visa");
    for kept in [
        Some(json!("sk_live_hidden")),
        Some(json!({ "api_key": "sk_live_hidden" })),
        Some(json!({ "apiKey": ["sk_live_hidden"] })),
        Some(json!({ "apiKey": "sk_live_hidden", "webhookSecrets": "whsec_hidden" })),
        Some(secret("", &["whsec_hidden"])),
        Some(secret("sk_live_hidden", &[""])),
        Some(secret("sk_live_hidden\n", &["whsec_hidden"])),
        None,
    ] {
        keeper.change(kept.as_ref());
        let stripe = keeper.stripe(&bench);
        let said = stripe.charge(&order).await.unwrap_err().to_string();
        assert!(!said.contains("hidden"), "{said}");
        let answer = stripe.event("t=1,v1=0", b"{}", now()).await;
        assert!(matches!(answer, Err(EventRejected::Later(_))), "{answer:?}");
    }
    assert!(bench.fake.state().intents.is_empty());
}

#[tokio::test]
async fn another_secrets_manager_works_too() {
    let Ok(endpoint) = std::env::var("SCRIP_SECRETS_MANAGER") else { return };
    let bench = Bench::new().await;
    let secret = secret(API_KEY, &["whsec_kept"]).to_string();
    let name = format!("scrip/stripe-{:x}", random());
    let scope = "AWS4-HMAC-SHA256 Credential=test/20260115/us-east-1/secretsmanager/aws4_request, \
                 SignedHeaders=host, Signature=0";
    let made = tests::client()
        .post(&endpoint)
        .header("authorization", scope)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", "secretsmanager.CreateSecret")
        .body(json!({ "Name": name, "SecretString": secret }).to_string());
    let made: Value = made.send().await.unwrap().json().await.unwrap();
    let stripe = stripe(&endpoint, made["ARN"].as_str().unwrap(), &bench);
    assert_eq!(stripe.charge(&bench.order("pm_visa")).await.unwrap().status, PaymentStatus::Succeeded);
    let nowhere = self::stripe(&endpoint, ARN, &bench);
    let said = nowhere.charge(&bench.order("pm_visa")).await.unwrap_err().to_string();
    assert!(said.contains("ResourceNotFoundException"), "{said}");
}
