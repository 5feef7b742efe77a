//! The outcome of a charge, by the name of its payment method.

use crate::{ChargeOrder, Decline};
use domain::Reference;

/// The outcome of an order, which depends only on its payment method and on whether the customer is present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MethodOutcome {
    /// The charge succeeds.
    Succeeds,
    /// The bank declines.
    Declined,
    /// The bank declines for insufficient funds.
    InsufficientFunds,
    /// The customer has to authenticate the payment.
    NeedsCustomer,
    /// The customer would have to authenticate the payment, and is not present.
    CustomerAway,
    /// The charge succeeds, and the call gets no answer.
    SilentCharged,
    /// Nothing is charged, and no call gets an answer.
    SilentUncharged,
    /// The charge succeeds after some seconds.
    Slow,
    /// The payment method does not exist.
    Unknown,
}

impl MethodOutcome {
    const ALL: [Self; 9] = [
        Self::Succeeds,
        Self::Declined,
        Self::InsufficientFunds,
        Self::NeedsCustomer,
        Self::CustomerAway,
        Self::SilentCharged,
        Self::SilentUncharged,
        Self::Slow,
        Self::Unknown,
    ];

    pub(super) fn of(order: &ChargeOrder) -> Self {
        Self::of_method(&order.method, order.off_session)
    }

    pub(super) fn of_method(method: &Reference, off_session: bool) -> Self {
        match method.as_str() {
            "card_declined" => Self::Declined,
            "card_insufficient_funds" => Self::InsufficientFunds,
            "card_authentication" if off_session => Self::CustomerAway,
            "card_authentication" => Self::NeedsCustomer,
            "card_timeout_charged" => Self::SilentCharged,
            "card_timeout_uncharged" => Self::SilentUncharged,
            "card_slow" => Self::Slow,
            other if other.starts_with("card_") => Self::Succeeds,
            _ => Self::Unknown,
        }
    }

    /// The decline, for an outcome that is one.
    pub(super) fn decline(self) -> Option<Decline> {
        let (reason, decline_code) = match self {
            Self::Declined => ("card_declined", Some("generic_decline")),
            Self::InsufficientFunds => ("card_declined", Some("insufficient_funds")),
            Self::CustomerAway => ("authentication_required", Some("authentication_required")),
            Self::Unknown => ("payment_method_unknown", None),
            Self::Succeeds
            | Self::NeedsCustomer
            | Self::SilentCharged
            | Self::SilentUncharged
            | Self::Slow => return None,
        };
        Some(Decline { reason: reason.to_owned(), decline_code: decline_code.map(str::to_owned) })
    }

    /// The word for the outcome in a payment's id.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Succeeds => "ok",
            Self::Declined => "declined",
            Self::InsufficientFunds => "poor",
            Self::NeedsCustomer => "action",
            Self::CustomerAway => "away",
            Self::SilentCharged => "silent",
            Self::SilentUncharged => "never",
            Self::Slow => "slow",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}
