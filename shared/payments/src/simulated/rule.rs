use crate::{Decline, Order};
use domain::Reference;

/// What the name of a payment method, and nothing else, makes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The money is taken.
    Succeeds,
    /// The bank refuses.
    Declined,
    /// The bank refuses: there is not enough on the account.
    InsufficientFunds,
    /// The customer has to authenticate it first.
    NeedsCustomer,
    /// The customer would have to authenticate it, and is not there.
    CustomerAway,
    /// The money is taken, and nobody says so.
    SilentCharged,
    /// Nothing happens, and nobody says so.
    SilentUncharged,
    /// The money is taken, after a while.
    Slow,
    /// There is no such payment method.
    Unknown,
}

impl Rule {
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

    pub(super) fn of(order: &Order) -> Self {
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

    /// Why it is refused, if it is.
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

    /// Its name in a payment's id.
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
        Self::ALL.into_iter().find(|rule| rule.word() == word)
    }
}
