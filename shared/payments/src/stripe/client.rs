//! The HTTP client for Stripe's API.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, Url};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tracing::error;

use super::intent::PaymentIntent;
use super::meaning::{ErrorBody, Meaning, meaning};
use super::secrets::{KeySource, StripeKeys, StripeSecrets};
use super::{Misconfigured, NoAnswer, Payment};

/// The API version. The webhook endpoint is configured with a version of its own, which should be this one.
const VERSION: &str = "2026-10-28.endive";

/// The timeout of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The maximum timeout of a call that prepares a charge, so that both calls fit into one request of ours.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum size of a response, in bytes: about twenty times a full page of payments.
const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The maximum length of an id of Stripe.
const ID_CHARS_MAX: usize = 255;

/// The name and value of a form field.
pub(super) type FormField = (&'static str, String);

/// The HTTP client.
pub(super) struct StripeClient {
    http: reqwest::Client,
    base: Url,
    secrets: KeySource,
    /// The timeout of a call that prepares a charge.
    prepare_timeout: Duration,
}

/// A complete response.
pub(super) struct StripeResponse {
    status: u16,
    body: Vec<u8>,
    error: ErrorBody,
    /// The request id, which finds the request in Stripe's dashboard.
    request: String,
    /// When the response was sent, by Stripe's clock.
    pub(super) date: Option<DateTime<Utc>>,
}

/// Whether a text can be an id of Stripe and a path segment.
pub(super) fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(fits)
}

impl StripeClient {
    pub(super) fn new(base: &str, source: StripeSecrets, timeout: Duration) -> Result<Self, Misconfigured> {
        let base = Url::parse(base).map_err(|_| Misconfigured("the address of Stripe's API is not a URL"))?;
        if !is_secure(&base) {
            return Err(Misconfigured("Stripe's API must be at https, or at http on this machine"));
        }
        let http = reqwest::Client::builder()
            .user_agent("scrip")
            .timeout(timeout)
            .connect_timeout(CONNECT_TIMEOUT)
            // The API key must not follow a redirect.
            .redirect(Policy::none())
            // Callers repeat requests, under the same idempotency key.
            .retry(reqwest::retry::never())
            // A Lambda function is frozen between calls, so a pooled connection may be dead.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|_| Misconfigured("TLS is not available on this machine"))?;
        Ok(Self {
            http,
            base,
            secrets: KeySource::new(source)?,
            prepare_timeout: timeout.min(PREPARE_TIMEOUT),
        })
    }

    /// The current keys.
    pub(super) async fn keys(&self) -> Result<Arc<StripeKeys>, NoAnswer> {
        self.secrets.keys().await
    }

    pub(super) async fn get(&self, path: &[&str], query: &[FormField]) -> Result<StripeResponse, NoAnswer> {
        self.send(self.http.get(self.url(path)).query(query)).await
    }

    /// Posts a form. With an idempotency `key`, repeated posts take effect once.
    pub(super) async fn post(
        &self,
        path: &[&str],
        form: &[FormField],
        key: Option<&str>,
    ) -> Result<StripeResponse, NoAnswer> {
        let request = self.http.post(self.url(path)).form(form);
        self.send(key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key))).await
    }

    /// Posts a form before a charge, with a short timeout. It must be harmless when repeated.
    pub(super) async fn prepare(
        &self,
        path: &[&str],
        form: &[FormField],
    ) -> Result<StripeResponse, NoAnswer> {
        self.send(self.http.post(self.url(path)).timeout(self.prepare_timeout).form(form)).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        url
    }

    async fn send(&self, request: RequestBuilder) -> Result<StripeResponse, NoAnswer> {
        let keys = self.keys().await?;
        let request = request.bearer_auth(keys.api_key.expose_secret()).header("Stripe-Version", VERSION);
        let response = request.send().await.map_err(|error| broken(&error))?;
        let response = StripeResponse::of(response).await?;
        if response.status == 401 {
            self.secrets.forget();
        }
        if response.meaning() == Meaning::Misconfigured {
            let (status, request) = (response.status, &response.request);
            let (code, param) = (response.error.code(), response.error.param());
            error!(
                status,
                request, code, param, "Stripe rejects our key or request; see the request in its dashboard"
            );
        }
        Ok(response)
    }
}

impl StripeResponse {
    async fn of(mut response: Response) -> Result<Self, NoAnswer> {
        let (status, headers) = (response.status().as_u16(), response.headers());
        let request = text(headers, "request-id").unwrap_or_default().to_owned();
        let date = text(headers, DATE.as_str()).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let date = date.map(|date| date.to_utc());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len().saturating_add(chunk.len()) > RESPONSE_BYTES_MAX {
                return Err(NoAnswer("its answer is too long".into()));
            }
            body.extend_from_slice(&chunk);
        }
        let error = if status == 200 { ErrorBody::default() } else { ErrorBody::read(&body) };
        Ok(Self { status, body, error, request, date })
    }

    /// What the response means for the request.
    pub(super) fn meaning(&self) -> Meaning {
        meaning(self.status, &self.error)
    }

    /// The error body.
    pub(super) fn error(&self) -> &ErrorBody {
        &self.error
    }

    /// The object in a successful response.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, NoAnswer> {
        if self.meaning() != Meaning::Done {
            return Err(self.no_answer());
        }
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(&mut json)
            .map_err(|error| NoAnswer(format!("its answer is not readable at {}", error.path())))
    }

    /// The payment in a successful response.
    pub(super) fn payment(&self) -> Result<Payment, NoAnswer> {
        self.read::<PaymentIntent>()?.payment().map_err(|unknown| NoAnswer(unknown.to_string()))
    }

    /// Whether the requested object does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.status == 404 && self.error.is_missing()
    }

    /// Whether all of the payment is refunded already.
    pub(super) fn is_refunded_before(&self) -> bool {
        self.status == 400 && self.error.code() == Some("charge_already_refunded")
    }

    /// The reason of a refusal, as a code.
    pub(super) fn refusal(&self) -> String {
        self.error.decline().reason
    }

    /// The error for an unknown result. It omits Stripe's message, which may quote anything.
    pub(super) fn no_answer(&self) -> NoAnswer {
        let code = self.error.code().or(self.error.kind()).unwrap_or("no code");
        NoAnswer(format!("it answered {} with {code} to {}", self.status, self.request))
    }
}

/// Whether the connection is encrypted or stays on this machine.
fn is_secure(base: &Url) -> bool {
    let is_here = matches!(base.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    base.scheme() == "https" || (base.scheme() == "http" && is_here)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn broken(error: &reqwest::Error) -> NoAnswer {
    let words = match (error.is_connect(), error.is_timeout()) {
        (true, _) => "it could not be reached",
        (false, true) => "it took too long",
        (false, false) => "the connection broke",
    };
    NoAnswer(words.into())
}
