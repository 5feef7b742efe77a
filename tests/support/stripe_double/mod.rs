//! A Stripe double on a local port: it keeps customers, payment methods, payments and refunds, honours idempotency
//! keys and fails on demand. It follows Stripe's documentation, for faults that Stripe itself cannot be asked for.

mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use http_body_util::Limited;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use state::{fail, problem, succeed};

pub use state::StripeState;

/// The API key that the double accepts.
pub const API_KEY: &str = "sk_test_fake";

/// More bytes than the client reads.
const TOO_LONG: usize = 17 << 20;

/// How one request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StripeFault {
    /// The connection breaks before the request is processed.
    LostBefore,
    /// The connection breaks after the request was processed.
    LostAfter,
    /// The request is processed and gets no answer.
    Slow,
    /// The request is processed and the answer is not JSON.
    Unreadable,
    /// The request is processed and the answer is longer than the client reads.
    TooLong,
    /// An error status; the request is not processed.
    Status(u16),
    /// The request is processed, and the key stores an internal error that every repeat gets.
    KeptError,
    /// A redirect.
    Redirect,
}

impl StripeFault {
    /// Every fault, before and after the request is processed.
    pub const ALL: [Self; 12] = [
        Self::LostBefore,
        Self::LostAfter,
        Self::Slow,
        Self::Unreadable,
        Self::TooLong,
        Self::Status(401),
        Self::Status(403),
        Self::Status(409),
        Self::Status(429),
        Self::Status(500),
        Self::Status(503),
        Self::Redirect,
    ];
}

/// A running Stripe double; dropping it stops it.
pub struct StripeDouble {
    /// The double's base URL.
    pub url: String,
    state: Arc<Mutex<StripeState>>,
    server: JoinHandle<()>,
}

/// A request and its answer, stored under an idempotency key.
pub struct StoredAnswer {
    asked: (String, StripeForm),
    answer: Option<StripeAnswer>,
}

type StripeForm = BTreeMap<String, String>;
type StripeAnswer = (u16, Value);

impl StripeDouble {
    /// Starts a double whose clock stands at `now`.
    pub async fn at(now: DateTime<Utc>) -> Self {
        let state = Arc::new(Mutex::new(StripeState::at(now)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state, server }
    }

    /// The double's state.
    pub fn state(&self) -> MutexGuard<'_, StripeState> {
        self.state.lock().unwrap()
    }

    /// The next request whose method and path contain `path` fails.
    pub fn fail(&self, path: &'static str, fault: StripeFault) {
        self.state().faults.push_back((path, fault));
    }

    /// Advances the clock by a day, after which idempotency keys are forgotten.
    pub fn wait_a_day(&self) {
        let mut state = self.state();
        state.now += TimeDelta::hours(25);
        state.keys.clear();
    }

    /// Ends a customer's authentication of a payment.
    pub fn authenticate(&self, id: &str, success: bool) {
        let mut state = self.state();
        let intent = state.intents.iter_mut().find(|intent| intent["id"] == id).unwrap();
        assert_eq!(intent["status"], "requires_action");
        intent["next_action"] = Value::Null;
        if success {
            succeed(intent);
        } else {
            fail(intent, "payment_intent_authentication_failure", None);
        }
    }

    /// The number of payments of a transaction that took money.
    pub fn taken(&self, transaction: &str) -> usize {
        let state = self.state();
        let ours = state.intents.iter().filter(|intent| intent["metadata"]["transaction"] == transaction);
        ours.filter(|intent| intent["status"] == "succeeded").count()
    }
}

impl Drop for StripeDouble {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(State(state): State<Arc<Mutex<StripeState>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method, parts.uri.path().to_owned());
    let sent = to_bytes(body, 1 << 20).await.unwrap();
    let read = |bytes: &[u8]| -> StripeForm { serde_urlencoded::from_bytes(bytes).unwrap() };
    let form = if method == Method::GET {
        read(parts.uri.query().unwrap_or_default().as_bytes())
    } else {
        read(&sent)
    };
    let key = parts.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    let (fault, date) = {
        let mut state = state.lock().unwrap();
        state.calls.push(format!("{method} {path}"));
        state.headers = parts.headers.clone();
        let asked = format!("{method} {path}");
        let place = state.faults.iter().position(|(wanted, _)| asked.contains(wanted));
        let fault = place.and_then(|place| state.faults.remove(place)).map(|(_, fault)| fault);
        (fault, state.now.to_rfc2822())
    };
    let early = match fault {
        Some(StripeFault::LostBefore) => Some(lost()),
        Some(StripeFault::Redirect) => {
            Some((StatusCode::TEMPORARY_REDIRECT, [("location", "/v1/elsewhere")]).into_response())
        }
        Some(StripeFault::Status(status)) => Some(render(&(status, problem("api_error", None, None)), &date)),
        Some(_) | None => None,
    };
    if let Some(early) = early {
        return early;
    }
    let authorised =
        parts.headers.get("authorization").is_some_and(|sent| sent == &format!("Bearer {API_KEY}"));
    let outcome = if authorised {
        once(&state, key, (&method, &path), form, fault).await
    } else {
        (401, problem("invalid_request_error", None, None))
    };
    match fault {
        Some(StripeFault::LostAfter) => lost(),
        Some(StripeFault::Slow) => std::future::pending().await,
        Some(StripeFault::Unreadable) => "<html>It works!</html>".into_response(),
        Some(StripeFault::TooLong) => format!("{}{}", outcome.1, " ".repeat(TOO_LONG)).into_response(),
        Some(_) | None => render(&outcome, &date),
    }
}

/// An answer that ends too early.
fn lost() -> Response {
    Body::new(Limited::new(Body::from("{ \"id\": "), 1)).into_response()
}

fn render((status, body): &StripeAnswer, date: &str) -> Response {
    let headers = [("date", date), ("request-id", "req_fake"), ("content-type", "application/json")];
    (StatusCode::from_u16(*status).unwrap(), headers, body.to_string()).into_response()
}

/// Processes a request once per idempotency key.
async fn once(
    state: &Mutex<StripeState>,
    key: Option<String>,
    (method, path): (&Method, &str),
    form: StripeForm,
    fault: Option<StripeFault>,
) -> StripeAnswer {
    let asked = (path.to_owned(), form.clone());
    if let Some(key) = &key {
        let mut state = state.lock().unwrap();
        match state.keys.get(key) {
            Some(kept) if kept.asked != asked => return (400, problem("idempotency_error", None, None)),
            Some(StoredAnswer { answer: Some(answer), .. }) => return answer.clone(),
            Some(_) => {
                return (409, problem("idempotency_error", Some("idempotency_key_in_use"), None));
            }
            None => state.keys.insert(key.clone(), StoredAnswer { asked, answer: None }),
        };
    }
    // Long enough that a second request with the same key arrives while this one is in progress.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut state = state.lock().unwrap();
    let mut outcome = state.answer(method, path, &form);
    if fault == Some(StripeFault::KeptError) {
        outcome = (500, problem("api_error", None, None));
    }
    if let Some(key) = key {
        // Stripe does not store the answer of a request that failed validation.
        if outcome.0 == 400 {
            state.keys.remove(&key);
        } else if let Some(kept) = state.keys.get_mut(&key) {
            kept.answer = Some(outcome.clone());
        }
    }
    outcome
}
