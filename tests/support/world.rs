//! The local machine of a test, and calls to it over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use local::{DataLocation, LocalMachine, Options, Seed};
use reqwest::{Client, Method, RequestBuilder};
use scrip_webhooks::PostTimeouts;
use serde_json::{Value, json};

use crate::ApiRequest;

/// The longest time that a test waits for anything: longer than it takes on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// How often a GET is repeated that the machine was too busy to answer.
const RESENDINGS: usize = 5;

/// A local machine, and a client to call it with.
pub struct World {
    /// The machine, in this process.
    pub machine: LocalMachine,
    client: Client,
}

/// The answer of a call.
#[derive(Clone, Debug)]
pub struct ApiAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null if it is not JSON.
    pub body: Value,
    /// The headers, with lower-case names.
    pub headers: Vec<(String, String)>,
}

/// An organisation of the test, and its key.
#[derive(Clone, Debug)]
pub struct Org {
    /// `org_…`
    pub id: String,
    /// A live key with every scope.
    pub key: String,
}

/// Every scope of an API key on a plan with API access.
pub const EVERY_SCOPE: [&str; 6] =
    ["credits:read", "credits:consume", "credits:purchase", "credits:refund", "settings:write", "team:write"];

impl World {
    /// A machine with the demo data, in memory.
    pub async fn demo() -> Self {
        Self::start(None, None).await
    }

    /// A machine whose clock stands still at `now`.
    pub async fn at(now: &str) -> Self {
        Self::start(Some(now.parse().unwrap()), None).await
    }

    /// A machine on the DynamoDB at `endpoint`, which the test can change.
    pub async fn on(endpoint: &str, now: &str) -> Self {
        Self::start(Some(now.parse().unwrap()), Some(endpoint.to_owned())).await
    }

    /// A machine with the demo data that waits for webhook endpoints as long as a test may take.
    pub async fn patient() -> Self {
        let options = Options {
            port: 0,
            data: DataLocation::Memory,
            seed: Seed::Demo,
            now: None,
            mail: false,
            endpoint: None,
        };
        let limits = PostTimeouts { whole: PATIENCE, connect: PATIENCE };
        Self::running(LocalMachine::start_with(options, limits).await.unwrap()).await
    }

    /// A machine that sends mails, to `/_local/mail`.
    pub async fn with_mail(now: &str) -> Self {
        let now = Some(now.parse().unwrap());
        let options = Options {
            port: 0,
            data: DataLocation::Memory,
            seed: Seed::Demo,
            now,
            mail: true,
            endpoint: None,
        };
        Self::running(LocalMachine::start(options).await.unwrap()).await
    }

    async fn start(now: Option<DateTime<Utc>>, endpoint: Option<String>) -> Self {
        let options =
            Options { port: 0, data: DataLocation::Memory, seed: Seed::Demo, now, mail: false, endpoint };
        Self::running(LocalMachine::start(options).await.unwrap()).await
    }

    /// The world of a machine. Waits until the events of its first data are delivered, so that no webhook of a test gets
    /// them.
    pub async fn running(machine: LocalMachine) -> Self {
        let world = Self { machine, client: client() };
        world.settle().await;
        world
    }

    /// The demo organisation's live key.
    pub fn key(&self) -> &str {
        self.machine.keys.api_key.as_deref().unwrap()
    }

    /// The demo organisation's test key.
    pub fn test_key(&self) -> &str {
        self.machine.keys.test_key.as_deref().unwrap()
    }

    /// The operator's key.
    pub fn operator(&self) -> &str {
        &self.machine.keys.operator_key
    }

    /// The demo organisation.
    pub fn org(&self) -> &str {
        self.machine.keys.organisation_id.as_deref().unwrap()
    }

