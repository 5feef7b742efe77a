//! A transaction: one line of the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{BalanceView, MoneyView};
use crate::timestamp;
use domain::{
    self, Decline, Details, Direction, Drawdown, DrawdownKind, Drawn, Move, PaymentDetails, Purchase,
    PurchaseStatus, Receipt, RefundReason, Remainder, Service, Share, Source,
};

/// One line of the ledger.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Transaction)]
#[schema(example = json!({
    "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "type": "DEBIT", "category": "usage", "status": "approved",
    "amount": 2, "operation": "verification.standard", "quantity": 1, "resourceId": "verif_xyz789",
    "customerId": null, "memberId": null, "service": null,
    "sources": [{ "source": "subscription", "lotId": "sub_2024-01", "amount": 2 }],
    "balanceAfter": 398, "sequence": 17, "priceVersion": 1, "timestamp": "2024-01-15T10:30:00Z",
    "paymentMethod": null, "currency": null, "exchangeRate": null, "refunds": [], "metadata": {}
}))]
pub struct TransactionView {
    /// `txn_…`
    pub transaction_id: String,
    /// DEBIT if credits are taken, CREDIT if credits are added.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "DEBIT")]
    pub direction: Direction,
    /// `usage` for debits, `purchase` for credits.
    pub category: &'static str,
    /// `approved`: in the ledger; `postPaid`: in the ledger and partly owed; `pending` or `failed`: a purchase that is
    /// not in the ledger.
    pub status: &'static str,
    /// Whole credits, never negative.
    pub amount: u64,
    /// The change of the balance in credits, positive or negative. Present only where `type` and `amount` do not say it:
    /// a renewal that also expires the previous month, returned credits of which some had expired, a debit that an
    /// unlimited plan or post-paid credits pay for, a purchase that settles a debt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<i64>,
    /// The operation: `verification.standard`, `credit.purchase`, …
    pub operation: String,
    /// The number of operations; null for a transaction that is not a priced operation.
    pub quantity: Option<u64>,
    /// The caller's name for the resource.
    pub resource_id: Option<String>,
    /// The caller's name for the customer.
    pub customer_id: Option<String>,
    /// The caller's name for the member of staff.
    pub member_id: Option<String>,
    /// The service that was used, or that a grant is reserved for.
    #[schema(value_type = Option<String>)]
    pub service: Option<Service>,
    /// The lots that gave or received credits, in the order of consumption; for a capture, the lots of its hold.
    pub sources: Vec<SourceShare>,
    /// Credits that expired with the transaction: the rest of the previous month, in a renewal; in a refund or a
    /// release, credits that came back to a month or a lot that has ended. Left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired: Option<u64>,
    /// Available credits right after the transaction, as the lines add up. For a minute after a lot has ended they
    /// include what was left in it. Null for a purchase that is not in the ledger.
    pub balance_after: Option<u64>,
    /// 1, 2, 3, … without a gap for each ledger; null for a purchase that is not in the ledger.
    pub sequence: Option<u64>,
    /// The version of the operation's or package's price that was charged.
    pub price_version: Option<u32>,
    /// When it took effect.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: DateTime<Utc>,
    /// The id of the operator's key, for a transaction of an operator.
    pub super_admin: Option<String>,
    /// The id of the member who has made the request in a session. Left out for a request with an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// The payment provider's name for the payment method.
    pub payment_method: Option<String>,
    /// ISO 4217 code of the payment's currency.
    pub currency: Option<String>,
    /// Units of the organisation's own currency for one unit of that currency.
    #[serde(serialize_with = "rust_decimal::serde::float_option::serialize")]
    #[schema(value_type = Option<f64>)]
    pub exchange_rate: Option<rust_decimal::Decimal>,
    /// The amount paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<MoneyView>,
    /// The package that was bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The payment provider's receipt or invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// The plans before and after; only in a change of plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanShift>,
    /// The monitor whose month was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor_id: Option<String>,
    /// Why a purchase failed, as the payment provider says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({ "reason": "card_declined", "declineCode": "generic_decline" }))]
    pub failure: Option<Decline>,
    /// What the customer must do to finish a pending purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextActionView>,
    /// The debit that this transaction refunds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_of: Option<String>,
    /// The reason of the refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<RefundReason>,
    /// The earlier debit for the same operation, if the reason is a duplicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
    /// The hold that was made, captured or released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    /// The operation of the hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_for: Option<String>,
    /// Held credits that the capture spends. They are usage although `amount` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<u64>,
    /// Until when the caller may report a failure and get a refund at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub settle_by: Option<String>,
    /// The batch that the transaction is an item of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchItemView>,
    /// The refunds of this transaction, the earliest first.
    pub refunds: Vec<RefundView>,
    /// A description.
    pub description: Option<String>,
    /// The caller's own key and value pairs.
    pub metadata: BTreeMap<String, String>,
}

