//! `POST /api/v3/credits/purchase`: buys credits, charged exactly once however often the request is retried.

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::{self, Account, Amount, ClaimKey, Money, Offer, PurchaseId, PurchaseStatus, Reference};
use scrip_http::{
    ApiError, App, BalanceView, Caller, IdempotencyHeader, Idempotent, NextActionView, Reply, may,
};
use scrip_payments::{Checkout, Deadline};
use serde::{Deserialize, Serialize};
use store::{ClaimedId, ClaimsOf, Fault, Unsettled};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(purchase))
}

/// The credits to buy: a package, or a number of credits.
#[derive(Deserialize, ToSchema)]
#[schema(as = Order)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "package": "starter", "paymentMethod": "card_xyz123" }))]
struct PurchaseRequest {
    /// A package that is on sale.
    #[schema(value_type = Option<String>)]
    package: Option<Reference>,
    /// A number of credits in place of a package, at the price per credit of the largest package that is not larger.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    amount: Option<Amount>,
    /// The payment provider's name for the payment method.
    #[schema(value_type = String)]
    payment_method: Reference,
}

/// The state of a purchase.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Purchased {
    /// `txn_…`
    transaction_id: String,
    /// approved: the credits are available; pending: the provider or the customer has not finished yet; failed.
    status: &'static str,
    /// The number of credits.
    credits: u64,
    /// The price: `amount` in minor units.
    #[schema(value_type = Object, example = json!({ "amount": 4900, "currency": "GBP" }))]
    price: Money,
    /// The package, if one was bought.
    package: Option<String>,
    payment_method: String,
    /// What the customer must do to finish the purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_action: Option<NextActionView>,
    /// The payment provider's receipt or invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    /// The balance right after the purchase; the present one while the purchase is pending. Null if it cannot be read.
    balance: Option<BalanceView>,
}

/// Buys credits, which never expire.
#[utoipa::path(
    post,
    path = "/api/v3/credits/purchase",
    tag = "credits",
    params(IdempotencyHeader),
    request_body = PurchaseRequest,
    responses(
        (status = 201, body = Purchased, description = "approved: the credits are available"),
        (status = 202, body = Purchased, description = "pending: `nextAction` is what the customer must do, if anything; GET …/transactions/{id} returns the outcome"),
        (status = 402, description = "PAYMENT_FAILED: `details` has `reason` and `declineCode`; nothing was charged. Try again under a new Idempotency-Key"),
        (status = 403, description = "SPENDING_LIMIT_REACHED: the purchase would exceed the daily spending limit; nothing was charged. ORGANISATION_FROZEN"),
        (status = 422, description = "PACKAGE_UNKNOWN: not on sale, or not in the organisation's own currency; IDEMPOTENCY_KEY_REUSED"),
    ),
)]
async fn purchase(
    State(app): State<Arc<App>>,
    caller: Caller<may::Buy>,
    intent: Idempotent<PurchaseRequest>,
) -> Result<Reply, ApiError> {
    let deadline = Deadline::of(caller.call.arrived);
    let order = CallersOrder {
        app: &app,
        checkout: Checkout { deadline, ..app.checkout(caller.account.mode) },
        caller: &caller,
    };
    // Nothing is charged before the purchase is started, so a request that is late until then is to be sent again.
    let prepared = deadline.work(Box::pin(order.prepare(intent))).await.map_err(ApiError::from)??;
    let (purchase, replayed) = order.carry_out(prepared).await?;
    order.answer(&purchase, replayed).await
}

/// The purchase of a caller, and what it is made with. One deadline holds for all of it.
struct CallersOrder<'a> {
    app: &'a App,
    checkout: Checkout<'a>,
    caller: &'a Caller<may::Buy>,
}

/// What a request asks for.
enum Prepared {
    /// A purchase that is to be started.
    New { purchase: Box<domain::Purchase>, replayed: bool },
    /// A purchase that an earlier attempt has started.
    Started(Box<domain::Purchase>),
}

