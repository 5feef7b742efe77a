//! A credit record: the JSON of a transaction, or of a purchase that is not in the ledger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{
    Account, CreditId, Credits, Direction, Drawdown, DrawdownKind, EntryId, LotId, LotRecord, Move, OrgId,
    PaymentDetails, Period, Purchase, PurchaseStatus, Receipt, RecordKind, Remainder, Service,
};
use rust_decimal::Decimal;
use scrip_http::timestamp;
use serde::Serialize;
use store::FoundRecord;
use utoipa::ToSchema;

/// A credit record.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreditRecord)]
#[schema(example = json!({
    "id": "credit_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "_id": "credit_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "amount": 1000, "used": 250,
    "remaining": 750, "expiresAt": "2024-12-31T23:59:59Z", "isExpired": false, "service": "smartcheck",
    "status": "approved", "category": "purchase", "client": "org_01HKZNPZB0YQ3T5N1C8V6W2X4G",
    "superAdmin": "key_01HKZNPZB0YQ3T5N1C8V6W2X4H", "description": "SmartCheck verification credits",
    "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "paymentMethod": null, "currency": null, "exchangeRate": null,
    "createdAt": "2024-01-15T10:30:00Z", "updatedAt": "2024-01-15T10:30:00Z"
}))]
pub(crate) struct RecordView {
    /// `credit_…`: that of the lot, for a grant that has one of its own.
    pub(crate) id: String,
    /// The same.
    #[serde(rename = "_id")]
    other_id: String,
    /// Credits that were granted or used, never negative.
    amount: u64,
    /// Of a grant, the credits that were spent or are held, and those that settled a debt; of usage, those that were not
    /// refunded.
    used: u64,
    /// Of a grant, the credits that are left; 0 for usage.
    remaining: u64,
    /// When what is left of a grant expires.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// Whether it has expired.
    is_expired: bool,
    /// The service that a grant is reserved for, or that was used.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// `approved`, `pending`, `failed`, or `postPaid` for usage that is partly owed.
    status: &'static str,
    /// `purchase` for credits that arrive, `usage` for credits that are used.
    category: &'static str,
    /// The organisation, `org_…`.
    pub(crate) client: NamedView,
    /// The operator's key, for a record of an operator.
    pub(crate) super_admin: Option<NamedView>,
    /// A description.
    description: String,
    /// The transaction, `txn_…`.
    transaction_id: String,
    /// The payment provider's name for the payment method.
    payment_method: Option<String>,
    /// ISO 4217 code of the payment's currency.
    currency: Option<String>,
    /// Units of the organisation's own currency for one unit of that currency.
    #[serde(serialize_with = "rust_decimal::serde::float_option::serialize")]
    #[schema(value_type = Option<f64>)]
    exchange_rate: Option<Decimal>,
    /// When the transaction took effect, or the purchase was made.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// When it last changed: of usage, the last refund.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: DateTime<Utc>,
}

/// An id, or an object with the id and the name.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = CreditRecordParty)]
pub(crate) enum NamedView {
    /// The id.
    Id(String),
    /// With `populates[]`.
    Named(Named),
}

/// An id and a name.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = NamedCreditRecordParty)]
pub(crate) struct Named {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// What a record shows besides its transaction.
pub(crate) struct RecordSource<'a> {
    pub(crate) client: OrgId,
    /// The account as it is now; `None` when it does not exist.
    pub(crate) account: Option<&'a Account>,
    /// What was drawn from the transaction.
    pub(crate) remainder: Option<&'a Remainder>,
    /// The records of lots.
    pub(crate) lots: &'a BTreeMap<LotId, LotRecord>,
    pub(crate) now: DateTime<Utc>,
}

/// How many credits of a record are used and left, and until when.
#[derive(Default)]
struct Use {
    used: Credits,
    remaining: Credits,
    expires_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
}

impl RecordView {
    /// The record of a transaction.
    pub(crate) fn booked(receipt: &Receipt, source: &RecordSource<'_>) -> Self {
        let Receipt { entry, details, .. } = receipt;
        let kind = RecordKind::of(receipt);
        let captured = details.drawn.as_ref().filter(|_| receipt.is_capture()).map(domain::Drawn::amount);
        let amount = captured.unwrap_or(entry.amount);
        let shown = match kind {
            RecordKind::Purchase => Use::of_grant(receipt, source),
            RecordKind::Nothing | RecordKind::Usage | RecordKind::PostPaid => Use::of_debit(amount, source),
        };
        let bought = details.paid.as_ref().map(|paid| paid.transaction);
        let description = details.description.as_ref().map(|text| text.as_str().to_owned());
        Self {
            amount: amount.get(),
            used: shown.used.get(),
            remaining: shown.remaining.get(),
            expires_at: shown.expires_at.as_ref().map(timestamp::text),
            is_expired: shown.expires_at.is_some_and(|end| end <= source.now),
            service: details.service,
            status: if kind == RecordKind::PostPaid { "postPaid" } else { "approved" },
            category: if kind == RecordKind::Purchase { "purchase" } else { "usage" },
            super_admin: details.super_admin.map(|key| NamedView::Id(key.to_string())),
            description: description.unwrap_or_else(|| described(receipt)),
            created_at: entry.at,
            updated_at: shown.updated_at.unwrap_or(entry.at),
            ..Self::of(entry.id, bought.unwrap_or(entry.id), source.client, details.paid.as_ref())
        }
    }

