//! The sums of a file's transactions.

use std::collections::BTreeMap;

use domain::{Direction, Receipt, Source};
use rust_decimal::Decimal;

use super::column::in_units;

/// The sums of a file's transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of transactions.
    pub transactions: u64,
    /// The sum of `amount` of all debits.
    pub debited: i128,
    /// The sum of `amount` of all credits.
    pub credited: i128,
    /// The sum of `net`.
    pub net: i128,
    /// The sum of `netSubscription`.
    pub net_subscription: i128,
    /// The sum of `netPurchased`.
    pub net_purchased: i128,
    /// The sum of `netBonus`.
    pub net_bonus: i128,
    /// The sum of `captured`.
    pub captured: i128,
    /// The sum of `price` for each currency, in units of the currency.
    pub paid: BTreeMap<&'static str, Decimal>,
}

impl Totals {
    /// Adds a transaction.
    pub(super) fn add(&mut self, receipt: &Receipt) {
        self.transactions = self.transactions.saturating_add(1);
        let amount = i128::from(receipt.entry.amount.get());
        match receipt.entry.direction {
            Direction::Debit => increase(&mut self.debited, amount),
            Direction::Credit => increase(&mut self.credited, amount),
        }
        increase(&mut self.net, receipt.net().into());
        increase(&mut self.net_subscription, receipt.net_of(Source::Subscription).into());
        increase(&mut self.net_purchased, receipt.net_of(Source::Purchased).into());
        increase(&mut self.net_bonus, receipt.net_of(Source::Bonus).into());
        increase(&mut self.captured, receipt.captured().map_or(0, |credits| credits.get().into()));
        if let Some(paid) = &receipt.details.paid {
            let sum = self.paid.entry(paid.price.currency().code()).or_default();
            *sum = sum.saturating_add(in_units(paid.price));
        }
    }

    /// The sums of credits, with their names.
    pub(super) fn sums(&self) -> [(&'static str, i128); 7] {
        [
            ("Sum of amount, debits", self.debited),
            ("Sum of amount, credits", self.credited),
            ("Sum of net", self.net),
            ("Sum of netSubscription", self.net_subscription),
            ("Sum of netPurchased", self.net_purchased),
            ("Sum of netBonus", self.net_bonus),
            ("Sum of captured", self.captured),
        ]
    }
}

fn increase(sum: &mut i128, by: i128) {
    *sum = sum.saturating_add(by);
}
