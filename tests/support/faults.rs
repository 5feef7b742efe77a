//! Faults of DynamoDB writes: a connection on which one chosen write fails.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::TableOutage;

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteFault {
    /// The process dies before the write is sent.
    CrashBefore,
    /// The process dies after the write was made, before the answer arrives.
    CrashAfter,
    /// The write is made and its answer is lost; the process lives.
    AnswerLost,
    /// The write is lost and gets no answer; the process lives.
    RequestLost,
    /// The table throttles the write; the process lives.
    Throttled,
    /// The write is not made, and the answer is an error that does not say so; the process lives.
    ServerError,
    /// A layer below sends the write twice, and the second answer arrives; the process lives.
    SentTwice,
    /// The write is delayed until [`Faults::let_through`], so that others come first.
    Late,
}

/// A connection between the SDK and a DynamoDB on which one chosen write fails.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The outage of a table.
    pub outage: TableOutage,
    inner: SharedHttpClient,
    script: Arc<Mutex<WriteScript>>,
    late: Arc<Semaphore>,
    latency: Arc<Mutex<Option<Duration>>>,
}

#[derive(Debug)]
struct FaultyConnector {
    inner: SharedHttpConnector,
    faults: Faults,
}

#[derive(Debug, Default)]
struct WriteScript {
    fault: Option<(Range<usize>, WriteFault)>,
    writes: usize,
    dead: bool,
}

impl WriteFault {
    /// Every way in which one write fails by itself.
    pub const EACH: [Self; 6] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::AnswerLost,
        Self::RequestLost,
        Self::Throttled,
        Self::ServerError,
    ];
}

impl Faults {
    /// A connection through `client`.
    pub fn on(client: SharedHttpClient) -> Self {
        let late = Arc::new(Semaphore::new(0));
        Self {
            outage: TableOutage::default(),
            inner: client,
            script: Arc::default(),
            late,
            latency: Arc::default(),
        }
    }

    /// The SDK's HTTP client for this connection.
    pub fn client(&self) -> SharedHttpClient {
        let faults = self.clone();
        http_client_fn(move |settings, components| {
            let inner = faults.inner.http_connector(settings, components);
            SharedHttpConnector::new(FaultyConnector { inner, faults: faults.clone() })
        })
    }

    /// The `number`-th write from now on, counted from 0, fails.
    pub fn arm(&self, number: usize, kind: WriteFault) {
        self.arm_all(number..number.saturating_add(1), kind);
    }

    /// The writes with these numbers from now on, counted from 0, fail. After three in a row the SDK gives up.
    pub fn arm_all(&self, numbers: Range<usize>, kind: WriteFault) {
        *self.script.lock().unwrap() = WriteScript { fault: Some((numbers, kind)), ..WriteScript::default() };
    }

    /// From now on every answer takes this long, by the runtime's clock. The test must pause that clock: it then passes
    /// only while no request is being answered, however slow the machine is.
    pub fn delay(&self, latency: Duration) {
        *self.latency.lock().unwrap() = Some(latency);
    }

    /// Passes a request on.
    fn pass(&self, inner: &SharedHttpConnector, request: HttpRequest) -> HttpConnectorFuture {
        let Some(latency) = *self.latency.lock().unwrap() else { return inner.call(request) };
        let inner = inner.clone();
        HttpConnectorFuture::new(async move {
            // A paused clock stands still while a blocking task runs.
            let answer = spawn_blocking(move || Handle::current().block_on(inner.call(request)));
            let answer = answer.await.unwrap();
            sleep(latency).await;
            answer
        })
    }

    /// Lets the delayed write arrive.
    pub fn let_through(&self) {
        self.late.add_permits(1);
    }

    /// Ends the process: nothing that it sends arrives.
    pub fn kill(&self) {
        self.script.lock().unwrap().dead = true;
    }

    /// Whether the process has ended.
    pub fn is_dead(&self) -> bool {
        self.script.lock().unwrap().dead
    }

    /// The number of writes that were sent, or would have been, since the last [`Faults::arm`].
    pub fn writes(&self) -> usize {
        self.script.lock().unwrap().writes
    }

    fn befalls(&self, request: &HttpRequest) -> Option<WriteFault> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let is_write = !["GetItem", "Query"].iter().any(|read| target.ends_with(read));
        let mut script = self.script.lock().unwrap();
        if script.dead {
            return Some(WriteFault::CrashBefore);
        }
        if !is_write {
            return None;
        }
        let number = script.writes;
        script.writes = script.writes.saturating_add(1);
        let kind =
            script.fault.as_ref().filter(|(numbers, _)| numbers.contains(&number)).map(|(_, kind)| *kind)?;
        script.dead = matches!(kind, WriteFault::CrashBefore | WriteFault::CrashAfter);
        Some(kind)
    }
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Some(unanswered) = self.faults.outage.of(&request) {
            return unanswered;
        }
        let lost = || ConnectorError::io("the connection was cut".into());
        match self.faults.befalls(&request) {
            None => self.faults.pass(&self.inner, request),
            Some(WriteFault::CrashBefore | WriteFault::RequestLost) => {
                HttpConnectorFuture::ready(Err(lost()))
            }
            Some(WriteFault::Late) => {
                let (late, inner) = (self.faults.late.clone(), self.inner.clone());
                HttpConnectorFuture::new(async move {
                    late.acquire().await.unwrap().forget();
                    inner.call(request).await
                })
            }
            Some(WriteFault::Throttled) => HttpConnectorFuture::ready(Ok(throttled())),
            Some(WriteFault::SentTwice) => {
                let (first, inner) = (request.try_clone().unwrap(), self.inner.clone());
                HttpConnectorFuture::new(async move {
                    inner.call(first).await?;
                    inner.call(request).await
                })
            }
            Some(WriteFault::ServerError) => {
                let response = refused(500, "com.amazonaws.dynamodb.v20120810#InternalServerError");
                HttpConnectorFuture::ready(Ok(response))
            }
            Some(WriteFault::CrashAfter | WriteFault::AnswerLost) => {
                let made = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    made.await?;
                    Err(lost())
                })
            }
        }
    }
}

/// The response to a request that is throttled.
pub(crate) fn throttled() -> HttpResponse {
    refused(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException")
}

/// An error response of DynamoDB.
fn refused(status: u16, kind: &str) -> HttpResponse {
    let body = format!(r#"{{"__type":"{kind}","message":"not now"}}"#);
    let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}
