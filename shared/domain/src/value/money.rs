//! Amounts of money, currencies and exchange rates.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::Amount;

/// A currency of ISO 4217 in which payments are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(iso_currency::Currency);

/// The text is not the code of such a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the ISO 4217 code of a payment currency, such as GBP")]
pub struct BadCurrency;

/// An amount of money in minor units (pence, cents), `1..=Money::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MoneyText", into = "MoneyText")]
pub struct Money {
    amount: u64,
    currency: Currency,
}

/// The amount of money is outside the allowed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to {} minor units", Money::MAX)]
pub struct BadMoney;

/// An exchange rate: units of the target currency per unit of the source currency, `0 < rate <= Rate::MAX`, at
/// most six decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Decimal", into = "Decimal")]
pub struct Rate(Decimal);

/// The number is outside the range of exchange rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be above 0, at most {}, with at most {} decimals", Rate::MAX, Rate::DECIMALS)]
pub struct BadRate;

/// Codes of ISO 4217 that are not payment currencies: metals, units of account, bond market units, funds, test
/// codes, and "no currency".
const NOT_MONEY: [&str; 23] = [
    "XAU", "XAG", "XPD", "XPT", "XBA", "XBB", "XBC", "XBD", "XDR", "XSU", "XUA", "XTS", "XXX", "BOV", "CHE",
    "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "XFU",
];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a JSON object, {\"amount\": minor units, \"currency\": \"GBP\"}")]
struct MoneyText {
    amount: u64,
    currency: Currency,
}

impl Currency {
    /// The default billing currency of organisations.
    pub const GBP: Self = Self(iso_currency::Currency::GBP);

    /// Its three-letter code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// The number of decimals of its minor unit: 2 for GBP, 0 for JPY.
    #[must_use]
    pub fn decimals(self) -> u32 {
        self.0.exponent().map_or(0, u32::from)
    }
}

impl TryFrom<String> for Currency {
    type Error = BadCurrency;

    fn try_from(code: String) -> Result<Self, BadCurrency> {
        let is_money = !NOT_MONEY.contains(&code.as_str());
        iso_currency::Currency::from_code(&code).filter(|_| is_money).map(Self).ok_or(BadCurrency)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl Money {
    /// The highest amount of one payment: eight digits, as card networks allow.
    pub const MAX: u64 = 99_999_999;

    /// An amount of minor units.
    ///
    /// # Errors
    /// [`BadMoney`] for 0 and above [`Money::MAX`].
    pub fn new(amount: u64, currency: Currency) -> Result<Self, BadMoney> {
        if (1..=Self::MAX).contains(&amount) { Ok(Self { amount, currency }) } else { Err(BadMoney) }
    }

    /// The amount, limited to `1..=Money::MAX`.
    #[must_use]
    pub fn at_most(amount: u64, currency: Currency) -> Self {
        Self { amount: amount.clamp(1, Self::MAX), currency }
    }

    /// The number of minor units.
    #[must_use]
    pub fn amount(self) -> u64 {
        self.amount
    }

    /// The currency.
    #[must_use]
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// The price of one credit when `credits` cost this amount: in major units of the currency (pounds, not
    /// pence), rounded to six decimals.
    #[must_use]
    pub fn per_credit(self, credits: Amount) -> Decimal {
        let price = Decimal::new(i64::try_from(self.amount).unwrap_or(i64::MAX), self.currency.decimals());
        let each = price.checked_div(Decimal::from(u64::from(credits))).unwrap_or_default();
        each.round_dp(Self::PER_CREDIT_DECIMALS).normalize()
    }

    const PER_CREDIT_DECIMALS: u32 = 6;

    /// The price of `wanted` credits when `credits` cost this amount, rounded up to a whole minor unit:
    /// splitting a purchase never makes it cheaper.
    ///
    /// # Errors
    /// [`BadMoney`] when that is more than [`Money::MAX`].
    pub fn in_proportion(self, wanted: Amount, credits: Amount) -> Result<Self, BadMoney> {
        let product = u128::from(self.amount).checked_mul(u128::from(u64::from(wanted)));
        let price = product.map(|product| product.div_ceil(u128::from(u64::from(credits))));
        let price = price.and_then(|price| u64::try_from(price).ok()).ok_or(BadMoney)?;
        Self::new(price, self.currency)
    }
}

impl TryFrom<MoneyText> for Money {
    type Error = BadMoney;

    fn try_from(text: MoneyText) -> Result<Self, BadMoney> {
        Self::new(text.amount, text.currency)
    }
}

impl From<Money> for MoneyText {
    fn from(money: Money) -> Self {
        Self { amount: money.amount, currency: money.currency }
    }
}

impl Rate {
    /// 1.
    pub const ONE: Self = Self(Decimal::ONE);
    /// The highest rate.
    pub const MAX: u32 = 1_000_000;
    /// The maximum number of decimals.
    pub const DECIMALS: u32 = 6;

    /// The number.
    #[must_use]
    pub fn get(self) -> Decimal {
        self.0
    }
}

impl TryFrom<Decimal> for Rate {
    type Error = BadRate;

    fn try_from(rate: Decimal) -> Result<Self, BadRate> {
        let fits = rate > Decimal::ZERO
            && rate <= Decimal::from(Self::MAX)
            && rate.normalize().scale() <= Self::DECIMALS;
        if fits { Ok(Self(rate.normalize())) } else { Err(BadRate) }
    }
}

impl From<Rate> for Decimal {
    fn from(rate: Rate) -> Decimal {
        rate.0
    }
}
