//! `POST /api/v3/credits/purchase`: buys credits, charged exactly once however often the request is retried.

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::{
    self, Account, AccountId, Amount, ClaimKey, Currency, Money, Offer, PurchaseId, PurchaseStatus, Reference,
};
use scrip_http::{
    ApiError, App, BalanceView, Caller, IdempotencyHeader, Idempotent, NextActionView, Reply, may,
};
use serde::{Deserialize, Serialize};
use store::{ClaimedId, ClaimsOf, Fault, Moment, Unsettled};
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
    let moment = caller.call.moment;
    let (of, key) = (ClaimsOf::Account(caller.account), ClaimKey::Caller(intent.key));
    let currency = app.checkout(caller.account.mode).currency(caller.account.org, moment).await?;
    let offer = match intent.body.offer(&app, caller.account, currency, moment).await {
        Ok(offer) => offer,
        // An earlier attempt may have bought it while it was on sale.
        Err(ApiError::Unsettled(Unsettled::Refused(refusal))) => {
            let made = app.ledger.made_before(of, &key, &intent.fingerprint, moment).await?;
            return match made {
                Some(made) => known(&app, caller.account, made, moment).await?.ok_or_else(|| refusal.into()),
                None => Err(refusal.into()),
            };
        }
        Err(error) => return Err(error),
    };
    let made = app.ledger.claim_once(of, &key, &intent.fingerprint, moment).await?;
    if made.replayed
        && let Some(reply) = known(&app, caller.account, made, moment).await?
    {
        return Ok(reply);
    }
    let checkout = app.checkout(caller.account.mode);
    let id = PurchaseId { account: caller.account, transaction: made.id };
    let rate = checkout.rate(caller.account.org, offer.price, moment).await?;
    let method = intent.body.payment_method;
    let begun = domain::Purchase {
        rate,
        key_id: Some(caller.key),
        request_id: Some(caller.call.id.to_string()),
        ..domain::Purchase::begun(id, offer, method, made.at)
    };
    let purchase = checkout.start(begun, moment).await?;
    answer(&app, &purchase, made.replayed, moment).await
}

impl PurchaseRequest {
    /// The offer in the organisation's own currency. Refused, before the key is claimed and anything is charged, unless
    /// the account may buy and hold that much and the organisation may spend it today.
    async fn offer(
        &self,
        app: &App,
        id: AccountId,
        currency: Currency,
        moment: Moment,
    ) -> Result<Offer, ApiError> {
        let catalogue = app.settings.catalogue(moment.wall).await?;
        let offer = match (&self.package, self.amount) {
            (Some(package), None) => catalogue.packages.whole(package, currency, moment.now)?,
            (None, Some(amount)) => catalogue.packages.amount(amount, currency, moment.now)?,
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::field("package", "send either package or amount"));
            }
        };
        let account = app.ledger.account(id).await?.ok_or(Unsettled::NoAccount)?;
        domain::may_buy(&account, &offer)?;
        app.checkout(id.mode).fits_today(id, offer.price, moment).await?;
        Ok(offer)
    }
}

/// The answer to a retry; none if the purchase was never begun.
async fn known(
    app: &App,
    account: AccountId,
    made: ClaimedId,
    moment: Moment,
) -> Result<Option<Reply>, ApiError> {
    let id = PurchaseId { account, transaction: made.id };
    let Some(purchase) = app.ledger.purchase(id).await? else { return Ok(None) };
    let purchase = app.checkout(account.mode).resume(purchase, moment).await?;
    answer(app, &purchase, true, moment).await.map(Some)
}

async fn answer(
    app: &App,
    purchase: &domain::Purchase,
    replayed: bool,
    moment: Moment,
) -> Result<Reply, ApiError> {
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
        balance: balance(app, purchase, moment).await,
    };
    if approved { Reply::created(&purchased, replayed) } else { Reply::accepted(&purchased, replayed) }
}

/// The balance after the purchase's transaction, or the present one. The purchase is answered also if the balance cannot be
/// read.
async fn balance(app: &App, purchase: &domain::Purchase, moment: Moment) -> Option<BalanceView> {
    let account = purchase.id.account;
    let read = async {
        if let PurchaseStatus::Approved(entry) = purchase.status
            && let Some(receipt) = app.ledger.transaction(account, entry).await?
        {
            return Ok(Some(BalanceView::from(&receipt)));
        }
        let account = app.ledger.account(account).await?;
        let balance =
            |account: Account| BalanceView::new(&account.balance(moment.now), account.sequence, moment.now);
        Ok::<_, Fault>(account.map(balance))
    };
    read.await.unwrap_or_else(|fault| {
        tracing::warn!(cause = &fault as &dyn Error, "the balance after a purchase cannot be read");
        None
    })
}
