use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{Balance, Money, instant};
use domain::{
    self, Decline, Details, Direction, Drawdown, DrawdownCause, HoldId, Move, Paid, Pot, Purchase, Reason,
    Receipt, Service, Share, Source, Stage, Why,
};

/// One line of the ledger.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "type": "DEBIT", "category": "usage", "status": "approved",
    "amount": 2, "operation": "verification.standard", "quantity": 1, "resourceId": "verif_xyz789",
    "customerId": null, "memberId": null, "service": null,
    "sources": [{ "source": "subscription", "lotId": "sub_2024-01", "amount": 2 }],
    "balanceAfter": 398, "sequence": 17, "priceVersion": 1, "timestamp": "2024-01-15T10:30:00Z",
    "paymentMethod": null, "currency": null, "exchangeRate": null, "refunds": [], "metadata": {}
}))]
pub struct Transaction {
    /// `txn_…`
    pub transaction_id: String,
    /// DEBIT when credits leave, CREDIT when they arrive.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "DEBIT")]
    pub direction: Direction,
    /// `usage` for debits, `purchase` for credits.
    pub category: &'static str,
    /// `approved`: it is in the ledger; `postPaid`: it is, and some of it is owed; `pending` or `failed`: a
    /// purchase that is not.
    pub status: &'static str,
    /// Whole credits, never negative.
    pub amount: u64,
    /// By how many credits the balance changed: positive for more, negative for less. Only where that is not what
    /// `type` and `amount` say: a renewal that also expires the month before, credits of which some had ended before
    /// they came back, a debit that an unlimited plan or credits on account pay for, a purchase that settles a debt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<i64>,
    /// What was done: `verification.standard`, `credit.purchase`, …
    pub operation: String,
    /// How many times; null for what is not a priced operation.
    pub quantity: Option<u64>,
    /// The caller's name for what was checked.
    pub resource_id: Option<String>,
    /// The caller's name for the customer.
    pub customer_id: Option<String>,
    /// The caller's name for the member of staff.
    pub member_id: Option<String>,
    /// The service that was used, or that a grant is set aside for.
    #[schema(value_type = Option<String>)]
    pub service: Option<Service>,
    /// Which lots gave or received, in the order of consumption; for a capture, those that its hold had taken from.
    pub sources: Vec<SourceShare>,
    /// How many credits had ended when it was booked: what was left of the month before, in a renewal; in a refund
    /// or a release, what came back to a month or a lot that is over. Left out where none had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired: Option<u64>,
    /// Credits right after it, as the lines add up: those available, and for a minute after the end of a lot
    /// what was left in it. Null for what is not in the ledger.
    pub balance_after: Option<u64>,
    /// 1, 2, 3, … without a gap per organisation; null for what is not in the ledger.
    pub sequence: Option<u64>,
    /// Which version of the operation's or the package's price was charged.
    pub price_version: Option<u32>,
    /// When it took effect.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: DateTime<Utc>,
    /// The operator's key, where an operator did it.
    pub super_admin: Option<String>,
    /// How credits were paid for, by the payment provider's name.
    pub payment_method: Option<String>,
    /// ISO 4217 code of what was paid.
    pub currency: Option<String>,
    /// What one unit of it was worth in the organisation's own currency.
    #[serde(serialize_with = "rust_decimal::serde::float_option::serialize")]
    #[schema(value_type = Option<f64>)]
    pub exchange_rate: Option<rust_decimal::Decimal>,
    /// How much was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Money>,
    /// The package that was bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The payment provider's receipt or invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// From which plan to which; only in a change of plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanShift>,
    /// The monitor whose month was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor_id: Option<String>,
    /// Why a purchase has failed, as the payment provider says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({ "reason": "card_declined", "declineCode": "generic_decline" }))]
    pub failure: Option<Decline>,
    /// What the customer has to do to finish a purchase that is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_action: Option<NextAction>,
    /// The debit that it refunds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund_of: Option<String>,
    /// Why it was refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// The earlier debit for the same, where that is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
    /// The hold that set credits aside, spent them, or gave them back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    /// The operation that credits were set aside for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_for: Option<String>,
    /// How many credits that were set aside are spent by it: usage, where `amount` is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<u64>,
    /// Until when a failure may be reported, to be refunded at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub settle_by: Option<String>,
    /// The batch that it is an item of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchItem>,
    /// What was refunded of it, the earliest first.
    pub refunds: Vec<RefundMade>,
    /// In words.
    pub description: Option<String>,
    /// The caller's own key and value pairs.
    pub metadata: BTreeMap<String, String>,
}

/// A transaction that was just made, and the balance right after it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Booked {
    /// The transaction.
    #[serde(flatten)]
    pub transaction: Transaction,
    /// The balance.
    pub balance: Balance,
}

impl From<&Receipt> for Booked {
    fn from(receipt: &Receipt) -> Self {
        Self { transaction: receipt.into(), balance: receipt.into() }
    }
}

/// Where a transaction is in its batch.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BatchItem {
    /// The batch: the id of its first transaction.
    pub batch_id: String,
    /// Which item of the request, from 0.
    pub item: u32,
}

/// A refund of a debit, as the debit has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefundMade {
    /// The refund's own transaction.
    pub transaction_id: String,
    /// How many credits.
    pub amount: u64,
    /// Why.
    #[schema(value_type = String)]
    pub reason: Reason,
}

