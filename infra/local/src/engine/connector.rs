//! Hands the SDK's requests to the engine without a socket.

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

/// A name that never resolves (RFC 2606), so a client without the connector fails instead of leaving the machine.
const ENDPOINT: &str = "http://engine.invalid";

/// Any region and credentials will do: the engine checks only that a request is signed.
const KEY: &str = "local";

/// A request, and the channel that takes its answer.
struct EngineRequest {
    request: HttpRequest,
    reply: oneshot::Sender<HttpResponse>,
}

/// The thread that does the engine's blocking work, one request after the other, because the database has one lock.
/// Dropping it waits for the present request.
#[derive(Debug)]
pub(super) struct EngineThread {
    /// Taken on drop, which ends the thread.
    jobs: Option<mpsc::Sender<EngineRequest>>,
    thread: Option<JoinHandle<()>>,
}

impl EngineThread {
    pub(super) fn start(database: Database) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<EngineRequest>();
        let thread = std::thread::Builder::new().name("engine".to_owned()).spawn(move || {
            for EngineRequest { request, reply } in queue {
                if reply.send(answer(&database, &request)).is_err() {
                    // As over a network: the caller has given up, and the write stands.
                    tracing::debug!("the caller has given up waiting for the engine's answer");
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let gone = || ConnectorError::io("the engine has stopped".into());
        let (reply, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(EngineRequest { request, reply }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

impl Drop for EngineThread {
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
        // An answer arrives whole or not at all, so no stream can stall.
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