    /// The record of a purchase that is not in the ledger: nothing of it can be used.
    pub(crate) fn unbooked(purchase: &Purchase) -> Self {
        let status = match &purchase.status {
            PurchaseStatus::Pending(_) => "pending",
            PurchaseStatus::Approved(_) => "approved",
            PurchaseStatus::Failed(_) => "failed",
        };
        let (id, paid) = (purchase.id.transaction, PaymentDetails::by(purchase));
        Self {
            amount: purchase.offer.credits.into(),
            status,
            description: bought(&paid),
            created_at: purchase.made_at,
            updated_at: purchase.made_at,
            ..Self::of(id, id, purchase.id.account.org, Some(&paid))
        }
    }

    /// A purchase of no credits.
    fn of(id: EntryId, transaction: EntryId, client: OrgId, paid: Option<&PaymentDetails>) -> Self {
        let id = CreditId::from(id).to_string();
        Self {
            id: id.clone(),
            other_id: id,
            amount: 0,
            used: 0,
            remaining: 0,
            expires_at: None,
            is_expired: false,
            service: None,
            status: "approved",
            category: "purchase",
            client: NamedView::Id(client.to_string()),
            super_admin: None,
            description: String::new(),
            transaction_id: transaction.to_string(),
            payment_method: paid.map(|paid| paid.method.as_str().to_owned()),
            currency: paid.map(|paid| paid.price.currency().code().to_owned()),
            exchange_rate: paid.and_then(|paid| paid.rate).map(domain::Rate::get),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }
}

impl Use {
    /// What was used of a debit: what was not refunded.
    fn of_debit(amount: Credits, source: &RecordSource<'_>) -> Self {
        let is_refund = |made: &&Drawdown| matches!(made.cause, DrawdownKind::Refund(_));
        let refunds = source.remainder.iter().flat_map(|remainder| &remainder.made).filter(is_refund);
        let used = refunds.clone().fold(amount, |left, made| left.less(made.amount).unwrap_or_default());
        let updated_at = refunds.map(|made| made.id.time()).max();
        Self { used, updated_at, ..Self::default() }
    }

    /// What is left of a grant: what its lot has, as far as the grant brought it.
    fn of_grant(receipt: &Receipt, source: &RecordSource<'_>) -> Self {
        let entry = &receipt.entry;
        let Some(part) = arrived(receipt) else {
            return Self { used: entry.amount, ..Self::default() };
        };
        let (left, expires_at) = match part.lot {
            LotId::Subscription(month) => (left_of_month(source.account, month), Some(month.next().start())),
            LotId::Granted(lot) => {
                let lot = source.account.and_then(|account| account.lots.get(&lot));
                (lot.map_or(Credits::ZERO, |lot| lot.left), part.terms.expires_at)
            }
            LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => (Credits::ZERO, None),
        };
        let is_expired = expires_at.is_some_and(|end| end <= source.now);
        let left = left.min(part.amount);
        let gone = source
            .lots
            .get(&part.lot)
            .map_or([Credits::ZERO; 3], |lot| [lot.expired, lot.withdrawn, lot.moved]);
        let others = gone.iter().chain([&left]);
        Self {
            used: others.fold(entry.amount, |used, part| used.less(*part).unwrap_or_default()),
            remaining: if is_expired { Credits::ZERO } else { left },
            expires_at,
            updated_at: None,
        }
    }
}

/// The lot that a grant's credits arrived in; `None` for credits that settled a debt, and for other transactions.
fn arrived(receipt: &Receipt) -> Option<&Move> {
    let arrived = |part: &&Move| part.direction == Direction::Credit && part.lot.is_counted();
    receipt.entry.moves.iter().rfind(arrived)
}

/// The lot of a grant's record.
pub(crate) fn lot_of(record: &FoundRecord) -> Option<LotId> {
    match record {
        FoundRecord::Booked(receipt) if RecordKind::of(receipt) == RecordKind::Purchase => {
            arrived(receipt).map(|part| part.lot)
        }
        FoundRecord::Booked(_) | FoundRecord::Unbooked(_) => None,
    }
}

/// What is left of the subscription credits of a month.
fn left_of_month(account: Option<&Account>, month: Period) -> Credits {
    account
        .filter(|account| account.period == month)
        .map_or(Credits::ZERO, |account| account.subscription.left)
}

/// A description for a transaction that has none of its own.
fn described(receipt: &Receipt) -> String {
    if let Some(paid) = &receipt.details.paid {
        return bought(paid);
    }
    match receipt.entry.operation.as_str() {
        "credit.grant" => "Credit grant".to_owned(),
        "credit.renewal" => "Subscription credits of the month".to_owned(),
        "credit.plan_change" => "Subscription credits of a larger plan".to_owned(),
        "credit.adjustment" => "Adjustment".to_owned(),
        _ => receipt.paid_for().as_str().to_owned(),
    }
}

fn bought(paid: &PaymentDetails) -> String {
    match &paid.package {
        Some(package) => format!("Credit purchase ({})", package.0),
        None => "Credit purchase".to_owned(),
    }
}
