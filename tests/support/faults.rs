use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use tokio::sync::Semaphore;

/// What befalls a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process dies before it is sent.
    CrashBefore,
    /// The process dies after it was made, before the answer arrives.
    CrashAfter,
    /// It is made and its answer is lost; the process lives.
    AnswerLost,
    /// It is not made, and nothing says so; the process lives.
    RequestLost,
    /// It is refused because the table takes too much; the process lives.
    Throttled,
    /// It is not made, and the answer is an error that would allow for both; the process lives.
    ServerError,
    /// It is on its way for so long that others come first, until [`Faults::let_through`].
    Late,
}

/// A wire between the SDK and a DynamoDB, on which one write can be made to go wrong.
#[derive(Clone, Debug)]
pub struct Faults {
    inner: SharedHttpClient,
    script: Arc<Mutex<Script>>,
    late: Arc<Semaphore>,
}

#[derive(Debug)]
struct Wire {
    inner: SharedHttpConnector,
    faults: Faults,
}

#[derive(Debug, Default)]
struct Script {
    fault: Option<(usize, Kind)>,
    writes: usize,
    dead: bool,
}

impl Faults {
    /// A wire to whatever `client` leads to.
    pub fn on(client: SharedHttpClient) -> Self {
        Self { inner: client, script: Arc::default(), late: Arc::new(Semaphore::new(0)) }
    }

    /// The client that sends over this wire.
    pub fn client(&self) -> SharedHttpClient {
        let faults = self.clone();
        http_client_fn(move |settings, components| {
            let inner = faults.inner.http_connector(settings, components);
            SharedHttpConnector::new(Wire { inner, faults: faults.clone() })
        })
    }

    /// From now on the `number`-th write, counted from 0, goes wrong.
    pub fn arm(&self, number: usize, kind: Kind) {
        *self.script.lock().unwrap() = Script { fault: Some((number, kind)), ..Script::default() };
    }

    /// Lets the write arrive that is late.
    pub fn let_through(&self) {
        self.late.add_permits(1);
    }

    /// Ends the process: nothing that it sends arrives any more.
    pub fn kill(&self) {
        self.script.lock().unwrap().dead = true;
    }

    /// Whether the process has ended.
    pub fn is_dead(&self) -> bool {
        self.script.lock().unwrap().dead
    }

    /// How many writes were sent, or would have been, since the wire was armed.
    pub fn writes(&self) -> usize {
        self.script.lock().unwrap().writes
    }

    fn befalls(&self, request: &HttpRequest) -> Option<Kind> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let is_write = !["GetItem", "Query"].iter().any(|read| target.ends_with(read));
        let mut script = self.script.lock().unwrap();
        if script.dead {
            return Some(Kind::CrashBefore);
        }
        if !is_write {
            return None;
        }
        let number = script.writes;
        script.writes = script.writes.saturating_add(1);
        let (_, kind) = script.fault.filter(|(wanted, _)| *wanted == number)?;
        script.dead = matches!(kind, Kind::CrashBefore | Kind::CrashAfter);
        Some(kind)
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let lost = || ConnectorError::io("the wire was cut".into());
        match self.faults.befalls(&request) {
            None => self.inner.call(request),
            Some(Kind::CrashBefore | Kind::RequestLost) => HttpConnectorFuture::ready(Err(lost())),
            Some(Kind::Late) => {
                let (late, inner) = (self.faults.late.clone(), self.inner.clone());
                HttpConnectorFuture::new(async move {
                    late.acquire().await.unwrap().forget();
                    inner.call(request).await
                })
            }
            Some(Kind::Throttled) => {
                refused(400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException")
            }
            Some(Kind::ServerError) => refused(500, "com.amazonaws.dynamodb.v20120810#InternalServerError"),
            Some(Kind::CrashAfter | Kind::AnswerLost) => {
                let made = self.inner.call(request);
                HttpConnectorFuture::new(async move {
                    made.await?;
                    Err(lost())
                })
            }
        }
    }
}

/// An error as DynamoDB words it.
fn refused(status: u16, kind: &str) -> HttpConnectorFuture {
    let body = format!(r#"{{"__type":"{kind}","message":"not now"}}"#);
    let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    HttpConnectorFuture::ready(Ok(response))
}
