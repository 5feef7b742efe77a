//! The columns of a file of transactions. They are defined here, once for all formats.

use domain::{Credits, Drawn, Money, PaymentDetails, Receipt, Reference, Share, Source};
use rust_decimal::Decimal;

use super::cell::Cell;

/// A column of a file of transactions.
#[derive(Debug)]
pub struct Column {
    /// Its name: the header in CSV and XLSX, the key in JSON Lines.
    pub name: &'static str,
    pub(super) kind: Kind,
    /// Its width in a spreadsheet, in characters.
    pub(super) width: u8,
    pub(super) value: fn(&Receipt) -> Cell<'_>,
}

/// What a column contains, which decides its format in a spreadsheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number that is not an amount: a sequence number, a version.
    Number,
    /// A number of credits.
    Credits,
    /// A change, with its sign.
    Change,
    /// A price.
    Price,
    /// An exchange rate.
    Rate,
    /// A time in UTC.
    Time,
    /// Text.
    Text,
}

/// The columns, in their order. Each is present in every row, and empty (in JSON Lines: null) where it does not apply.
pub const COLUMNS: [Column; 33] = [
    Column::new("sequence", Kind::Number, 10, |row| Cell::count(row.sequence)),
    Column::new("transactionId", Kind::Text, 32, |row| Cell::text(row.transaction_id().to_string())),
    Column::new("timestamp", Kind::Time, 20, |row| Cell::Time(row.entry.at)),
    Column::new("type", Kind::Text, 8, |row| Cell::text(row.entry.direction.as_str())),
    Column::new("operation", Kind::Text, 24, |row| Cell::text(row.entry.operation.as_str())),
    Column::new("category", Kind::Text, 10, |row| Cell::text(row.entry.direction.category())),
    Column::new("status", Kind::Text, 10, |row| Cell::text(row.status())),
    Column::new("quantity", Kind::Credits, 9, |row| Cell::counted(row.details.quantity.map(u64::from))),
    Column::new("amount", Kind::Credits, 12, |row| Cell::count(row.entry.amount.get())),
    Column::new("net", Kind::Change, 12, |row| Cell::Integer(row.net())),
    Column::new("balanceAfter", Kind::Credits, 14, |row| Cell::count(row.balance_after().get())),
    Column::new("netSubscription", Kind::Change, 15, |row| part(row, Source::Subscription)),
    Column::new("netPurchased", Kind::Change, 14, |row| part(row, Source::Purchased)),
    Column::new("netBonus", Kind::Change, 12, |row| part(row, Source::Bonus)),
    Column::new("lots", Kind::Text, 36, |row| Cell::text(lots(&row.shares()))),
    Column::new("service", Kind::Text, 13, |row| {
        Cell::optional(row.details.service.map(domain::Service::as_str))
    }),
    Column::new("resourceId", Kind::Text, 24, |row| reference(row.details.resource_id.as_ref())),
    Column::new("customerId", Kind::Text, 24, |row| reference(row.details.customer_id.as_ref())),
    Column::new("memberId", Kind::Text, 24, |row| reference(row.details.member_id.as_ref())),
    Column::new("keyId", Kind::Text, 32, |row| Cell::shown(row.details.key_id)),
    Column::new("superAdmin", Kind::Text, 32, |row| Cell::shown(row.details.super_admin)),
    Column::new("priceVersion", Kind::Number, 12, |row| Cell::counted(row.details.price_version)),
    Column::new("paymentMethod", Kind::Text, 20, |row| reference(paid(row).map(|paid| &paid.method))),
    Column::new("price", Kind::Price, 12, |row| {
        paid(row).map_or(Cell::Empty, |paid| Cell::Price(in_units(paid.price)))
    }),
    Column::new("currency", Kind::Text, 9, |row| {
        Cell::optional(paid(row).map(|paid| paid.price.currency().code()))
    }),
    Column::new("exchangeRate", Kind::Rate, 13, |row| {
        paid(row).and_then(|paid| paid.rate).map_or(Cell::Empty, |rate| Cell::Rate(rate.get()))
    }),
    Column::new("refundOf", Kind::Text, 32, |row| Cell::shown(refund(row).map(|refund| refund.of))),
    Column::new("reason", Kind::Text, 22, |row| {
        Cell::optional(refund(row).map(|refund| refund.reason.as_str()))
    }),
    Column::new("expired", Kind::Credits, 10, |row| Cell::counted(row.ended().map(Credits::get))),
    Column::new("captured", Kind::Credits, 10, |row| Cell::counted(row.captured().map(Credits::get))),
    Column::new("holdId", Kind::Text, 33, |row| Cell::shown(row.hold())),
    Column::new("description", Kind::Text, 36, |row| reference(row.details.description.as_ref())),
    Column::new("metadata", Kind::Text, 36, |row| Cell::Pairs(row.details.metadata.pairs())),
];

impl Column {
    const fn new(name: &'static str, kind: Kind, width: u8, value: fn(&Receipt) -> Cell<'_>) -> Self {
        Self { name, kind, width, value }
    }

    /// The value of a transaction in this column.
    pub(super) fn of<'a>(&self, receipt: &'a Receipt) -> Cell<'a> {
        (self.value)(receipt)
    }
}

fn part(row: &Receipt, source: Source) -> Cell<'static> {
    Cell::Integer(row.net_of(source))
}

fn reference(reference: Option<&Reference>) -> Cell<'_> {
    Cell::optional(reference.map(Reference::as_str))
}

fn paid(row: &Receipt) -> Option<&PaymentDetails> {
    row.details.paid.as_ref()
}

fn refund(row: &Receipt) -> Option<domain::RefundDetails> {
    row.details.drawn.as_ref().and_then(Drawn::refund)
}

/// Lots with their credits, as `sub_2024-01:2;credit_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA:3`.
fn lots(shares: &[Share]) -> String {
    let lots = shares.iter().map(|share| format!("{}:{}", share.lot, share.amount.get()));
    lots.collect::<Vec<_>>().join(";")
}

/// An amount in units of its currency: 49.00 for 4900 pence.
pub(super) fn in_units(price: Money) -> Decimal {
    Decimal::new(i64::try_from(price.amount()).unwrap_or(i64::MAX), price.currency().decimals())
}