impl CallersOrder<'_> {
    /// Prices the order and claims its key.
    async fn prepare(&self, intent: Idempotent<PurchaseRequest>) -> Result<Prepared, ApiError> {
        let (app, caller, moment) = (self.app, self.caller, self.caller.call.moment);
        let (of, key) = (ClaimsOf::Account(caller.account), ClaimKey::Caller(intent.key));
        let offer = match self.offer(&intent.body).await {
            Ok(offer) => offer,
            // An earlier attempt may have bought it while it was on sale.
            Err(ApiError::Unsettled(Unsettled::Refused(refusal))) => {
                let made = app.ledger.made_before(of, &key, &intent.fingerprint, moment).await?;
                let Some(made) = made else { return Err(refusal.into()) };
                return self.started(made).await?.ok_or_else(|| refusal.into());
            }
            Err(error) => return Err(error),
        };
        let made = app.ledger.claim_once(of, &key, &intent.fingerprint, moment).await?;
        if made.replayed
            && let Some(started) = self.started(made).await?
        {
            return Ok(started);
        }
        let id = PurchaseId { account: caller.account, transaction: made.id };
        let rate = self.checkout.rate(caller.account.org, offer.price, moment).await?;
        let purchase = domain::Purchase {
            rate,
            key_id: caller.by.key(),
            super_admin: caller.super_admin(),
            requested_by: caller.by.member(),
            request_id: Some(caller.call.id.to_string()),
            ..domain::Purchase::begun(id, offer, intent.body.payment_method, made.at)
        };
        Ok(Prepared::New { purchase: purchase.into(), replayed: made.replayed })
    }

    /// The purchase of an earlier attempt; none if it was never started.
    async fn started(&self, made: ClaimedId) -> Result<Option<Prepared>, ApiError> {
        let id = PurchaseId { account: self.caller.account, transaction: made.id };
        let purchase = self.app.ledger.purchase(id).await?;
        Ok(purchase.map(|purchase| Prepared::Started(purchase.into())))
    }

    /// Starts or continues the purchase. Returns it, and whether it is an earlier attempt's.
    async fn carry_out(&self, prepared: Prepared) -> Result<(domain::Purchase, bool), ApiError> {
        let moment = self.caller.call.moment;
        Ok(match prepared {
            Prepared::New { purchase, replayed } => (self.checkout.start(*purchase, moment).await?, replayed),
            Prepared::Started(purchase) => (self.checkout.resume(*purchase, moment).await?, true),
        })
    }

    /// The offer in the organisation's own currency. Refused, before the key is claimed and anything is charged, unless
    /// the account may buy and hold that much and the organisation may spend it today.
    async fn offer(&self, order: &PurchaseRequest) -> Result<Offer, ApiError> {
        let (id, moment) = (self.caller.account, self.caller.call.moment);
        let currency = self.checkout.currency(id.org, moment).await?;
        let catalogue = self.app.settings.catalogue(moment.wall).await?;
        let offer = match (&order.package, order.amount) {
            (Some(package), None) => catalogue.packages.whole(package, currency, moment.now)?,
            (None, Some(amount)) => catalogue.packages.amount(amount, currency, moment.now)?,
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::field("package", "send either package or amount"));
            }
        };
        let account = self.app.ledger.account(id).await?.ok_or(Unsettled::NoAccount)?;
        domain::may_buy(&account, &offer)?;
        self.checkout.fits_today(id, offer.price, moment).await?;
        Ok(offer)
    }

    async fn answer(&self, purchase: &domain::Purchase, replayed: bool) -> Result<Reply, ApiError> {
        let link = match &purchase.status {
            PurchaseStatus::Failed(decline) => {
                return Err(ApiError::PaymentFailed(purchase.id.transaction, decline.clone()));
            }
            PurchaseStatus::Pending(link) => link.clone(),
            PurchaseStatus::Approved(_) => None,
        };
        let approved = matches!(purchase.status, PurchaseStatus::Approved(_));
        let purchased = Purchased {
            transaction_id: purchase.id.transaction.to_string(),
            status: if approved { "approved" } else { "pending" },
            credits: u64::from(purchase.offer.credits),
            price: purchase.offer.price,
            package: purchase.offer.package.as_ref().map(|package| package.0.clone()),
            payment_method: purchase.method.as_str().to_owned(),
            next_action: link.map(NextActionView::redirect),
            receipt: purchase.receipt.clone(),
            balance: self.balance(purchase).await,
        };
        if approved { Reply::created(&purchased, replayed) } else { Reply::accepted(&purchased, replayed) }
    }

    /// The balance after the purchase's transaction, or the present one. The purchase is answered also if the balance
    /// cannot be read in time.
    async fn balance(&self, purchase: &domain::Purchase) -> Option<BalanceView> {
        let (ledger, now) = (&self.app.ledger, self.caller.call.moment.now);
        let account = purchase.id.account;
        let read = async {
            if let PurchaseStatus::Approved(entry) = purchase.status
                && let Some(receipt) = ledger.transaction(account, entry).await?
            {
                return Ok(Some(BalanceView::from(&receipt)));
            }
            let account = ledger.account(account).await?;
            let balance = |account: Account| BalanceView::new(&account.balance(now), account.sequence, now);
            Ok::<_, Fault>(account.map(balance))
        };
        self.checkout.deadline.close(read).await.and_then(|read| read).unwrap_or_else(|fault| {
            tracing::warn!(cause = &fault as &dyn Error, "the balance after a purchase cannot be read");
            None
        })
    }
}
