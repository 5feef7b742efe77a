//! What an account can spend from now on, and for how long it lasts.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

use super::history::fraction;
use crate::{Account, Allowance, Credits, Period};

/// Less than half a credit is left: nothing, in whole credits.
const HALF_A_CREDIT: f64 = 0.5;

/// What an account can spend from now on, without a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funds {
    /// The credits that can be spent now, in the order of consumption.
    pub parts: Vec<FundsPart>,
    /// What each later month brings on its first day and takes back at its end.
    pub allowance: Allowance,
    /// Credits spent on account, which a purchase settles first.
    pub outstanding: Credits,
}

/// Credits that can be spent until an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FundsPart {
    /// How many.
    pub credits: Credits,
    /// The instant of expiry; for subscription credits the end of their month. A part counts for the whole day on which
    /// it expires.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What comes of funds under some usage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Depletion {
    /// The first day at whose end nothing is left.
    pub(super) runs_out: Option<NaiveDate>,
    /// The credits that this month's usage lacks.
    pub(super) missing: f64,
}

/// Credits left of a part.
struct Left {
    credits: f64,
    expires_at: Option<DateTime<Utc>>,
}

impl Funds {
    /// The funds of an account at `now`, also when its renewal is due and not booked yet.
    #[must_use]
    pub fn of(account: &Account, now: DateTime<Utc>) -> Self {
        let month = Period::of(now);
        let subscription =
            if account.period < month { account.allowance.monthly() } else { account.subscription.left };
        let subscription =
            FundsPart { credits: subscription, expires_at: Some(account.period.max(month).next().start()) };
        let payers = account.payers(None, now).into_iter();
        let lots = payers.filter(|payer| payer.lot != account.subscription_lot());
        let lots = lots.map(|payer| FundsPart { credits: payer.left, expires_at: payer.terms.expires_at });
        Self {
            parts: std::iter::once(subscription).chain(lots).collect(),
            allowance: account.allowance,
            outstanding: account.post_paid.outstanding,
        }
    }

    /// What comes of them from `now` on: `sums` is the usage until the end of today and of each following day, in
    /// credits.
    pub(super) fn after(&self, now: DateTime<Utc>, sums: impl Iterator<Item = f64>) -> Depletion {
        let mut depletion = Depletion::default();
        let Allowance::Monthly(allowance) = self.allowance else {
            return depletion;
        };
        let mut parts: Vec<Left> = self.parts.iter().map(Left::of).collect();
        let mut used = 0.0;
        for (day, sum) in now.date_naive().iter_days().zip(sums) {
            let start = day.and_time(NaiveTime::MIN).and_utc().max(now);
            let month = Period::of(start);
            if day.day() == 1 && start != now {
                let renewed = FundsPart { credits: allowance, expires_at: Some(month.next().start()) };
                parts.insert(0, Left::of(&renewed));
            }
            parts.retain(|part| part.expires_at.is_none_or(|end| start < end));
            let lacking = parts.iter_mut().fold(sum - used, |wanted, part| wanted - part.take(wanted));
            used = sum;
            if month == Period::of(now) {
                depletion.missing += lacking;
            }
            let left: f64 = parts.iter().map(|part| part.credits).sum();
            if left < HALF_A_CREDIT {
                depletion.runs_out = depletion.runs_out.or(Some(day));
            }
        }
        depletion
    }
}

impl Left {
    fn of(part: &FundsPart) -> Self {
        let credits = i64::try_from(part.credits.get()).unwrap_or(i64::MAX);
        Self { credits: fraction(credits), expires_at: part.expires_at }
    }

    /// Takes up to `wanted` credits, and says how many.
    fn take(&mut self, wanted: f64) -> f64 {
        let taken = self.credits.min(wanted);
        self.credits -= taken;
        taken
    }
}
