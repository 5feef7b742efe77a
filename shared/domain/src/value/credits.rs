//! Numbers of credits, with their ranges.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU64;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A number of whole credits, `0..=Credits::MAX`. Never a fraction, never below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "u64")]
pub struct Credits(u64);

/// A number of credits in a request, `1..=Amount::MAX`. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "u64")]
pub struct Amount(NonZeroU64);

/// The number of times that one request charges an operation, `1..=Quantity::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "u64")]
pub struct Quantity(NonZeroU64);

/// A number of credits in `MIN..=MAX` that an operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditsWithin<const MIN: u64, const MAX: u64>(u64);

/// A number of credits that an operator allows an organisation: an allowance, or a post-paid limit.
pub type Allowed = CreditsWithin<0, { Amount::MAX }>;

/// The number is outside its allowed range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from {min} to {max}")]
pub struct OutOfRange {
    min: u64,
    max: u64,
}

impl Credits {
    /// No credits.
    pub const ZERO: Self = Self(0);
    /// One credit.
    pub const ONE: Self = Self(1);
    /// 2^53 - 1: the largest whole number that every JSON client reads back unchanged.
    pub const MAX: Self = Self(9_007_199_254_740_991);
    const RANGE: OutOfRange = OutOfRange { min: 0, max: Self::MAX.0 };

    /// `self - other`, or `None` when `other` is larger.
    #[must_use]
    pub fn less(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// `self + other`, or `None` past [`Credits::MAX`].
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(|sum| Self::try_from(sum).ok())
    }

    /// `self * quantity`, or `None` past [`Amount::MAX`], the most that one request may move.
    #[must_use]
    pub fn times(self, quantity: Quantity) -> Option<Self> {
        self.0.checked_mul(quantity.0.get()).filter(|product| *product <= Amount::MAX).map(Self)
    }

    /// Whether the number is 0.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The number, in whole credits.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl Amount {
    /// The most that one request may move: 10^12 credits.
    pub const MAX: u64 = 1_000_000_000_000;
    const RANGE: OutOfRange = OutOfRange { min: 1, max: Self::MAX };
}

impl<const MIN: u64, const MAX: u64> CreditsWithin<MIN, MAX> {
    const RANGE: OutOfRange = OutOfRange { min: MIN, max: MAX };
}

impl Quantity {
    /// The highest quantity of one request.
    pub const MAX: u64 = 1_000_000;
    /// Once.
    pub const ONE: Self = Self(NonZeroU64::MIN);
    const RANGE: OutOfRange = OutOfRange { min: 1, max: Self::MAX };

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl TryFrom<u64> for Credits {
    type Error = OutOfRange;

    fn try_from(count: u64) -> Result<Self, OutOfRange> {
        if count <= Self::MAX.0 { Ok(Self(count)) } else { Err(Self::RANGE) }
    }
}

impl TryFrom<u64> for Amount {
    type Error = OutOfRange;

    fn try_from(count: u64) -> Result<Self, OutOfRange> {
        within(count, Self::RANGE).map(Self)
    }
}

impl<const MIN: u64, const MAX: u64> TryFrom<u64> for CreditsWithin<MIN, MAX> {
    type Error = OutOfRange;

    fn try_from(count: u64) -> Result<Self, OutOfRange> {
        if (MIN..=MAX).contains(&count) { Ok(Self(count)) } else { Err(Self::RANGE) }
    }
}

impl TryFrom<u64> for Quantity {
    type Error = OutOfRange;

    fn try_from(count: u64) -> Result<Self, OutOfRange> {
        within(count, Self::RANGE).map(Self)
    }
}

fn within(count: u64, range: OutOfRange) -> Result<NonZeroU64, OutOfRange> {
    NonZeroU64::new(count).filter(|count| count.get() <= range.max).ok_or(range)
}

impl<'de> Deserialize<'de> for Credits {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_u64(Reader(Self::RANGE, PhantomData))
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_u64(Reader(Self::RANGE, PhantomData))
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for CreditsWithin<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_u64(Reader(Self::RANGE, PhantomData))
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_u64(Reader(Self::RANGE, PhantomData))
    }
}

/// Deserialises a number. Its error names the allowed range, also for input that is not a number.
struct Reader<T>(OutOfRange, PhantomData<T>);

impl<T: TryFrom<u64, Error = OutOfRange>> Visitor<'_> for Reader<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a whole number from {} to {}", self.0.min, self.0.max)
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<T, E> {
        T::try_from(count).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<T, E> {
        u64::try_from(count).map_err(|_| self.0).and_then(T::try_from).map_err(E::custom)
    }
}

impl From<Credits> for u64 {
    fn from(credits: Credits) -> u64 {
        credits.0
    }
}

impl<const MIN: u64, const MAX: u64> From<CreditsWithin<MIN, MAX>> for Credits {
    fn from(credits: CreditsWithin<MIN, MAX>) -> Credits {
        Credits(credits.0)
    }
}

impl From<Amount> for Credits {
    fn from(amount: Amount) -> Credits {
        Credits(amount.0.get())
    }
}

impl From<Amount> for u64 {
    fn from(amount: Amount) -> u64 {
        amount.0.get()
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> u64 {
        quantity.0.get()
    }
}
