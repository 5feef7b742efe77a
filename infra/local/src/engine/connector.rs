//! The SDK's requests, taken to the engine without a socket.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use dynoxide::Database;
use tokio::sync::oneshot;

use super::Engine;
use super::answer::answer;

/// Never resolved (RFC 2606), so a client that lost its connector fails instead of leaving the machine.
const ENDPOINT: &str = "http://engine.invalid";

/// The engine checks that a request is signed, not by whom.
const KEY: &str = "local";

/// One request and the place where its answer is awaited.
struct Job {
    request: HttpRequest,
    reply: oneshot::Sender<HttpResponse>,
}

/// The thread that does the engine's blocking work, in the order in which the requests came. One, since the
/// database has one lock. Dropping it waits for the request that it is at.
#[derive(Debug)]
pub(super) struct Worker {
    /// Taken on drop: the thread ends when there is nobody left to send.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(database: Database) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            for Job { request, reply } in queue {
                if reply.send(answer(&database, &request)).is_err() {
                    // As over a network: the caller gave up, the write stands.
                    tracing::debug!("nobody waited for the answer of the engine");
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let gone = || ConnectorError::io("the engine has stopped".into());
        let (reply, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(Job { request, reply }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the engine's thread panicked");
        }
    }
}

#[derive(Debug)]
struct Connector(Engine);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let engine = self.0.clone();
        HttpConnectorFuture::new(async move { engine.0.worker.answer(request).await })
    }
}

pub(super) fn client(engine: Engine) -> SharedHttpClient {
    let connector = SharedHttpConnector::new(Connector(engine));
    http_client_fn(move |_settings, _components| connector.clone())
}

pub(super) fn dynamodb_config(client: SharedHttpClient) -> aws_sdk_dynamodb::config::Builder {
    use aws_sdk_dynamodb::config::{
        BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
    };
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(KEY))
        .credentials_provider(Credentials::new(KEY, KEY, None, None, KEY))
        .endpoint_url(ENDPOINT)
        // An answer arrives whole or not at all.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(client)
}

pub(super) fn streams_config(client: SharedHttpClient) -> aws_sdk_dynamodbstreams::config::Builder {
    use aws_sdk_dynamodbstreams::config::{
        BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
    };
    Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(KEY))
        .credentials_provider(Credentials::new(KEY, KEY, None, None, KEY))
        .endpoint_url(ENDPOINT)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(client)
}