/// A transaction, and the balance right after it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Booked)]
pub struct BookedView {
    /// The transaction.
    #[serde(flatten)]
    pub transaction: TransactionView,
    /// The balance.
    pub balance: BalanceView,
}

impl From<&Receipt> for BookedView {
    fn from(receipt: &Receipt) -> Self {
        Self { transaction: receipt.into(), balance: receipt.into() }
    }
}

/// The place of a transaction in its batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BatchItem)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemView {
    /// The id of the batch, which is the id of its first transaction.
    pub batch_id: String,
    /// The index of the item in the request, from 0.
    pub item: u32,
}

/// A refund of a debit.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RefundMade)]
pub struct RefundView {
    /// The transaction of the refund.
    pub transaction_id: String,
    /// Credits refunded.
    pub amount: u64,
    /// The reason.
    #[schema(value_type = String)]
    pub reason: RefundReason,
}

/// A change of plan.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlanShift {
    /// The plan before.
    pub from: String,
    /// The plan after.
    pub to: String,
}

/// How the customer finishes a payment.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = NextAction)]
pub struct NextActionView {
    /// redirect: redirect the customer to `url`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The page.
    pub url: String,
}

impl NextActionView {
    /// A redirection to a page.
    #[must_use]
    pub fn redirect(url: String) -> Self {
        Self { kind: "redirect", url }
    }
}

/// Credits of one lot.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceShare {
    /// subscription, purchased or bonus.
    #[schema(value_type = String)]
    pub source: Source,
    /// `sub_2024-01` or `credit_…`
    pub lot_id: String,
    /// Whole credits.
    pub amount: u64,
}

impl From<&Receipt> for TransactionView {
    fn from(receipt: &Receipt) -> Self {
        let Receipt { entry, sequence, details, .. } = receipt;
        Self {
            transaction_id: receipt.transaction_id().to_string(),
            direction: entry.direction,
            category: entry.direction.category(),
            status: receipt.status(),
            amount: entry.amount.get(),
            net: Some(receipt.net()).filter(|net| *net != entry.direction.signed(entry.amount)),
            operation: entry.operation.as_str().to_owned(),
            sources: receipt.shares().iter().map(SourceShare::from).collect(),
            expired: receipt.ended().map(domain::Credits::get),
            balance_after: Some(receipt.balance_after().get()),
            sequence: Some(*sequence),
            timestamp: entry.at,
            plan: entry
                .switch
                .as_ref()
                .map(|switch| PlanShift { from: switch.from.0.clone(), to: switch.to.0.clone() }),
            hold_id: receipt.hold().map(|hold| hold.to_string()),
            captured: receipt.captured().map(domain::Credits::get),
            ..Self::of_details(details)
        }
    }
}

impl TransactionView {
    /// The transaction with its refunds, from its remainder.
    #[must_use]
    pub fn with_refunds(self, remainder: Option<&Remainder>) -> Self {
        let refunds = remainder.map(|remainder| remainder.made.iter().filter_map(RefundView::of).collect());
        Self { refunds: refunds.unwrap_or_default(), ..self }
    }

