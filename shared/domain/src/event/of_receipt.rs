//! The notifications that follow from transactions.

use serde_json::{Map, Value, json};

use crate::value::timestamp;
use crate::{
    Allowance, BOUGHT_BY_AUTO_RECHARGE, Credits, DrawdownReason, Entry, EventName, HoldId, Move,
    Notification, PaymentDetails, Receipt,
};

impl Notification {
    /// The notification of a transaction; `None` for most, because their callers know of them.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Option<Self> {
        let entry = &receipt.entry;
        let (name, message, more) = match entry.operation.as_str() {
            "credit.purchase" => (EventName::CreditsPurchased, "Credits were bought", purchased(receipt)),
            // The first renewal opens the account, and is not an event.
            "credit.renewal" if 1 < receipt.sequence => {
                (EventName::CreditsRenewed, "Your monthly credits were renewed", renewed(receipt))
            }
            "credit.expiry" => (EventName::CreditsExpired, "Credits have expired", expired(entry)),
            "credit.refund" => (EventName::CreditsRefunded, "Credits were refunded", refunded(receipt)),
            "credit.grant" => {
                (EventName::CreditsGranted, "Credits were given to you by our team", granted(receipt))
            }
            "credit.adjustment" => {
                (EventName::CreditsAdjusted, "Your credits were adjusted by our team", adjusted(receipt))
            }
            "credit.release" => (
                EventName::HoldExpired,
                "A hold has expired, and its remaining credits are available again",
                ended(receipt)?,
            ),
            "credit.plan_change" => (EventName::PlanChanged, "Your plan has changed", switched(entry)?),
            "credit.payment_refund" => (
                EventName::PurchaseRefunded,
                "Money of a purchase was refunded, and its credits were taken back",
                refunded_purchase(receipt),
            ),
            "credit.dispute" => (
                EventName::DisputeOpened,
                "A payment is disputed; its remaining credits are set aside until the dispute is closed",
                disputed(receipt),
            ),
            "credit.dispute_won" => (
                EventName::DisputeClosed,
                "A dispute was won; its credits are available again",
                closed(receipt, "won"),
            ),
            "credit.dispute_lost" => (
                EventName::DisputeClosed,
                "A dispute was lost; the credits set aside are removed, and those already spent are outstanding",
                closed(receipt, "lost"),
            ),
            _ => return None,
        };
        let mut data = Map::new();
        data.insert("transactionId".to_owned(), json!(transaction(receipt)));
        data.insert("amount".to_owned(), json!(entry.amount));
        data.extend(more);
        data.insert("available".to_owned(), json!(receipt.balance.available()));
        data.insert("message".to_owned(), json!(message));
        if name == EventName::PlanChanged {
            data.remove("amount");
        }
        Some(Self::Booked { name, entry: entry.id, data: Value::Object(data) })
    }
}

type Fields = Map<String, Value>;

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Fields {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The transaction's id for callers: a purchase has one before its entry is written.
fn transaction(receipt: &Receipt) -> Value {
    let paid = receipt.details.paid.as_ref().map(|paid| paid.transaction);
    json!(paid.unwrap_or(receipt.entry.id))
}

fn purchased(receipt: &Receipt) -> Fields {
    let paid = receipt.details.paid.as_ref();
    let of = |field: fn(&PaymentDetails) -> Value| paid.map_or(Value::Null, field);
    let words = receipt.details.description.as_ref().map(|words| words.as_str());
    fields([
        ("package", of(|paid| json!(paid.package))),
        ("price", of(|paid| json!(paid.price))),
        ("paymentMethod", of(|paid| json!(paid.method))),
        ("autoRecharge", json!(words == Some(BOUGHT_BY_AUTO_RECHARGE))),
    ])
}

fn renewed(receipt: &Receipt) -> Fields {
    let balance = &receipt.balance;
    fields([
        ("plan", json!(balance.plan)),
        ("unlimited", json!(balance.unlimited)),
        ("nextRenewal", json!(timestamp(balance.next_renewal()))),
    ])
}

fn expired(entry: &Entry) -> Fields {
    fields([("sources", sources(entry))])
}

/// The lots and their amounts.
fn sources(entry: &Entry) -> Value {
    let part = |part: &Move| json!({ "source": part.source, "lotId": part.lot, "amount": part.amount });
    entry.moves.iter().map(part).collect()
}

fn granted(receipt: &Receipt) -> Fields {
    let details = &receipt.details;
    fields([
        ("sources", sources(&receipt.entry)),
        ("service", json!(details.service)),
        ("expiresAt", json!(details.expires_at.map(timestamp))),
        ("description", json!(details.description)),
    ])
}

fn refunded(receipt: &Receipt) -> Fields {
    let drawn = receipt.details.drawn.as_ref();
    let reason = drawn.and_then(|drawn| match &drawn.why {
        DrawdownReason::Refund { reason, .. } => Some(*reason),
        DrawdownReason::Capture | DrawdownReason::Release | DrawdownReason::Expiry => None,
    });
    fields([("refundOf", json!(drawn.map(|drawn| drawn.of))), ("reason", json!(reason))])
}

fn adjusted(receipt: &Receipt) -> Fields {
    fields([
        ("direction", json!(receipt.entry.direction)),
        ("description", json!(receipt.details.description)),
    ])
}

/// Only a hold that has expired is an event; the caller of a release knows of it.
fn ended(receipt: &Receipt) -> Option<Fields> {
    let drawn = receipt.details.drawn.as_ref().filter(|drawn| drawn.why == DrawdownReason::Expiry)?;
    Some(fields([("holdId", json!(HoldId::from(drawn.of)))]))
}

fn switched(entry: &Entry) -> Option<Fields> {
    // A request with an idempotency key is an entry even when nothing changes.
    let switch =
        entry.switch.as_ref().filter(|switch| switch.from != switch.to || !entry.amount.is_zero())?;
    let allowance = match switch.allowance {
        Allowance::Monthly(credits) => Some(credits),
        Allowance::Unlimited => None,
    };
    Some(fields([("from", json!(switch.from)), ("to", json!(switch.to)), ("allowance", json!(allowance))]))
}

fn refunded_purchase(receipt: &Receipt) -> Fields {
    fields([
        ("purchaseId", json!(receipt.details.resource_id)),
        ("reason", json!(receipt.details.description)),
        ("outstanding", json!(receipt.balance.post_paid.map_or(Credits::ZERO, |owed| owed.outstanding))),
    ])
}

fn disputed(receipt: &Receipt) -> Fields {
    let words = receipt.details.description.as_ref().map(|words| words.as_str());
    fields([
        ("disputeId", json!(words.and_then(|words| words.strip_prefix("Dispute ")))),
        ("purchaseId", json!(receipt.details.resource_id)),
    ])
}

fn closed(receipt: &Receipt, outcome: &str) -> Fields {
    let mut fields = disputed(receipt);
    fields.insert("outcome".to_owned(), json!(outcome));
    fields
}
