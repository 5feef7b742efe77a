//! The story of the showcase: what happens besides its debits, and when.

use chrono::{DateTime, Duration, Utc};
use fastrand::Rng;

use super::traffic::{PlannedDebit, debits};
use crate::scale::ShowcaseScale;

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Happening {
    pub(super) at: DateTime<Utc>,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Debit(PlannedDebit),
    Step(Step),
}

/// Something that is not a debit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The alert settings are saved.
    SetAlerts,
    /// Auto-recharge is switched on.
    SetAutoRecharge,
    /// A webhook is created.
    AddWebhook,
    /// The operator grants bonus credits that expire.
    GrantBonus,
    /// A package is bought with a payment method.
    Buy(&'static str),
    /// The bank of the first purchase's customer reclaims the payment.
    OpenDispute,
    /// The bank decides for the merchant.
    WinDispute,
    /// Credits are held for an operation.
    Hold,
    /// Some credits of the last hold are captured.
    CaptureSome,
    /// The rest of the last hold is captured.
    Capture,
    /// The rest of the last hold is released.
    Release,
    /// The last hold is read: after its end, this closes it.
    ReadHold,
    /// A recent debit is refunded, in part or whole.
    Refund { in_part: bool },
}

/// A card that every charge succeeds with.
pub(super) const CARD: &str = "card_visa_4242";

/// What happens once, and when, in thousandths of the time.
const ONCE: [(u64, Step); 11] = [
    (1, Step::SetAlerts),
    (8, Step::Buy(CARD)),
    (120, Step::Buy("card_declined")),
    (150, Step::GrantBonus),
    (260, Step::Buy(CARD)),
    (400, Step::OpenDispute),
    (470, Step::WinDispute),
    (500, Step::Buy(CARD)),
    (550, Step::SetAutoRecharge),
    (700, Step::Buy("card_insufficient_funds")),
    (860, Step::AddWebhook),
];

/// How many holds and refunds there are.
const HOLDS: u64 = 20;
const REFUNDS: u64 = 48;

/// When a bonus expires: this many thousandths of the time after it was granted.
pub(super) const BONUS_LASTS: u64 = 130;

/// Everything that happens from `from` until the end of the time, in order.
pub(super) fn story(from: DateTime<Utc>, scale: ShowcaseScale, random: &mut Rng) -> Vec<Happening> {
    let at = |thousandths: u64| from.checked_add_signed(scale.share(thousandths)).unwrap_or(from);
    let step = |at, step| Happening { at, what: What::Step(step) };
    let mut all: Vec<_> = debits(from, scale, random)
        .into_iter()
        .map(|debit| Happening { at: debit.at, what: What::Debit(debit) })
        .collect();
    all.extend(ONCE.map(|(thousandths, once)| step(at(thousandths), once)));
    for number in 0..HOLDS {
        let begin = at(number.saturating_mul(980).checked_div(HOLDS).unwrap_or(0).saturating_add(15));
        let later = |minutes| after(begin, minutes);
        all.push(step(begin, Step::Hold));
        match number.checked_rem(4) {
            Some(0) => all.push(step(later(12), Step::Capture)),
            Some(1) => all.extend([step(later(8), Step::CaptureSome), step(later(20), Step::Release)]),
            Some(2) => all.push(step(later(15), Step::Release)),
            Some(_) | None => all.push(step(later(75), Step::ReadHold)),
        }
    }
    for number in 0..REFUNDS {
        let place = number.saturating_mul(970).checked_div(REFUNDS).unwrap_or(0).saturating_add(20);
        all.push(step(at(place), Step::Refund { in_part: number.is_multiple_of(5) }));
    }
    let until = at(1000);
    // A payment that is not authenticated is cancelled after a day; this one still waits, as does a hold.
    all.push(step(after(until, -95), Step::Buy("card_authentication")));
    all.push(step(after(until, -25), Step::Hold));
    all.retain(|one| (from..until).contains(&one.at));
    all.sort_by_key(|one| one.at);
    all
}

fn after(at: DateTime<Utc>, minutes: i64) -> DateTime<Utc> {
    at.checked_add_signed(Duration::minutes(minutes)).unwrap_or(at)
}