/// One plan in place of another.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlanShift {
    /// The plan before.
    pub from: String,
    /// The plan after.
    pub to: String,
}

/// Where a customer finishes a payment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NextAction {
    /// redirect: send the customer to `url`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The page.
    pub url: String,
}

impl NextAction {
    /// To that page.
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

impl From<&Receipt> for Transaction {
    fn from(receipt: &Receipt) -> Self {
        let Receipt { entry, sequence, details, balance } = receipt;
        let on_account =
            |part: &&Move| part.source == Source::PostPaid && entry.direction == Direction::Debit;
        let bought = details.paid.as_ref().map(|paid| paid.transaction);
        Self {
            transaction_id: bought.unwrap_or(entry.id).to_string(),
            direction: entry.direction,
            category: match entry.direction {
                Direction::Debit => "usage",
                Direction::Credit => "purchase",
            },
            status: if entry.moves.iter().any(|part| on_account(&part)) { "postPaid" } else { "approved" },
            amount: entry.amount.get(),
            net: Some(receipt.net()).filter(|net| *net != entry.direction.signed(entry.amount)),
            operation: entry.operation.as_str().to_owned(),
            sources: match details.drawn.as_ref().filter(|drawn| drawn.why == Why::Capture) {
                Some(captured) => captured.shares.iter().map(SourceShare::from).collect(),
                None => receipt.sources().iter().map(SourceShare::from).collect(),
            },
            expired: receipt.ended().map(domain::Credits::get),
            balance_after: Some(balance.booked().unwrap_or(domain::Credits::MAX).get()),
            sequence: Some(*sequence),
            timestamp: entry.at,
            plan: entry
                .switch
                .as_ref()
                .map(|switch| PlanShift { from: switch.from.0.clone(), to: switch.to.0.clone() }),
            hold_id: details
                .drawn
                .as_ref()
                .filter(|drawn| !matches!(drawn.why, Why::Refund { .. }))
                .map(|drawn| drawn.of)
                .or(receipt.is_hold().then_some(entry.id))
                .map(|hold| HoldId::from(hold).to_string()),
            ..Self::asked(details)
        }
    }
}

impl Transaction {
    /// A line with what was refunded of it, as its pot has it.
    #[must_use]
    pub fn with_refunds(self, pot: Option<&Pot>) -> Self {
        let refunds = pot.map(|pot| pot.made.iter().filter_map(RefundMade::of).collect());
        Self { refunds: refunds.unwrap_or_default(), ..self }
    }

    /// A purchase that the ledger does not have, or not yet.
    #[must_use]
    pub fn unbooked(purchase: &Purchase) -> Self {
        let (status, link, failure) = match purchase.stage.clone() {
            Stage::Pending(link) => ("pending", link, None),
            Stage::Approved(_) => ("approved", None, None),
            Stage::Failed(decline) => ("failed", None, Some(decline)),
        };
        let details = Details {
            price_version: Some(purchase.offer.version),
            paid: Some(Paid::by(purchase)),
            ..Details::default()
        };
        Self {
            transaction_id: purchase.id.transaction.to_string(),
            status,
            amount: u64::from(purchase.offer.credits),
            failure,
            next_action: link.map(NextAction::redirect),
            timestamp: purchase.made_at,
            ..Self::asked(&details)
        }
    }

    /// What was asked for, as a purchase of nothing.
    fn asked(details: &Details) -> Self {
        let text = |text: &Option<domain::Reference>| text.as_ref().map(|text| text.as_str().to_owned());
        let paid = details.paid.as_ref();
        let drawn = details.drawn.as_ref();
        let refund = drawn.and_then(|drawn| match &drawn.why {
            Why::Refund { reason, twin, .. } => Some((drawn.of, (*reason, *twin))),
            Why::Capture | Why::Release | Why::Expiry => None,
        });
        Self {
            transaction_id: String::new(),
            direction: Direction::Credit,
            category: "purchase",
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
            payment_method: paid.map(|paid| paid.method.as_str().to_owned()),
            currency: paid.map(|paid| paid.price.currency().code().to_owned()),
            exchange_rate: paid.and_then(|paid| paid.rate).map(domain::Rate::get),
            price: paid.map(|paid| Money::from(paid.price)),
            package: paid.and_then(|paid| paid.package.as_ref()).map(|package| package.0.clone()),
            receipt: paid.and_then(|paid| paid.receipt.clone()),
            plan: None,
            monitor_id: details.monitor.map(|monitor| monitor.to_string()),
            failure: None,
            next_action: None,
            refund_of: refund.map(|(of, _)| of.to_string()),
            reason: refund.map(|(_, (reason, _))| reason),
            duplicate_of: refund.and_then(|(_, (_, twin))| twin).map(|twin| twin.to_string()),
            hold_id: None,
            held_for: details.purpose.as_ref().map(|purpose| purpose.as_str().to_owned()),
            captured: drawn.filter(|drawn| drawn.why == Why::Capture).map(|drawn| drawn.amount().get()),
            settle_by: details.settle_by.as_ref().map(instant::text),
            batch: details
                .batch
                .map(|place| BatchItem { batch_id: place.batch.to_string(), item: place.item }),
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

impl RefundMade {
    fn of(made: &Drawdown) -> Option<Self> {
        let DrawdownCause::Refund(reason) = made.cause else { return None };
        Some(Self { transaction_id: made.id.to_string(), amount: made.amount.get(), reason })
    }
}