    /// A purchase that is not in the ledger, or not yet.
    #[must_use]
    pub fn unbooked(purchase: &Purchase) -> Self {
        let (status, link, failure) = match purchase.status.clone() {
            PurchaseStatus::Pending(link) => ("pending", link, None),
            PurchaseStatus::Approved(_) => ("approved", None, None),
            PurchaseStatus::Failed(decline) => ("failed", None, Some(decline)),
        };
        let details = Details {
            price_version: Some(purchase.offer.version),
            service: purchase.offer.service,
            paid: Some(PaymentDetails::by(purchase)),
            ..Details::default()
        };
        Self {
            transaction_id: purchase.id.transaction.to_string(),
            status,
            amount: u64::from(purchase.offer.credits),
            failure,
            next_action: link.map(NextActionView::redirect),
            timestamp: purchase.made_at,
            ..Self::of_details(&details)
        }
    }

    /// A view of details alone: a purchase of no credits.
    fn of_details(details: &Details) -> Self {
        let text = |text: &Option<domain::Reference>| text.as_ref().map(|text| text.as_str().to_owned());
        let paid = details.paid.as_ref();
        let refund = details.drawn.as_ref().and_then(Drawn::refund);
        Self {
            transaction_id: String::new(),
            direction: Direction::Credit,
            category: Direction::Credit.category(),
            status: "approved",
            amount: 0,
            net: None,
            operation: "credit.purchase".to_owned(),
            quantity: details.quantity.map(domain::Quantity::get),
            resource_id: text(&details.resource_id),
            customer_id: text(&details.customer_id),
            member_id: text(&details.member_id),
            service: details.service,
            sources: vec![],
            expired: None,
            balance_after: None,
            sequence: None,
            price_version: details.price_version,
            timestamp: DateTime::UNIX_EPOCH,
            super_admin: details.super_admin.map(|key| key.to_string()),
            requested_by: details.requested_by.map(|member| member.to_string()),
            payment_method: paid.map(|paid| paid.method.as_str().to_owned()),
            currency: paid.map(|paid| paid.price.currency().code().to_owned()),
            exchange_rate: paid.and_then(|paid| paid.rate).map(domain::Rate::get),
            price: paid.map(|paid| MoneyView::from(paid.price)),
            package: paid.and_then(|paid| paid.package.as_ref()).map(|package| package.0.clone()),
            receipt: paid.and_then(|paid| paid.receipt.clone()),
            plan: None,
            monitor_id: details.monitor.map(|monitor| monitor.to_string()),
            failure: None,
            next_action: None,
            refund_of: refund.map(|refund| refund.of.to_string()),
            reason: refund.map(|refund| refund.reason),
            duplicate_of: refund.and_then(|refund| refund.duplicate_of).map(|twin| twin.to_string()),
            hold_id: None,
            held_for: details.purpose.as_ref().map(|purpose| purpose.as_str().to_owned()),
            captured: None,
            settle_by: details.settle_by.as_ref().map(timestamp::text),
            batch: details
                .batch
                .map(|place| BatchItemView { batch_id: place.batch.to_string(), item: place.item }),
            refunds: vec![],
            description: text(&details.description),
            metadata: details.metadata.pairs().clone(),
        }
    }
}

impl From<&Share> for SourceShare {
    fn from(share: &Share) -> Self {
        Self { source: share.source, lot_id: share.lot.to_string(), amount: share.amount.get() }
    }
}

impl From<&Move> for SourceShare {
    fn from(part: &Move) -> Self {
        Self { source: part.source, lot_id: part.lot.to_string(), amount: part.amount.get() }
    }
}

impl RefundView {
    fn of(made: &Drawdown) -> Option<Self> {
        let DrawdownKind::Refund(reason) = made.cause else { return None };
        Some(Self { transaction_id: made.id.to_string(), amount: made.amount.get(), reason })
    }
}
