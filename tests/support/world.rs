//! The local machine of a test, and calls to it over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use local::{Data, Machine, Options, Seed};
use reqwest::{Client, Method, RequestBuilder};
use scrip_webhooks::Limits;
use serde_json::{Value, json};

/// Past this nobody waits any more for what should have happened: longer than it takes on the slowest machine.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// How often a GET is sent again that the machine was too busy to answer.
const RESENDINGS: usize = 5;

/// A local machine, and a client to call it with.
pub struct World {
    /// The machine, in this process.
    pub machine: Machine,
    client: Client,
}

/// What a call was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null when it is no JSON.
    pub body: Value,
    /// The headers, by lower-case name.
    pub headers: Vec<(String, String)>,
}

/// An organisation of one's own and its keys.
#[derive(Clone, Debug)]
pub struct Org {
    /// `org_…`
    pub id: String,
    /// A live key that may do everything.
    pub key: String,
}

/// The scopes of a key that may do everything on a plan with API access.
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

    /// The same on a DynamoDB that the test has in hand too.
    pub async fn on(endpoint: &str, now: &str) -> Self {
        Self::start(Some(now.parse().unwrap()), Some(endpoint.to_owned())).await
    }

    /// A machine with the demo data that waits for webhooks for as long as any test may take.
    pub async fn patient() -> Self {
        let options = Options { port: 0, data: Data::Memory, seed: Seed::Demo, now: None, endpoint: None };
        let limits = Limits { whole: PATIENCE, connect: PATIENCE };
        Self::of(Machine::start_with(options, limits).await.unwrap()).await
    }

    async fn start(now: Option<DateTime<Utc>>, endpoint: Option<String>) -> Self {
        let options = Options { port: 0, data: Data::Memory, seed: Seed::Demo, now, endpoint };
        Self::of(Machine::start(options).await.unwrap()).await
    }

    /// Waits until the events of the demo data are out, so that no webhook of a test is sent them.
    async fn of(machine: Machine) -> Self {
        let world = Self { machine, client: client() };
        world.settle().await;
        world
    }

    /// The demo organisation's live key.
    pub fn key(&self) -> &str {
        self.machine.keys.api_key.as_deref().unwrap()
    }

    /// Its test key.
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

    /// A request, to be added to.
    pub fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.machine.base_url()));
        if key.is_empty() { request } else { request.bearer_auth(key) }
    }

    /// GET. What a busy machine cannot read now is asked for again, as the answer's `Retry-After` says.
    pub async fn get(&self, path: &str, key: &str) -> Answer {
        for _ in 0..RESENDINGS {
            let answer = send(self.request(Method::GET, path, key)).await;
            if !answer.is_temporary() {
                return answer;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        send(self.request(Method::GET, path, key)).await
    }

    /// POST of `body` under an idempotency key, if it is not empty.
    pub async fn post(&self, path: &str, key: &str, name: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path, key).json(body);
        send(if name.is_empty() { request } else { request.header("Idempotency-Key", name) }).await
    }

    /// POST without an idempotency key.
    pub async fn post_plain(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path, "").json(body)).await
    }

    /// PUT of `body`, which needs no idempotency key.
    pub async fn put(&self, path: &str, key: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path, key).json(body)).await
    }

    /// Any call under an idempotency key.
    pub async fn call(&self, method: Method, path: &str, key: &str, (name, body): (&str, &Value)) -> Answer {
        let request = self.request(method, path, key).header("Idempotency-Key", name);
        send(if body.is_null() { request } else { request.json(body) }).await
    }

    /// PATCH of `body`.
    pub async fn patch(&self, path: &str, key: &str, body: &Value) -> Answer {
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

    /// Lets time pass, and what falls due with it.
    pub async fn pass(&self, seconds: u64) {
        self.post_plain("/_local/clock", &json!({ "advanceSeconds": seconds })).await.data();
    }

    /// DELETE.
    pub async fn delete(&self, path: &str, key: &str) -> Answer {
        send(self.request(Method::DELETE, path, key)).await
    }

    /// Charges an operation under an idempotency key.
    pub async fn consume(&self, key: &str, name: &str, body: &Value) -> Answer {
        self.post("/api/v3/credits/consume", key, name, body).await
    }

    /// The balance object.
    pub async fn balance(&self, key: &str) -> Value {
        self.get("/api/v3/credits/balance", key).await.data()
    }

    /// An organisation of one's own on the professional plan, which may change it itself.
    pub async fn open(&self, allowance: u64) -> Org {
        let body = json!({ "name": "Own", "plan": "professional", "allowance": allowance, "selfServicePlans": true });
        let id = self.post("/admin/v1/organisations", self.operator(), &unique(), &body).await.created();
        let id = id["organisationId"].as_str().unwrap().to_owned();
        let path = format!("/admin/v1/organisations/{id}/keys");
        let body = json!({ "mode": "live", "scopes": EVERY_SCOPE });
        let key = self.post(&path, self.operator(), &unique(), &body).await.created();
        Org { id, key: key["key"].as_str().unwrap().to_owned() }
    }

    /// Gives credits to an organisation.
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

    /// Waits until the stream is worked off.
    pub async fn settle(&self) {
        self.post_plain("/_local/settle", &json!({})).await.data();
    }
}

impl Answer {
    /// The data of a success.
    #[track_caller]
    pub fn data(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        assert_eq!(self.body["success"], json!(true), "{self:?}");
        self.body["data"].clone()
    }

    /// Whether the machine was too busy to read: a client sends the same request again.
    fn is_temporary(&self) -> bool {
        self.status == 503 && self.body["error"]["code"] == json!("TEMPORARILY_UNAVAILABLE")
    }

    /// The data of a 201.
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

/// A transaction by itself as a list tells it: without what only explains it further.
pub fn line_of(receipt: &Value) -> Value {
    let mut line = receipt.clone();
    for further in ["unitPrice", "balanceBefore", "balance", "refundable", "keyId", "requestId", "proof"] {
        line.as_object_mut().unwrap().remove(further);
    }
    line
}

/// Sends a request as it is.
pub async fn send(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = |value: &reqwest::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = answer.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
    Answer { status, body, headers }
}

/// An idempotency key that no other request of this process has.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("own-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A client that waits for an answer, but not for ever.
pub fn client() -> Client {
    Client::builder().timeout(PATIENCE).build().unwrap()
}
