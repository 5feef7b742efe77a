//! A webhook endpoint of a customer.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

/// A customer's webhook endpoint: it records what it receives and answers as the test says.
#[derive(Clone)]
pub struct Receiver {
    /// The endpoint's URL: `http://127.0.0.1:…/hook`.
    pub url: String,
    state: Arc<Mutex<ReceiverState>>,
}

/// A webhook that was received.
#[derive(Clone, Debug)]
pub struct ReceivedWebhook {
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it was sent.
    pub text: String,
    /// The body as JSON.
    pub body: Value,
    /// The status of the answer.
    pub answered: u16,
}

type AnswerTo = Box<dyn FnMut(&Value) -> (u16, HeaderMap) + Send>;

struct ReceiverState {
    answers: AnswerTo,
    received: Vec<ReceivedWebhook>,
    hangs: bool,
}

impl Receiver {
    /// An endpoint that answers 200 to everything.
    pub async fn start() -> Self {
        let answers: AnswerTo = Box::new(|_| (200, HeaderMap::new()));
        let state = Arc::new(Mutex::new(ReceiverState { answers, received: vec![], hangs: false }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let noted = state.clone();
        let router = Router::new().fallback(move |request: Request| take(noted.clone(), request));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, state }
    }

    /// Answers with `status` from now on.
    pub fn answer(&self, status: u16) {
        self.answer_by(move |_| (status, HeaderMap::new()));
    }

    /// Answers to each body as `answers` says from now on.
    pub fn answer_by(&self, answers: impl FnMut(&Value) -> (u16, HeaderMap) + Send + 'static) {
        self.state.lock().unwrap().answers = Box::new(answers);
    }

    /// Never answers from now on.
    pub fn hang(&self) {
        self.state.lock().unwrap().hangs = true;
    }

    /// Everything that was received, in order.
    pub fn received(&self) -> Vec<ReceivedWebhook> {
        self.state.lock().unwrap().received.clone()
    }

    /// The bodies that were accepted, in order.
    pub fn taken(&self) -> Vec<Value> {
        let taken = |received: &&ReceivedWebhook| received.answered < 300;
        self.received().iter().filter(taken).map(|received| received.body.clone()).collect()
    }

    /// The sequence numbers of the events that were accepted, in order.
    pub fn numbers(&self) -> Vec<u64> {
        self.taken().iter().map(|body| body["sequence"].as_u64().unwrap()).collect()
    }

    /// Forgets what was received.
    pub fn forget(&self) {
        self.state.lock().unwrap().received.clear();
    }
}

impl ReceivedWebhook {
    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

async fn take(state: Arc<Mutex<ReceiverState>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let bytes: Bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let (status, answer_headers, hangs) = {
        let mut state = state.lock().unwrap();
        let (status, answer_headers) = (state.answers)(&body);
        state.received.push(ReceivedWebhook { headers, text, body, answered: status });
        (status, answer_headers, state.hangs)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    (StatusCode::from_u16(status).unwrap(), answer_headers, "as you say").into_response()
}
