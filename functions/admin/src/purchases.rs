//! Refunds of purchases: money and credits together.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    AccountId, ClaimKey, EntryId, Mode, Money, OrgId, Purchase, PurchaseId, Reference, RefundOrder,
    RefundState,
};
use scrip_http::{
    ApiError, App, BalanceView, Id, IdempotencyHeader, Idempotent, Operator, PathId, Reply, duty,
};
use serde::{Deserialize, Serialize};
use store::ClaimsOf;
use utoipa::ToSchema;

/// A refund of a purchase to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "amount": 2450, "reason": "Ordered twice, see ticket 4711" }))]
pub(super) struct PurchaseRefund {
    /// Minor units of the paid currency, at least 1; the whole remainder if left out.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<u64>,
    /// The reason, recorded with the operator's key.
    #[schema(value_type = String, max_length = 255)]
    reason: Reference,
    /// The ledger: live (default) or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// The transaction id of a purchase, in the path.
pub(super) struct PurchaseName(EntryId);

impl TryFrom<String> for PurchaseName {
    type Error = <EntryId as TryFrom<String>>::Error;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        EntryId::try_from(text).map(Self)
    }
}

impl PathId for PurchaseName {
    const NOT_FOUND: ApiError = ApiError::NotFound(
        "this ledger of the organisation has no purchase with this id; send `mode: \"test\"` for a purchase of a test \
         key",
    );
}

/// The state of a refund of a purchase.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefundedPurchase {
    /// The refund's id, also at the payment provider.
    refund_id: String,
    /// The purchase.
    transaction_id: String,
    /// refunded: the money is on its way and the credits are taken; pending: both will follow.
    status: &'static str,
    /// The amount of this refund.
    amount: scrip_http::MoneyView,
    /// The total refunded of this purchase according to the ledger, in minor units.
    total_refunded: u64,
    /// Credits taken for all refunds of this purchase.
    credits_taken: u64,
    /// The latest transaction that took credits; null if there is none.
    refund_transaction_id: Option<String>,
    /// The present balance.
    balance: BalanceView,
}

/// Refunds the money of a purchase, in whole or in part, and takes the credits that belong to it: first the purchase's own
/// credits, then other purchased credits. Credits that are spent already become a debt. Scrip finishes both parts, also
/// after a crash. A retry under the same key refunds nothing more.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/purchases/{transactionId}/refund",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        ("transactionId" = String, Path, description = "txn_…, the purchase"),
        IdempotencyHeader,
    ),
    request_body = PurchaseRefund,
    responses(
        (status = 201, body = RefundedPurchase),
        (status = 202, body = RefundedPurchase, description = "pending: the payment provider did not answer, or the refund is being booked; Scrip finishes it. Retry with the same Idempotency-Key to see its state"),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "ALREADY_REFUNDED: `details.refundable` is 0 and `details.refunds` lists the refunds by operators; OPERATION_IN_PROGRESS, with Retry-After"),
        (status = 422, description = "REFUND_NOT_ELIGIBLE: it was not paid, is disputed, or `amount` is more than `details.refundable`; IDEMPOTENCY_KEY_REUSED"),
    ),
)]
pub(super) async fn refund_purchase(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Money>,
    Path(path): Path<(Id<OrgId>, Id<PurchaseName>)>,
    intent: Idempotent<PurchaseRefund>,
) -> Result<Reply, ApiError> {
    let ((org, purchase), PurchaseRefund { amount, reason, mode }) = (path, intent.body);
    if amount == Some(0) {
        return Err(ApiError::field("amount", "must be at least 1, or left out"));
    }
    let account = AccountId { org: org.found()?, mode: mode.unwrap_or(Mode::Live) };
    operator.call.is_about(account);
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let PurchaseName(transaction) = purchase.found()?;
    let checkout = app.checkout(account.mode);
    let purchase =
        checkout.refundable(PurchaseId { account, transaction }).await?.ok_or(PurchaseName::NOT_FOUND)?;
    let claim = (&ClaimKey::Operator(intent.key), &intent.fingerprint);
    let made = app.ledger.claim_once(ClaimsOf::Account(account), claim.0, claim.1, moment).await?;
    let state = RefundState::Open;
    let order =
        RefundOrder { id: made.id, amount: 0, reason, by: operator.key, at: made.at, state, step: None };
    let purchase = Box::pin(checkout.refund_purchase(purchase, order, amount, moment)).await?;
    let account = app.ledger.account(account).await?.ok_or(PurchaseName::NOT_FOUND)?;
    let balance = BalanceView::new(&account.balance(moment.now), account.sequence, moment.now);
    let refunded = RefundedPurchase::of(&purchase, made.id, balance).ok_or(PurchaseName::NOT_FOUND)?;
    if refunded.status == "pending" {
        Reply::accepted(&refunded, made.replayed)
    } else {
        Reply::created(&refunded, made.replayed)
    }
}

impl RefundedPurchase {
    /// The state of one refund of the purchase, if it exists.
    fn of(purchase: &Purchase, id: EntryId, balance: BalanceView) -> Option<Self> {
        let refunds = &purchase.refunds;
        let order = refunds.orders.iter().find(|order| order.id == id)?;
        let amount = Money::new(order.amount, purchase.offer.price.currency()).ok()?;
        Some(Self {
            refund_id: id.to_string(),
            transaction_id: purchase.id.transaction.to_string(),
            status: if purchase.is_refund_booked(id) { "refunded" } else { "pending" },
            amount: amount.into(),
            total_refunded: refunds.amount,
            credits_taken: refunds.credits.get(),
            refund_transaction_id: refunds.entry.map(|entry| entry.to_string()),
            balance,
        })
    }
}
