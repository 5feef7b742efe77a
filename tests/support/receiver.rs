use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

/// A customer's server: it notes what it is sent, and answers as it is told to.
#[derive(Clone)]
pub struct Receiver {
    /// Where it listens: `http://127.0.0.1:…/hook`.
    pub url: String,
    state: Arc<Mutex<State>>,
}

/// What it was sent.
#[derive(Clone, Debug)]
pub struct Received {
    /// The headers.
    pub headers: HeaderMap,
    /// The body, to the byte.
    pub text: String,
    /// The same, read.
    pub body: Value,
    /// What it answered.
    pub answered: u16,
}

type Answers = Box<dyn FnMut(&Value) -> (u16, HeaderMap) + Send>;

struct State {
    answers: Answers,
    received: Vec<Received>,
    hangs: bool,
}

impl Receiver {
    /// One that takes everything.
    pub async fn start() -> Self {
        let answers: Answers = Box::new(|_| (200, HeaderMap::new()));
        let state = Arc::new(Mutex::new(State { answers, received: vec![], hangs: false }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let noted = state.clone();
        let router = Router::new().fallback(move |request: Request| take(noted.clone(), request));
        tokio::spawn(axum::serve(listener, router).into_future());
        Self { url, state }
    }

    /// From now on it answers with that status.
    pub fn answer(&self, status: u16) {
        self.answer_by(move |_| (status, HeaderMap::new()));
    }

    /// From now on it answers to each body as `answers` says.
    pub fn answer_by(&self, answers: impl FnMut(&Value) -> (u16, HeaderMap) + Send + 'static) {
        self.state.lock().unwrap().answers = Box::new(answers);
    }

    /// From now on it never answers.
    pub fn hang(&self) {
        self.state.lock().unwrap().hangs = true;
    }

    /// All that it was sent, in order.
    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().received.clone()
    }

    /// The bodies of what it has taken, in order.
    pub fn taken(&self) -> Vec<Value> {
        let taken = |received: &&Received| received.answered < 300;
        self.received().iter().filter(taken).map(|received| received.body.clone()).collect()
    }

    /// The numbers of what it has taken, in order.
    pub fn numbers(&self) -> Vec<u64> {
        self.taken().iter().map(|body| body["sequence"].as_u64().unwrap()).collect()
    }

    /// Forgets what it was sent.
    pub fn forget(&self) {
        self.state.lock().unwrap().received.clear();
    }
}

impl Received {
    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

async fn take(state: Arc<Mutex<State>>, request: Request) -> Response {
    let headers = request.headers().clone();
    let bytes: Bytes = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let (status, answer_headers, hangs) = {
        let mut state = state.lock().unwrap();
        let (status, answer_headers) = (state.answers)(&body);
        state.received.push(Received { headers, text, body, answered: status });
        (status, answer_headers, state.hangs)
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    (StatusCode::from_u16(status).unwrap(), answer_headers, "as you say").into_response()
}
