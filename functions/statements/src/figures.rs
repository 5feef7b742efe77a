//! Figures as a document shows them.

use domain::Currency;
use rust_decimal::Decimal;
use scrip_documents::{grouped, signed};

use super::statement::SignedMoney;

/// A number of credits or calls: U+2212 for less than zero.
pub(crate) fn number(number: i64) -> String {
    if number < 0 { signed(number.into()) } else { grouped(number.into()) }
}

/// A number that was subtracted: with the opposite sign, 0 as it is.
pub(crate) fn less(amount: i64) -> String {
    if amount == 0 { number(0) } else { signed(i128::from(amount).saturating_neg()) }
}

/// An amount of money in units of its currency: `1,234.50 GBP`.
pub(crate) fn money(money: &SignedMoney) -> String {
    let decimals = Currency::try_from(money.currency.clone()).map_or(0, Currency::decimals);
    let text = Decimal::new(money.amount, decimals).abs().to_string();
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    let sign = if money.amount < 0 { "\u{2212}" } else { "" };
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{rest} {}", money.currency)
}
