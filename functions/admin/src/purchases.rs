use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    AccountId, ClaimKey, EntryId, Mode, Money, Purchase, PurchaseId, Reference, RefundOrder, RefundState,
};
use scrip_http::{ApiError, App, Balance, Intent, Operator, Reply};
use serde::{Deserialize, Serialize};
use store::ClaimsOf;
use utoipa::ToSchema;

/// Money of a purchase that is refunded, with its credits.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "amount": 2450, "reason": "Ordered twice, see ticket 4711" }))]
pub(super) struct PurchaseRefund {
    /// Minor units of the currency that was paid, from 1 on; all that is left when left out.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<u64>,
    /// Why; stands in the record beside who.
    #[schema(value_type = String, max_length = 255)]
    reason: Reference,
    /// Which ledger: live, when left out, or test.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
}

/// A refund of a purchase, as far as it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RefundedPurchase {
    /// The refund, which is also its name at the payment provider.
    refund_id: String,
    /// The purchase.
    transaction_id: String,
    /// refunded: the money is on its way and the credits are taken back; pending: both follow.
    status: &'static str,
    /// The money of this refund.
    amount: scrip_http::Money,
    /// The money of this purchase that was refunded in all, as the ledger has it: minor units.
    total_refunded: u64,
    /// The credits that were taken back for all refunds of this purchase.
    credits_taken: u64,
    /// The transaction that took credits back last; null when none has.
    refund_transaction_id: Option<String>,
    /// The balance now.
    balance: Balance,
}

/// Refunds the money of a purchase, in whole or in part, and takes back the credits that belong to it: from the
/// purchase's own credits first, then from other purchased credits; what was spent is owed. Money and credits go
/// together: whatever crashes, both are finished. Sent again under the same key, it refunds nothing more.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/purchases/{transactionId}/refund",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        ("transactionId" = String, Path, description = "txn_…, the purchase"),
        ("Idempotency-Key" = String, Header, description = "Your name for this request"),
    ),
    request_body = PurchaseRefund,
    responses(
        (status = 201, body = RefundedPurchase),
        (status = 202, body = RefundedPurchase, description = "pending: the payment provider did not answer, or the refund is being booked; Scrip finishes it. Send the request again with the same Idempotency-Key to see how far it is"),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "ALREADY_REFUNDED: `details.refundable` is 0 and `details.refunds` names the refunds that operators asked for; OPERATION_IN_PROGRESS, with Retry-After"),
        (status = 422, description = "REFUND_NOT_ELIGIBLE: it was not paid, is disputed, or `amount` is more than `details.refundable`; IDEMPOTENCY_KEY_REUSED"),
    ),
)]
pub(super) async fn refund_purchase(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path((id, transaction)): Path<(String, String)>,
    intent: Intent<PurchaseRefund>,
) -> Result<Reply, ApiError> {
    const UNKNOWN: ApiError = ApiError::NotFound(
        "this ledger of the organisation has no purchase with this id; send `mode: \"test\"` for a purchase of a test \
         key",
    );
    let PurchaseRefund { amount, reason, mode } = intent.body;
    if amount == Some(0) {
        return Err(ApiError::field("amount", "must be at least 1 minor unit, or left out"));
    }
    let account = AccountId { org: super::organisation(id)?, mode: mode.unwrap_or(Mode::Live) };
    let moment = app.ledger.moment_of(account, operator.call.moment).await?;
    let transaction = EntryId::try_from(transaction).map_err(|_| UNKNOWN)?;
    let till = app.till(account.mode);
    let purchase = till.refundable(PurchaseId { account, transaction }).await?.ok_or(UNKNOWN)?;
    let claim = (&ClaimKey::Operator(intent.key), &intent.fingerprint);
    let made = app.ledger.claim_once(ClaimsOf::Account(account), claim.0, claim.1, moment).await?;
    let state = RefundState::Open;
    let order =
        RefundOrder { id: made.id, amount: 0, reason, by: operator.key, at: made.at, state, step: None };
    let purchase = Box::pin(till.refund_purchase(purchase, order, amount, moment)).await?;
    let account = app.ledger.account(account).await?.ok_or(UNKNOWN)?;
    let balance = Balance::new(&account.balance(moment.now), account.sequence, moment.now);
    let refunded = RefundedPurchase::of(&purchase, made.id, balance).ok_or(UNKNOWN)?;
    if refunded.status == "pending" {
        Reply::accepted(&refunded, made.replayed)
    } else {
        Reply::created(&refunded, made.replayed)
    }
}

impl RefundedPurchase {
    /// The refund of that name, if the purchase has it.
    fn of(purchase: &Purchase, id: EntryId, balance: Balance) -> Option<Self> {
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
