//! The routes below `/_local/payments`: list charges, and act as the customer, the bank and the provider.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path};
use axum::response::Html;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use domain::{Currency, EntryId, Mode, OrgId, Reference};
use scrip_http::{ApiError, App, JsonBody, Reply, timestamp};
use scrip_payments::Simulated;
use scrip_payments::simulated::{
    ChargeChangeError, ChargeState, DisputeAction, SimulatedCharge, SimulatedDispute,
};
use serde::{Deserialize, Serialize};

use crate::error::machine_failed;

/// A page with a button that sends a POST to the page's own address.
const AUTHENTICATE_PAGE: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Authenticate the payment</title></head>
<body><h1>Authenticate the payment</h1><p>This is the simulated payment provider of the local machine.</p>
<form method="post"><button>Authenticate</button></form></body></html>
"#;

/// The router of the simulated payment provider.
pub(crate) fn routes(provider: Simulated) -> Router<Arc<App>> {
    Router::new()
        .route("/_local/payments", get(list))
        .route("/_local/payments/{transactionId}/authenticate", get(authenticate_page).post(authenticate))
        .route("/_local/payments/{transactionId}/dispute", post(dispute))
        .route("/_local/payments/{transactionId}/refund", post(refund))
        .layer(Extension(provider))
}

/// A charge, as these routes show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChargeView {
    transaction_id: EntryId,
    /// Minor units.
    amount: u64,
    currency: Currency,
    status: &'static str,
    payment_method: Reference,
    organisation_id: OrgId,
    livemode: bool,
    #[serde(with = "timestamp")]
    created_at: DateTime<Utc>,
    /// Whether the whole amount was refunded.
    refunded: bool,
    /// Minor units.
    amount_refunded: u64,
    dispute: Option<SimulatedDispute>,
    /// Minor units; null without a dispute.
    amount_disputed: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DisputeRequest {
    action: DisputeAction,
    /// Minor units; by default the whole payment. Read only when the dispute opens.
    amount: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundRequest {
    /// Minor units; by default what is left.
    amount: Option<u64>,
}

impl From<SimulatedCharge> for ChargeView {
    fn from(charge: SimulatedCharge) -> Self {
        let status = match charge.state {
            ChargeState::Processing => "processing",
            ChargeState::Waiting => "requires_action",
            ChargeState::Succeeded => "succeeded",
            ChargeState::Failed(_) => "failed",
            ChargeState::Cancelled => "canceled",
        };
        Self {
            transaction_id: charge.transaction,
            amount: charge.price.amount(),
            currency: charge.price.currency(),
            status,
            payment_method: charge.method.clone(),
            organisation_id: charge.organisation,
            livemode: charge.mode == Mode::Live,
            created_at: charge.created_at,
            refunded: charge.refunded,
            amount_refunded: charge.amount_refunded(),
            dispute: charge.dispute,
            amount_disputed: charge.dispute.map(|_| charge.disputed.unwrap_or_else(|| charge.price.amount())),
        }
    }
}

async fn list(Extension(provider): Extension<Simulated>) -> Result<Reply, ApiError> {
    let charges: Vec<_> = provider.charges().into_iter().map(ChargeView::from).collect();
    Reply::ok(&charges)
}

async fn authenticate(
    Extension(provider): Extension<Simulated>,
    Path(transaction): Path<String>,
) -> Result<Reply, ApiError> {
    let charge = provider.authenticate(parse_id(transaction)?).map_err(undone)?;
    Reply::ok(&ChargeView::from(charge))
}

/// The page that `nextAction.url` names. It shows nothing of the payment; its button sends the POST.
async fn authenticate_page() -> Html<&'static str> {
    Html(AUTHENTICATE_PAGE)
}

async fn dispute(
    Extension(provider): Extension<Simulated>,
    Path(transaction): Path<String>,
    JsonBody(wanted): JsonBody<DisputeRequest>,
) -> Result<Reply, ApiError> {
    let charge = provider.dispute_part(parse_id(transaction)?, wanted.action, wanted.amount);
    let charge = charge.map_err(undone)?;
    Reply::ok(&ChargeView::from(charge))
}

/// Refunds a payment as in the provider's own dashboard, without Scrip.
async fn refund(
    Extension(provider): Extension<Simulated>,
    Path(transaction): Path<String>,
    JsonBody(wanted): JsonBody<RefundRequest>,
) -> Result<Reply, ApiError> {
    let charge = provider.refund_amount(parse_id(transaction)?, wanted.amount).map_err(undone)?;
    Reply::ok(&ChargeView::from(charge))
}

fn parse_id(transaction: String) -> Result<EntryId, ApiError> {
    EntryId::try_from(transaction).map_err(|_| undone(ChargeChangeError::Unknown))
}

fn undone(problem: ChargeChangeError) -> ApiError {
    match problem {
        ChargeChangeError::Unknown => {
            ApiError::NotFound("the payment provider has no charge of this transaction")
        }
        ChargeChangeError::ChargeConflict(problem) => ApiError::Conflict(problem.0),
        ChargeChangeError::Silent(silence) => machine_failed(silence.into()),
    }
}

