//! `localstripe`, an independent implementation of Stripe. It refuses parameters that it does not know, so a proxy
//! removes them; it does not support idempotency keys.

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use domain::OrgId;
use scrip_http::{Clock, SystemClock};
use scrip_payments::{ChargeOrder, PaymentStatus, Provider, ProviderEvent};
use serde_json::Value;
use store::random;
use tests::PATIENCE;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use super::contract::{Keeps, StripeUnderTest};
use super::{SECRET, client, order};

/// A key in the format that it accepts.
const API_KEY: &str = "sk_test_local";

/// Parameters that it refuses.
const UNKNOWN: [&str; 5] =
    ["description", "return_url", "error_on_requires_action", "created[gte]", "created[lte]"];

/// The running proxy; dropping it stops it.
pub(super) struct LocalstripeProxy(JoinHandle<()>);

impl Drop for LocalstripeProxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A client and its cards, if `localstripe` is available.
pub(super) async fn wire() -> Option<StripeUnderTest> {
    let base = std::env::var("SCRIP_LOCALSTRIPE").ok()?;
    let (url, filter) = filter(&base).await;
    let stripe = client(&url, API_KEY, None);
    let now = SystemClock.now();
    let customer =
        stripe.create_customer(OrgId::new(now, random()), "Acme Compliance").await.unwrap().unwrap();
    Some(StripeUnderTest {
        name: "localstripe",
        stripe,
        customer,
        now,
        good: card(&base, "4242424242424242").await,
        declined: card(&base, "4000000000000341").await,
        waiting: card(&base, "4000002500003155").await,
        _keeps: Keeps::Proxy { _proxy: filter },
    })
}

async fn card(base: &str, number: &str) -> String {
    let form = [
        ("type", "card"),
        ("card[number]", number),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2040"),
        ("card[cvc]", "123"),
    ];
    let made = tests::client()
        .post(format!("{base}/v1/payment_methods"))
        .bearer_auth(API_KEY)
        .form(&form)
        .send()
        .await;
    let made: Value = made.unwrap().json().await.unwrap();
    made["id"].as_str().unwrap().to_owned()
}

/// Starts a proxy in front of `base` that removes unknown parameters.
async fn filter(base: &str) -> (String, LocalstripeProxy) {
    let router = Router::new().fallback(pass).with_state(base.to_owned());
    let (url, serving) = listen(router).await;
    (url, LocalstripeProxy(serving))
}

async fn listen(router: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

async fn pass(State(base): State<String>, request: Request) -> Response {
    type Parameters = Vec<(String, String)>;
    let (parts, body) = request.into_parts();
    let sent = to_bytes(body, 1 << 20).await.unwrap();
    let is_list = parts.method == Method::GET && parts.uri.path() == "/v1/payment_intents";
    let read = |bytes: &[u8]| -> Parameters {
        let form: Parameters = serde_urlencoded::from_bytes(bytes).unwrap();
        let knows = |name: &str| !(UNKNOWN.contains(&name) || is_list && name == "customer");
        form.into_iter().filter(|(name, _)| knows(name)).collect()
    };
    let query = read(parts.uri.query().unwrap_or_default().as_bytes());
    let request = tests::client().request(parts.method.clone(), format!("{base}{}", parts.uri.path()));
    let request = request.query(&query).header("authorization", &parts.headers["authorization"]);
    let request = if parts.method == Method::POST { request.form(&read(&sent)) } else { request };
    let answer = request.send().await.unwrap();
    let (status, date) = (answer.status(), answer.headers()["date"].clone());
    (status, [("date", date)], answer.bytes().await.unwrap()).into_response()
}

#[tokio::test]
async fn its_events_are_accepted() {
    let Some(wire) = wire().await else { return };
    let base = std::env::var("SCRIP_LOCALSTRIPE").unwrap();
    let (say, mut hear) = unbounded_channel();
    let take =
        async |State(say): State<UnboundedSender<(String, Bytes)>>, headers: HeaderMap, body: Bytes| {
            say.send((headers["stripe-signature"].to_str().unwrap().to_owned(), body)).unwrap();
            StatusCode::OK
        };
    let (url, listening) = listen(Router::new().fallback(take).with_state(say)).await;
    let webhook = [("url", url.as_str()), ("secret", SECRET)];
    let name = format!("{base}/_config/webhooks/scrip-{:x}", random());
    assert!(tests::client().post(name).form(&webhook).send().await.unwrap().status().is_success());
    let order = ChargeOrder { made_at: wire.now, ..order(&wire.customer, &wire.good) };
    wire.stripe.charge(&order).await.unwrap();
    let reported = async {
        loop {
            let (header, body) = hear.recv().await.unwrap();
            let event = wire.stripe.event(&header, &body, SystemClock.now()).await.unwrap();
            // Other tests use the same server.
            if let Some(ProviderEvent::Payment(payment)) = event
                && payment.purchase == Some(order.purchase)
            {
                let mut forged = body.to_vec();
                forged[0] ^= 1;
                assert!(wire.stripe.event(&header, &forged, SystemClock.now()).await.is_err());
                return payment.status;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, reported).await.unwrap(), PaymentStatus::Succeeded);
    listening.abort();
}
