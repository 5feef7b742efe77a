use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, Url};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tracing::error;

use super::super::intent::Intent;
use super::answer::{ErrorBody, Meaning, meaning};
use super::secrets::{Keys, Secrets, StripeSecrets};
use super::{Misconfigured, Payment, Silence};

/// The API as we know it. A webhook endpoint has a version of its own, which should be this one.
const VERSION: &str = "2026-10-28.endive";

/// How long a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long what only prepares a charge may take at most, so that both fit into one request of ours.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer at most: some twenty times what a full page of payments has.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Characters of an id of Stripe's.
const ID_CHARS_MAX: usize = 255;

/// A name and its value, as a form has them.
pub(super) type Field = (&'static str, String);

/// What sends requests to Stripe.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    secrets: Secrets,
    /// How long what only prepares a charge may take.
    prepare_timeout: Duration,
}

/// What came back, whole.
pub(super) struct Answer {
    status: u16,
    body: Vec<u8>,
    error: ErrorBody,
    /// Stripe's name for the request, by which its dashboard finds it.
    request: String,
    /// When it was written, by the other side's clock.
    pub(super) date: Option<DateTime<Utc>>,
}

/// Whether a text may be an id of Stripe's, and stand in a path.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(fits)
}

impl Client {
    pub(super) fn new(base: &str, source: StripeSecrets, timeout: Duration) -> Result<Self, Misconfigured> {
        let base = Url::parse(base).map_err(|_| Misconfigured("the address of Stripe's API is no URL"))?;
        if !is_private(&base) {
            return Err(Misconfigured("Stripe's API must be at https, or at http on this machine"));
        }
        let http = reqwest::Client::builder()
            .user_agent("scrip")
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            // A key must not follow where an answer sends it.
            .redirect(Policy::none())
            // Whoever asks repeats, under the same idempotency key.
            .retry(reqwest::retry::never())
            // A function sleeps between two calls, and a connection that has slept may be dead.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|_| Misconfigured("there is no TLS on this machine"))?;
        Ok(Self { http, base, secrets: Secrets::new(source)?, prepare_timeout: timeout.min(PREPARE_TIMEOUT) })
    }

    /// The keys, as they are now.
    pub(super) async fn keys(&self) -> Result<Arc<Keys>, Silence> {
        self.secrets.keys().await
    }

    pub(super) async fn get(&self, path: &[&str], query: &[Field]) -> Result<Answer, Silence> {
        self.send(self.http.get(self.url(path)).query(query)).await
    }

    /// Posts a form; under `key`, however often it is sent, it is done once.
    pub(super) async fn post(
        &self,
        path: &[&str],
        form: &[Field],
        key: Option<&str>,
    ) -> Result<Answer, Silence> {
        let request = self.http.post(self.url(path)).form(form);
        self.send(key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key))).await
    }

    /// Posts what does no harm when it is done twice, ahead of a charge.
    pub(super) async fn prepare(&self, path: &[&str], form: &[Field]) -> Result<Answer, Silence> {
        self.send(self.http.post(self.url(path)).timeout(self.prepare_timeout).form(form)).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        url
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, Silence> {
        let keys = self.keys().await?;
        let request = request.bearer_auth(keys.api_key.expose_secret()).header("Stripe-Version", VERSION);
        let response = request.send().await.map_err(|error| broken(&error))?;
        let answer = Answer::of(response).await?;
        if answer.status == 401 {
            self.secrets.forget();
        }
        if answer.meaning() == Meaning::Mend {
            let (status, request) = (answer.status, &answer.request);
            let (code, param) = (answer.error.code(), answer.error.param());
            error!(
                status,
                request, code, param, "Stripe refuses us, not the customer: look the request up there"
            );
        }
        Ok(answer)
    }
}

impl Answer {
    async fn of(mut response: Response) -> Result<Self, Silence> {
        let (status, headers) = (response.status().as_u16(), response.headers());
        let request = text(headers, "request-id").unwrap_or_default().to_owned();
        let date = text(headers, DATE.as_str()).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let date = date.map(|date| date.to_utc());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(Silence("its answer is too long".into()));
            }
            body.extend_from_slice(&chunk);
        }
        let error = if status == 200 { ErrorBody::default() } else { ErrorBody::read(&body) };
        Ok(Self { status, body, error, request, date })
    }

    /// What it means for what was asked.
    pub(super) fn meaning(&self) -> Meaning {
        meaning(self.status, &self.error)
    }

    /// Why it is no success.
    pub(super) fn error(&self) -> &ErrorBody {
        &self.error
    }

    /// The object that a success carries.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Silence> {
        if self.meaning() != Meaning::Done {
            return Err(self.silence());
        }
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(&mut json)
            .map_err(|error| Silence(format!("its answer does not read at {}", error.path())))
    }

    /// The payment that a success carries.
    pub(super) fn payment(&self) -> Result<Payment, Silence> {
        self.read::<Intent>()?.payment().map_err(|unknown| Silence(unknown.to_string()))
    }

    /// Whether what was asked for by its id does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.status == 404 && self.error.is_missing()
    }

    /// Whether all of a payment was given back before.
    pub(super) fn is_refunded_before(&self) -> bool {
        self.status == 400 && self.error.code() == Some("charge_already_refunded")
    }

    /// The refusal in a word.
    pub(super) fn refusal(&self) -> String {
        self.error.decline().reason
    }

    /// That it says nothing of what was asked. Words of Stripe's are left out: they may quote anything.
    pub(super) fn silence(&self) -> Silence {
        let code = self.error.code().or(self.error.kind()).unwrap_or("no code");
        Silence(format!("it answered {} with {code} to {}", self.status, self.request))
    }
}

/// Whether nobody can listen on the way there.
fn is_private(base: &Url) -> bool {
    let is_here = matches!(base.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    base.scheme() == "https" || (base.scheme() == "http" && is_here)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn broken(error: &reqwest::Error) -> Silence {
    let words = match (error.is_connect(), error.is_timeout()) {
        (true, _) => "it could not be reached",
        (false, true) => "it took too long",
        (false, false) => "the connection broke",
    };
    Silence(words.into())
}
