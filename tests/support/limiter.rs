//! DynamoDB's limits in simulated time: each answer takes 5 ms, and a partition key has a bounded number of units a
//! second. The time is tokio's paused clock, which does not pass while the engine works.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use serde_json::Value;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep};

use crate::faults::throttled;

/// The limits of a table.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long an answer takes.
    pub answer: Duration,
    /// The write units of a partition key in a second.
    pub written: f64,
    /// The read units of a partition key in a second.
    pub read: f64,
}

impl Limits {
    /// Those of AWS.
    pub const AWS: Self = Self { answer: Duration::from_millis(5), written: 1_000.0, read: 3_000.0 };
}

/// A connection to the embedded engine that keeps a table's limits.
#[derive(Clone, Debug)]
pub struct Limiter {
    inner: SharedHttpClient,
    limits: Option<Limits>,
    state: Arc<Mutex<LimiterState>>,
}

/// What became of the requests.
#[derive(Debug, Default)]
struct LimiterState {
    /// The units that a partition key has left, and when they were counted.
    left: HashMap<(bool, String), (Instant, f64)>,
    /// The requests that were throttled.
    throttled: u64,
    /// How many rows were written.
    rows: u64,
    /// How many shards the rows are spread over, where all entries are one account's.
    shards: u8,
    /// The highest number of entries that had no row at once, where all entries are one account's.
    unwritten: u64,
    /// When each state of an account was written, by its partition key and its number.
    committed: HashMap<(String, u64), Instant>,
}

#[derive(Debug)]
struct LimitedConnector {
    inner: SharedHttpConnector,
    limiter: Limiter,
}

impl Limiter {
    /// A connection through `client` that keeps `limits`; without limits it only stops the clock while the engine works.
    pub fn on(client: SharedHttpClient, limits: Option<Limits>) -> Self {
        Self { inner: client, limits, state: Arc::default() }
    }

    /// The SDK's HTTP client for this connection.
    pub fn client(&self) -> SharedHttpClient {
        let limiter = self.clone();
        http_client_fn(move |settings, components| {
            let inner = limiter.inner.http_connector(settings, components);
            SharedHttpConnector::new(LimitedConnector { inner, limiter: limiter.clone() })
        })
    }

    /// When the account's state with this number was written.
    pub fn committed_at(&self, account: &str, number: u64) -> Option<Instant> {
        self.state.lock().unwrap().committed.get(&(format!("ACCT#{account}"), number)).copied()
    }

    /// How many entries had no row at once, at most, since the last call. All entries must be one account's.
    pub fn take_unwritten(&self) -> u64 {
        std::mem::take(&mut self.state.lock().unwrap().unwritten)
    }

    /// How many requests were throttled.
    pub fn throttled(&self) -> u64 {
        self.state.lock().unwrap().throttled
    }

    /// Whether a partition key has units left.
    fn admits(&self, is_write: bool, key: &str) -> bool {
        let Some(limits) = self.limits else { return true };
        let rate = if is_write { limits.written } else { limits.read };
        let mut state = self.state.lock().unwrap();
        let now = Instant::now();
        let (counted, left) = state.left.entry((is_write, key.to_owned())).or_insert((now, rate));
        *left = (*left + now.duration_since(*counted).as_secs_f64() * rate).min(rate);
        *counted = now;
        let admits = *left >= 1.0;
        if !admits {
            state.throttled += 1;
        }
        admits
    }

    /// Subtracts what a request cost, and remembers when an account was written.
    fn count(&self, is_write: bool, keys: &[String], response: &HttpResponse) {
        let body: Value = serde_json::from_slice(response.body().bytes().unwrap()).unwrap_or_default();
        let units = body.pointer("/ConsumedCapacity/CapacityUnits").and_then(Value::as_f64).unwrap_or(1.0);
        let mut state = self.state.lock().unwrap();
        for key in keys {
            if let Some((_, left)) = state.left.get_mut(&(is_write, key.clone())) {
                *left -= units;
            }
        }
        let number: Option<u64> =
            body.pointer("/Attributes/seq/N").and_then(Value::as_str).and_then(|seq| seq.parse().ok());
        let is_row = |key: &String| key.starts_with("TXN#");
        if is_write && keys.iter().any(is_row) && response.status().is_success() {
            state.rows += 1;
        }
        if let (Some(number), [key]) = (number, keys) {
            let shards = body
                .pointer("/Attributes/shards/N")
                .and_then(Value::as_str)
                .map_or(1, |n| n.parse().unwrap());
            assert!(state.shards <= shards, "an account has fewer shards than before");
            state.shards = shards;
            state.unwritten = state.unwritten.max(number.saturating_sub(state.rows));
            state.committed.insert((key.clone(), number), Instant::now());
        }
    }
}

/// The partition keys of a request: one, or those of a transaction.
fn partition_keys(body: &Value) -> Vec<String> {
    let one = |request: &Value| {
        let key = request.pointer("/Key/pk/S").or(request.pointer("/Item/pk/S"));
        let key = key.or(request.pointer("/ExpressionAttributeValues/:pk/S"));
        key.and_then(Value::as_str).map(str::to_owned)
    };
    match body["TransactItems"].as_array() {
        Some(items) => {
            items.iter().flat_map(|item| item.as_object().unwrap().values().filter_map(one)).collect()
        }
        None => one(body).into_iter().collect(),
    }
}

impl HttpConnector for LimitedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, limiter) = (self.inner.clone(), self.limiter.clone());
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
            let is_write = !["GetItem", "Query", "GetRecords"].iter().any(|read| target.ends_with(read));
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            let keys = partition_keys(&body);
            if !keys.iter().all(|key| limiter.admits(is_write, key)) {
                sleep(limiter.limits.map_or(Duration::ZERO, |limits| limits.answer)).await;
                return Ok(throttled());
            }
            // Tokio would make a task that has run for long yield, which the blocked runtime never resumes.
            let response = block_on(unconstrained(inner.call(request)))?;
            limiter.count(is_write, &keys, &response);
            sleep(limiter.limits.map_or(Duration::ZERO, |limits| limits.answer)).await;
            Ok(response)
        })
    }
}

/// Waits for the engine's thread without giving the runtime a chance to let the simulated time pass.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
