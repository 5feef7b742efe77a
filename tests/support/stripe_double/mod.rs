//! A Stripe of our own, on a port of this machine: customers, payment methods, payments and refunds
//! that are kept, idempotency keys that are honoured, and faults on demand. Written from Stripe's
//! documentation, for what its client can't be asked of Stripe itself.

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

pub use state::Books;

/// The API key that it knows.
pub const API_KEY: &str = "sk_test_fake";

/// Bytes that are past every bound.
const TOO_LONG: usize = 17 << 20;

/// What goes wrong with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before anything was done.
    LostBefore,
    /// The connection breaks once it was done.
    LostAfter,
    /// It is done, and no answer comes.
    Slow,
    /// It is done, and what comes back is no JSON.
    Unreadable,
    /// It is done, and what comes back never seems to end.
    TooLong,
    /// A status before anything was done.
    Status(u16),
    /// It is done, and kept as an internal error: every repeat is answered with that.
    KeptError,
    /// The client is sent elsewhere.
    Redirect,
}

impl Fault {
    /// Each of them, of both sides of the moment that matters.
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

/// The fake, while it lives.
pub struct Fake {
    /// Where it listens.
    pub url: String,
    books: Arc<Mutex<Books>>,
    server: JoinHandle<()>,
}

/// What is kept under an idempotency key.
pub struct Kept {
    asked: (String, Form),
    answer: Option<Outcome>,
}

type Form = BTreeMap<String, String>;
type Outcome = (u16, Value);

impl Fake {
    /// Starts one whose clock stands at `now`.
    pub async fn at(now: DateTime<Utc>) -> Self {
        let books = Arc::new(Mutex::new(Books::at(now)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(Arc::clone(&books));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, books, server }
    }

    /// What it knows.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// The next request whose method and path contain `path` goes wrong.
    pub fn fail(&self, path: &'static str, fault: Fault) {
        self.books().faults.push_back((path, fault));
    }

    /// A day passes, after which idempotency keys are forgotten.
    pub fn wait_a_day(&self) {
        let mut books = self.books();
        books.now += TimeDelta::hours(25);
        books.keys.clear();
    }

    /// The customer has authenticated a payment, or has failed to.
    pub fn authenticate(&self, id: &str, success: bool) {
        let mut books = self.books();
        let intent = books.intents.iter_mut().find(|intent| intent["id"] == id).unwrap();
        assert_eq!(intent["status"], "requires_action");
        intent["next_action"] = Value::Null;
        if success {
            succeed(intent);
        } else {
            fail(intent, "payment_intent_authentication_failure", None);
        }
    }

    /// How many payments of a transaction have taken money.
    pub fn taken(&self, transaction: &str) -> usize {
        let books = self.books();
        let ours = books.intents.iter().filter(|intent| intent["metadata"]["transaction"] == transaction);
        ours.filter(|intent| intent["status"] == "succeeded").count()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(State(books): State<Arc<Mutex<Books>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method, parts.uri.path().to_owned());
    let sent = to_bytes(body, 1 << 20).await.unwrap();
    let read = |bytes: &[u8]| -> Form { serde_urlencoded::from_bytes(bytes).unwrap() };
    let form = if method == Method::GET {
        read(parts.uri.query().unwrap_or_default().as_bytes())
    } else {
        read(&sent)
    };
    let key = parts.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    let (fault, date) = {
        let mut books = books.lock().unwrap();
        books.calls.push(format!("{method} {path}"));
        books.headers = parts.headers.clone();
        let asked = format!("{method} {path}");
        let place = books.faults.iter().position(|(wanted, _)| asked.contains(wanted));
        let fault = place.and_then(|place| books.faults.remove(place)).map(|(_, fault)| fault);
        (fault, books.now.to_rfc2822())
    };
    let early = match fault {
        Some(Fault::LostBefore) => Some(lost()),
        Some(Fault::Redirect) => {
            Some((StatusCode::TEMPORARY_REDIRECT, [("location", "/v1/elsewhere")]).into_response())
        }
        Some(Fault::Status(status)) => Some(render(&(status, problem("api_error", None, None)), &date)),
        Some(_) | None => None,
    };
    if let Some(early) = early {
        return early;
    }
    let authorised =
        parts.headers.get("authorization").is_some_and(|sent| sent == &format!("Bearer {API_KEY}"));
    let outcome = if authorised {
        once(&books, key, (&method, &path), form, fault).await
    } else {
        (401, problem("invalid_request_error", None, None))
    };
    match fault {
        Some(Fault::LostAfter) => lost(),
        Some(Fault::Slow) => std::future::pending().await,
        Some(Fault::Unreadable) => "<html>It works!</html>".into_response(),
        Some(Fault::TooLong) => format!("{}{}", outcome.1, " ".repeat(TOO_LONG)).into_response(),
        Some(_) | None => render(&outcome, &date),
    }
}

/// An answer that breaks off.
fn lost() -> Response {
    Body::new(Limited::new(Body::from("{ \"id\": "), 1)).into_response()
}

fn render((status, body): &Outcome, date: &str) -> Response {
    let headers = [("date", date), ("request-id", "req_fake"), ("content-type", "application/json")];
    (StatusCode::from_u16(*status).unwrap(), headers, body.to_string()).into_response()
}

/// Does what is asked, once per idempotency key.
async fn once(
    books: &Mutex<Books>,
    key: Option<String>,
    (method, path): (&Method, &str),
    form: Form,
    fault: Option<Fault>,
) -> Outcome {
    let asked = (path.to_owned(), form.clone());
    if let Some(key) = &key {
        let mut books = books.lock().unwrap();
        match books.keys.get(key) {
            Some(kept) if kept.asked != asked => return (400, problem("idempotency_error", None, None)),
            Some(Kept { answer: Some(answer), .. }) => return answer.clone(),
            Some(_) => {
                return (409, problem("idempotency_error", Some("idempotency_key_in_use"), None));
            }
            None => books.keys.insert(key.clone(), Kept { asked, answer: None }),
        };
    }
    // Long enough that a second request with the same key arrives while this one is in progress.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut books = books.lock().unwrap();
    let mut outcome = books.answer(method, path, &form);
    if fault == Some(Fault::KeptError) {
        outcome = (500, problem("api_error", None, None));
    }
    if let Some(key) = key {
        // Stripe does not store the answer of a request that failed validation.
        if outcome.0 == 400 {
            books.keys.remove(&key);
        } else if let Some(kept) = books.keys.get_mut(&key) {
            kept.answer = Some(outcome.clone());
        }
    }
    outcome
}