/// An order of £49 for tests.
#[cfg(test)]
pub(super) fn order(method: &str, number: u128, mode: Mode) -> scrip_payments::ChargeOrder {
    use domain::{AccountId, Money};

    let at = "2024-01-15T10:30:00.5Z".parse().unwrap();
    scrip_payments::ChargeOrder {
        purchase: scrip_payments::PurchaseId {
            account: AccountId { org: OrgId::new(at, 1), mode },
            transaction: EntryId::new(at, number),
        },
        customer: None,
        method: Reference::try_from(method.to_owned()).unwrap(),
        price: Money::new(4_900, Currency::try_from("GBP".to_owned()).unwrap()).unwrap(),
        description: "500 credits".to_owned(),
        off_session: false,
        made_at: at,
        payment: None,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::{Client, Method};
    use scrip_payments::Provider;
    use serde_json::{Value, json};

    use super::*;
    use crate::{DataLocation, LocalMachine, Options, Seed};

    /// A machine and a client that calls it.
    struct TestMachine {
        machine: LocalMachine,
        client: Client,
    }

    impl TestMachine {
        async fn new() -> Self {
            let now = Some("2024-01-15T10:30:00Z".parse().unwrap());
            let options = Options {
                port: 0,
                data: DataLocation::Memory,
                seed: Seed::Empty,
                now,
                mail: false,
                endpoint: None,
            };
            Self { machine: LocalMachine::start(options).await.unwrap(), client: Client::new() }
        }

        /// Charges by `method`, and returns the path of the payment.
        async fn order(&self, method: &str, number: u128, mode: Mode) -> String {
            let order = order(method, number, mode);
            self.machine.state().provider.charge(&order).await.ok();
            format!("/_local/payments/{}", order.purchase.transaction)
        }

        /// Status and data, or status and error code.
        async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
            let request = self.client.request(method, format!("{}{path}", self.machine.base_url()));
            let answer = request.json(body).send().await.unwrap();
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.unwrap();
            assert!(body["meta"]["requestId"].is_string(), "{body}");
            (
                status,
                if body["success"] == true { body["data"].clone() } else { body["error"]["code"].clone() },
            )
        }

        async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
            self.call(Method::POST, path, body).await
        }

        async fn charges(&self) -> Vec<Value> {
            let (status, data) = self.call(Method::GET, "/_local/payments", &Value::Null).await;
            assert_eq!(status, 200);
            data.as_array().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn charges_are_listed_newest_first_and_whole() {
        let machine = TestMachine::new().await;
        for (number, method) in (1u128..).zip(["card_visa", "card_declined", "card_timeout_uncharged"]) {
            machine.order(method, number, Mode::Live).await;
        }
        machine.order("card_authentication", 4, Mode::Test).await;
        machine.order("card_timeout_charged", 5, Mode::Test).await;
        let charges = machine.charges().await;
        let listed: Vec<_> =
            charges.iter().map(|charge| (charge["status"].as_str().unwrap(), &charge["livemode"])).collect();
        let (yes, no) = (json!(true), json!(false));
        assert_eq!(
            listed,
            [("succeeded", &no), ("requires_action", &no), ("failed", &yes), ("succeeded", &yes)]
        );
        let order = order("card_visa", 1, Mode::Live);
        let whole = json!({
            "transactionId": order.purchase.transaction, "amount": 4_900, "currency": "GBP", "status": "succeeded",
            "paymentMethod": "card_visa", "organisationId": order.purchase.account.org, "livemode": true,
            "createdAt": "2024-01-15T10:30:00Z", "refunded": false, "amountRefunded": 0, "dispute": null, "amountDisputed": null,
        });
        assert_eq!(charges.last(), Some(&whole));
    }

    #[tokio::test]
    async fn a_customer_authenticates_and_disputes() {
        let machine = TestMachine::new().await;
        let path = machine.order("card_authentication", 1, Mode::Live).await;
        let authenticate = format!("{path}/authenticate");
        for _ in 0..2 {
            let (status, charge) = machine.post(&authenticate, &json!({})).await;
            assert_eq!((status, &charge["status"]), (200, &json!("succeeded")));
        }
        let dispute = format!("{path}/dispute");
        for (action, expected) in [("open", "open"), ("open", "open"), ("lose", "lost")] {
            let (status, charge) = machine.post(&dispute, &json!({ "action": action })).await;
            assert_eq!((status, &charge["dispute"]), (200, &json!(expected)));
        }
        let conflict = (409, json!("CONFLICT"));
        assert_eq!(machine.post(&dispute, &json!({ "action": "win" })).await, conflict);
        let declined = machine.order("card_declined", 2, Mode::Live).await;
        assert_eq!(machine.post(&format!("{declined}/authenticate"), &json!({})).await, conflict);
        let invalid = (400, json!("VALIDATION_ERROR"));
        assert_eq!(machine.post(&dispute, &json!({ "action": "forget" })).await, invalid);
        assert_eq!(machine.post(&dispute, &json!({ "action": "open", "note": "" })).await, invalid);
        let unknown = (404, json!("NOT_FOUND"));
        let absent = order("card_visa", 99, Mode::Live).purchase.transaction;
        for path in ["/_local/payments/txn_1".to_owned(), format!("/_local/payments/{absent}")] {
            assert_eq!(machine.post(&format!("{path}/authenticate"), &json!({})).await, unknown);
            let open = json!({ "action": "open" });
            assert_eq!(machine.post(&format!("{path}/dispute"), &open).await, unknown);
        }
    }

    /// A payment event and a recharge message of an organisation that does not exist: both are still handled.
    #[tokio::test]
    async fn settling_waits_for_payment_events_and_recharges() {
        let machine = TestMachine::new().await;
        machine.order("card_visa", 1, Mode::Live).await;
        let account = order("card_visa", 1, Mode::Live).purchase.account;
        let background = &machine.machine.state().scheduler.background;
        assert!(background.recharges.send(scrip_payments::RechargeRequest { account }));
        assert_eq!(machine.post("/_local/settle", &json!({})).await, (200, json!({ "settled": true })));
        assert!(background.payment_events.counts().is_idle() && background.recharges.counts().is_idle());
        let (status, time) = machine.post("/_local/clock", &json!({ "advanceSeconds": 3_600 })).await;
        assert_eq!((status, time), (200, json!({ "now": "2024-01-15T11:30:00Z" })));
    }
}
