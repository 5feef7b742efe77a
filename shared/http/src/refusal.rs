//! Refusals of the ledger: their statuses, codes and details.

use http::StatusCode;
use serde_json::{Value, json};

use crate::timestamp;
use domain::{BudgetExceeded, Credits, PassedOverLot, PassedOverReason, Refusal};

/// What a caller can do about insufficient credits: the text of `details.mend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// A refused request, which the caller can retry.
    Request,
    /// A refused item of a partial batch: the batch has charged the other items under its key.
    Item,
    /// A quote, which charges nothing and has no key.
    Quote,
    /// An operator's adjustment, which takes only credits that the organisation has.
    Adjustment,
}

impl Remedy {
    fn text(self) -> &'static str {
        match self {
            Self::Request => {
                "purchase credits, move to a larger plan, or enable auto-recharge; then send the request again \
                 with the same Idempotency-Key"
            }
            Self::Item => {
                "purchase credits, move to a larger plan, or enable auto-recharge; then send the refused items in \
                 a new batch, under a new Idempotency-Key"
            }
            Self::Quote => "purchase credits, move to a larger plan, or enable auto-recharge",
            Self::Adjustment => {
                "take at most what `available` says; an adjustment takes only credits that the organisation has, \
                 of its `source` if it names one"
            }
        }
    }
}

/// The status and the code of a refusal.
pub(super) fn refusal_code(refusal: &Refusal) -> (StatusCode, &'static str) {
    match refusal {
        Refusal::UnknownOperation(_) => (StatusCode::BAD_REQUEST, "UNKNOWN_OPERATION"),
        Refusal::SpendingLimit { .. } => (StatusCode::FORBIDDEN, "SPENDING_LIMIT_REACHED"),
        Refusal::UnknownPackage(_) | Refusal::OtherCurrency { .. } | Refusal::NothingOnSale => {
            (StatusCode::UNPROCESSABLE_ENTITY, "PACKAGE_UNKNOWN")
        }
        Refusal::NotMonthly(_)
        | Refusal::UnknownPlan(_)
        | Refusal::PriceLimit
        | Refusal::NothingToHold
        | Refusal::NotOwed { .. }
        | Refusal::ExpiresInThePast
        | Refusal::PurchasedNeverExpire
        | Refusal::SubscriptionTerms => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
        Refusal::ReasonNotEligible(_)
        | Refusal::NotEligible(_)
        | Refusal::MoreThanDebited { .. }
        | Refusal::MoreThanPaid { .. }
        | Refusal::RefundRefused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "REFUND_NOT_ELIGIBLE"),
        Refusal::AlreadyRefunded | Refusal::PurchaseRefunded { .. } => {
            (StatusCode::CONFLICT, "ALREADY_REFUNDED")
        }
        Refusal::HoldClosed(_) => (StatusCode::CONFLICT, "HOLD_CLOSED"),
        Refusal::SamePlan
        | Refusal::MonthOver
        | Refusal::TooManyDraws
        | Refusal::UnlimitedPlan
        | Refusal::TooManyLots
        | Refusal::TooManyDisputes
        | Refusal::BalanceLimit => (StatusCode::CONFLICT, "CONFLICT"),
        Refusal::PlanLimit { .. } => (StatusCode::FORBIDDEN, "PLAN_LIMIT_REACHED"),
        Refusal::BudgetExceeded(_) => (StatusCode::FORBIDDEN, "BUDGET_EXCEEDED"),
        Refusal::Frozen => (StatusCode::FORBIDDEN, "ORGANISATION_FROZEN"),
        Refusal::PlanChangeNotAllowed => (StatusCode::FORBIDDEN, "PLAN_CHANGE_NOT_ALLOWED"),
        Refusal::InsufficientCredits { .. } | Refusal::MoreThanHeld { .. } => {
            (StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_CREDITS")
        }
    }
}