    /// A request that the test may add to.
    pub fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.machine.base_url()));
        if key.is_empty() { request } else { request.bearer_auth(key) }
    }

    /// GET. A request that the machine is too busy to answer is repeated, as its `Retry-After` says.
    pub async fn get(&self, path: &str, key: &str) -> ApiAnswer {
        for _ in 0..RESENDINGS {
            let answer = send(self.request(Method::GET, path, key)).await;
            if !answer.is_temporary() {
                return answer;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        send(self.request(Method::GET, path, key)).await
    }

    /// POST of `body`, under an idempotency key unless that is empty.
    pub async fn post(&self, path: &str, key: &str, name: &str, body: &Value) -> ApiAnswer {
        let request = self.request(Method::POST, path, key).json(body);
        send(if name.is_empty() { request } else { request.header("Idempotency-Key", name) }).await
    }

    /// POST without an idempotency key.
    pub async fn post_plain(&self, path: &str, body: &Value) -> ApiAnswer {
        send(self.request(Method::POST, path, "").json(body)).await
    }

    /// PUT of `body`, which needs no idempotency key.
    pub async fn put(&self, path: &str, key: &str, body: &Value) -> ApiAnswer {
        send(self.request(Method::PUT, path, key).json(body)).await
    }

    /// A call of any method.
    pub async fn call(&self, call: &ApiRequest<'_>) -> ApiAnswer {
        let mut request = self.request(call.method.clone(), call.path, call.api_key);
        if let Some(key) = call.idempotency_key {
            request = request.header("Idempotency-Key", key);
        }
        send(match call.body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// PATCH of `body`.
    pub async fn patch(&self, path: &str, key: &str, body: &Value) -> ApiAnswer {
        send(self.request(Method::PATCH, path, key).json(body)).await
    }

    /// Every event of the feed, in order.
    pub async fn events(&self, key: &str) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), "0".to_owned());
        loop {
            let page = self.get(&format!("/api/v3/events?after={after}"), key).await;
            events.extend(page.data().as_array().unwrap().clone());
            match page.body["meta"]["pagination"]["nextCursor"].as_str() {
                Some(next) => after = next.to_owned(),
                None => return events,
            }
        }
    }

    /// Advances the clock and runs what is due.
    pub async fn pass(&self, seconds: u64) {
        self.post_plain("/_local/clock", &json!({ "advanceSeconds": seconds })).await.data();
    }

    /// DELETE.
    pub async fn delete(&self, path: &str, key: &str) -> ApiAnswer {
        send(self.request(Method::DELETE, path, key)).await
    }

    /// POST of a debit under an idempotency key.
    pub async fn consume(&self, key: &str, name: &str, body: &Value) -> ApiAnswer {
        self.post("/api/v3/credits/consume", key, name, body).await
    }

    /// The balance object.
    pub async fn balance(&self, key: &str) -> Value {
        self.get("/api/v3/credits/balance", key).await.data()
    }

    /// Opens an organisation on the professional plan, which may change its plan itself.
    pub async fn open(&self, allowance: u64) -> Org {
        let body = json!({ "name": "Own", "plan": "professional", "allowance": allowance, "selfServicePlans": true });
        let id = self.post("/admin/v1/organisations", self.operator(), &unique(), &body).await.created();
        let id = id["organisationId"].as_str().unwrap().to_owned();
        let path = format!("/admin/v1/organisations/{id}/keys");
        let body = json!({ "mode": "live", "scopes": EVERY_SCOPE });
        let key = self.post(&path, self.operator(), &unique(), &body).await.created();
        Org { id, key: key["key"].as_str().unwrap().to_owned() }
    }

    /// Grants credits to an organisation.
    pub async fn grant(&self, org: &str, body: &Value) -> Value {
        self.post(&format!("/admin/v1/organisations/{org}/grants"), self.operator(), &unique(), body)
            .await
            .created()
    }

    /// Every transaction, page by page, newest first.
    pub async fn transactions(&self, key: &str, query: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/api/v3/credits/transactions?{query}{cursor}"), key).await;
            lines.extend(page.data().as_array().unwrap().clone());
            let pagination = &page.body["meta"]["pagination"];
            match pagination["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => {
                    assert_eq!(pagination["hasMore"], json!(false));
                    return lines;
                }
            }
        }
    }

    /// Waits until all background work is done.
    pub async fn settle(&self) {
        self.post_plain("/_local/settle", &json!({})).await.data();
    }
}

impl ApiAnswer {
    /// The `data` of a successful answer.
    #[track_caller]
    pub fn data(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        assert_eq!(self.body["success"], json!(true), "{self:?}");
        self.body["data"].clone()
    }

    /// Whether the machine was too busy, so that a client repeats the request.
    fn is_temporary(&self) -> bool {
        self.status == 503 && self.body["error"]["code"] == json!("TEMPORARILY_UNAVAILABLE")
    }

    /// The `data` of a 201.
    #[track_caller]
    pub fn created(&self) -> Value {
        assert_eq!(self.status, 201, "{self:?}");
        self.data()
    }

    /// Status and code of a failure: `402 INSUFFICIENT_CREDITS`.
    #[track_caller]
    pub fn failure(&self) -> String {
        assert_eq!(self.body["success"], json!(false), "{self:?}");
        assert!(self.body["error"]["message"].as_str().is_some_and(|words| words.len() > 10), "{self:?}");
        assert!(self.body["meta"]["requestId"].as_str().is_some_and(|id| id.starts_with("req_")), "{self:?}");
        format!("{} {}", self.status, self.body["error"]["code"].as_str().unwrap())
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A transaction as a list shows it: without the fields that only its own page has.
pub fn line_of(receipt: &Value) -> Value {
    let mut line = receipt.clone();
    for further in ["unitPrice", "balanceBefore", "balance", "refundable", "keyId", "requestId", "proof"] {
        line.as_object_mut().unwrap().remove(further);
    }
    line
}

/// Sends a request.
pub async fn send(request: RequestBuilder) -> ApiAnswer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
    ApiAnswer { status, body, headers }
}

/// A new idempotency key.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("own-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// An HTTP client with a timeout of [`PATIENCE`].
pub fn client() -> Client {
    Client::builder().timeout(PATIENCE).build().unwrap()
}