/// The `details` of a refusal, with the `remedy` that the caller has.
pub(super) fn refusal_details(refusal: &Refusal, remedy: Remedy) -> Value {
    let field = |path: &str| json!({ "fields": { path: refusal.to_string() } });
    match refusal {
        Refusal::InsufficientCredits { required, available, passed_over } => {
            insufficient(*required, *available, passed_over, remedy)
        }
        Refusal::MoreThanHeld { required, available } => json!({
            "required": required,
            "available": available,
            "mend": "capture at most what `available` says, or omit `amount` to capture all of it; to charge more, \
                     make another hold or a debit of its own",
        }),
        Refusal::BudgetExceeded(exceeded) => budget_exceeded(exceeded),
        Refusal::UnknownOperation(operation) => json!({ "operation": operation }),
        Refusal::PlanLimit { cap } => json!({ "limit": cap }),
        Refusal::MoreThanDebited { refundable } => json!({ "refundable": refundable }),
        Refusal::MoreThanPaid { refundable } => json!({ "refundable": refundable }),
        Refusal::RefundRefused(reason) => json!({ "reason": reason }),
        Refusal::OtherCurrency { package, sold_in, pays_in } => json!({
            "package": package,
            "currency": sold_in,
            "organisationCurrency": pays_in,
        }),
        Refusal::SpendingLimit { price, limit, spent } => json!({
            "price": price,
            "perDay": limit.per_day(),
            "spentToday": spent,
        }),
        Refusal::AlreadyRefunded => json!({ "refundable": 0 }),
        Refusal::PurchaseRefunded { currency, refunds } => json!({
            "refundable": { "amount": 0, "currency": currency },
            "refunds": refunds,
        }),
        Refusal::HoldClosed(status) => json!({ "status": status.as_str() }),
        Refusal::UnknownPackage(package) => json!({ "package": package }),
        Refusal::PriceLimit | Refusal::NotOwed { .. } => field("amount"),
        Refusal::NothingToHold => field("source"),
        Refusal::NotMonthly(_) => field("operation"),
        Refusal::UnknownPlan(_) => field("plan"),
        Refusal::ExpiresInThePast | Refusal::PurchasedNeverExpire => field("expiresAt"),
        Refusal::SubscriptionTerms => field("source"),
        Refusal::Frozen
        | Refusal::PlanChangeNotAllowed
        | Refusal::SamePlan
        | Refusal::MonthOver
        | Refusal::NothingOnSale
        | Refusal::ReasonNotEligible(_)
        | Refusal::NotEligible(_)
        | Refusal::TooManyDraws
        | Refusal::UnlimitedPlan
        | Refusal::TooManyLots
        | Refusal::TooManyDisputes
        | Refusal::BalanceLimit => Value::Null,
    }
}

/// The budget that has no room, how much of it is used, and what to do.
fn budget_exceeded(exceeded: &BudgetExceeded) -> Value {
    let mend = if exceeded.passes_later() {
        "ask for more with POST /api/v3/budget-requests, or wait until the budget resets; then send the request again \
         with the same Idempotency-Key"
    } else {
        "ask for more with POST /api/v3/budget-requests; then send the request again with the same Idempotency-Key"
    };
    json!({
        "budgetId": exceeded.budget,
        "scope": exceeded.level.as_str(),
        "id": exceeded.id,
        "limit": exceeded.usage.limit,
        "used": exceeded.usage.used,
        "remaining": exceeded.usage.remaining(),
        "required": exceeded.required,
        "resetsAt": exceeded.usage.resets_at.as_ref().map(timestamp::text),
        "raisedBy": "a key, or a member, with the scope `settings:write`; or an operator",
        "mend": mend,
    })
}

/// The seed's two details, what to do, and the lots that could not pay.
fn insufficient(
    required: Credits,
    available: Credits,
    passed_over: &[PassedOverLot],
    remedy: Remedy,
) -> Value {
    let is_reserved = |lot: &PassedOverLot| matches!(lot.reason, PassedOverReason::OtherService(_));
    let is_call = remedy != Remedy::Adjustment;
    let mend = match is_call && passed_over.iter().any(is_reserved) {
        true => format!(
            "{}; or send `service`, if the call is of the service that a lot is reserved for",
            remedy.text()
        ),
        false => remedy.text().to_owned(),
    };
    let details = json!({ "required": required, "available": available, "mend": mend });
    let lots: Vec<_> = passed_over.iter().map(passed_over_lot).collect();
    let lots = if lots.is_empty() { json!({}) } else { json!({ "passedOver": lots }) };
    joined(&details, &lots)
}

/// A lot that could not pay, and why.
fn passed_over_lot(PassedOverLot { lot, source, amount, reason }: &PassedOverLot) -> Value {
    let lot = json!({ "lotId": lot, "source": source, "amount": amount });
    let reason = match reason {
        PassedOverReason::OtherService(service) => json!({ "reason": "otherService", "service": service }),
        PassedOverReason::Expired(end) => json!({ "reason": "expired", "expiresAt": timestamp::text(end) }),
        PassedOverReason::Disputed => json!({ "reason": "disputed" }),
    };
    joined(&lot, &reason)
}

/// One object with the fields of two.
fn joined(one: &Value, other: &Value) -> Value {
    Value::Object([one, other].into_iter().filter_map(Value::as_object).flat_map(Clone::clone).collect())
}
