//! The balance of an account at one instant.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ledger::lot::booked_at;
use crate::{Account, Allowance, Credits, EntryId, Lot, LotId, Period, PlanId, PostPaid, Service, Source};

/// The number of lots in [`Balance::expiring`], besides those that end within a minute of the first. Three are
/// enough to warn a customer, and keep a ledger row, which contains the balance, small.
pub const EXPIRING_MAX: usize = 3;

/// The balance of an account at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Subscription credits left this month; 0 on an unlimited plan.
    #[serde(rename = "sub")]
    pub subscription: Credits,
    /// Purchased credits left.
    #[serde(rename = "pur")]
    pub purchased: Credits,
    /// Bonus credits left.
    #[serde(rename = "bon")]
    pub bonus: Credits,
    /// Credits debited this month.
    pub used: Credits,
    /// The subscription plan.
    pub plan: PlanId,
    /// Whether the plan is unlimited.
    #[serde(rename = "unl", default, skip_serializing_if = "is_false")]
    pub unlimited: bool,
    /// The month of the balance.
    #[serde(rename = "month")]
    pub period: Period,
    /// Post-paid credits; `None` for an organisation without a limit and without outstanding credits.
    #[serde(rename = "post", default, skip_serializing_if = "Option::is_none")]
    pub post_paid: Option<PostPaid>,
    /// Credits of lots that have expired but whose expiry is not booked yet. They cannot be spent.
    #[serde(rename = "laps", default, skip_serializing_if = "is_none")]
    pub lapsed: Credits,
    /// Credits set aside by holds: not available, and not used.
    #[serde(rename = "held", default, skip_serializing_if = "is_none")]
    pub held: Credits,
    /// Credits set aside by open disputes: not available.
    #[serde(rename = "disp", default, skip_serializing_if = "is_none")]
    pub disputed: Credits,
    /// Credits in lots that are restricted to a service, which a debit without a service cannot spend.
    #[serde(rename = "scop", default, skip_serializing_if = "is_none")]
    pub scoped: Credits,
    /// The lots that expire next, soonest first.
    #[serde(rename = "exp", default, skip_serializing_if = "Vec::is_empty")]
    pub expiring: Vec<ExpiringLot>,
}

/// A lot that will expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiringLot {
    /// The lot.
    pub lot: LotId,
    /// Its source.
    #[serde(rename = "src")]
    pub source: Source,
    /// The credits left in it.
    #[serde(rename = "n")]
    pub amount: Credits,
    /// It pays only for debits of this service.
    #[serde(rename = "svc", default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The first instant at which they can no longer be spent.
    #[serde(with = "chrono::serde::ts_seconds", rename = "at")]
    pub expires_at: DateTime<Utc>,
}

impl Balance {
    /// All available credits, or `None` past [`Credits::MAX`].
    #[must_use]
    pub fn available(&self) -> Option<Credits> {
        self.subscription.plus(self.purchased)?.plus(self.bonus)
    }

    /// The credits that a debit without a service can spend; `None` past [`Credits::MAX`].
    #[must_use]
    pub fn spendable(&self) -> Option<Credits> {
        self.available()?.less(self.scoped)
    }

    /// The balance at `at`, if nothing was booked since: lots that have expired by then are removed. A row
    /// names all lots that can expire before the first expiry is booked, so the result is exact as long as `at`
    /// is before the next row.
    #[must_use]
    pub fn aged(mut self, at: DateTime<Utc>) -> Self {
        let (gone, stay): (Vec<_>, Vec<_>) = self.expiring.into_iter().partition(|lot| lot.expires_at <= at);
        self.expiring = stay;
        for lot in gone {
            let bucket = match lot.source {
                Source::Purchased => &mut self.purchased,
                Source::Bonus => &mut self.bonus,
                // Neither source has lots with an expiry of their own.
                Source::Subscription | Source::PostPaid => continue,
            };
            *bucket = bucket.less(lot.amount).unwrap_or_default();
            if lot.service.is_some() {
                self.scoped = self.scoped.less(lot.amount).unwrap_or_default();
            }
            self.lapsed = self.lapsed.plus(lot.amount).unwrap_or(Credits::MAX);
        }
        self
    }

    /// All credits in the ledger, spendable or not: the sum of its entries. `None` past [`Credits::MAX`].
    #[must_use]
    pub fn booked(&self) -> Option<Credits> {
        self.available()?.plus(self.lapsed)
    }

    /// The end of the balance's month.
    #[must_use]
    pub fn next_renewal(&self) -> DateTime<Utc> {
        self.period.next().start()
    }
}

impl Account {
    /// The balance at `now`, including a renewal and expiries that are due but not booked yet (contract, rule
    /// 2). A source past [`Credits::MAX`] shows that maximum; grants are limited so that this does not happen.
    #[must_use]
    pub fn balance(&self, now: DateTime<Utc>) -> Balance {
        let period = self.period.max(Period::of(now));
        let (subscription, used) = if period == self.period {
            (self.subscription.left, self.used)
        } else {
            (self.allowance.monthly(), Credits::ZERO)
        };
        Balance {
            subscription,
            purchased: self.sum(|lot| lot.source == Source::Purchased && lot.is_current(now)),
            bonus: self.sum(|lot| lot.source == Source::Bonus && lot.is_current(now)),
            used,
            plan: self.plan.clone(),
            unlimited: self.allowance == Allowance::Unlimited,
            period,
            post_paid: (self.post_paid != PostPaid::default()).then_some(self.post_paid),
            lapsed: self.sum(|lot| !lot.is_current(now)),
            held: self.held,
            disputed: self.disputed(),
            scoped: self.sum(|lot| lot.service.is_some() && lot.is_current(now)),
            expiring: self.expiring(now),
        }
    }

    fn sum(&self, counts: impl Fn(&Lot) -> bool) -> Credits {
        let lots = self.lots.values().filter(|lot| counts(lot));
        lots.fold(Credits::ZERO, |sum, lot| sum.plus(lot.left).unwrap_or(Credits::MAX))
    }

    fn disputed(&self) -> Credits {
        let disputes = self.disputes.values();
        disputes.fold(Credits::ZERO, |sum, dispute| sum.plus(dispute.aside).unwrap_or(Credits::MAX))
    }

    fn expiring(&self, now: DateTime<Utc>) -> Vec<ExpiringLot> {
        let mut expiring: Vec<(EntryId, ExpiringLot)> = Vec::new();
        for (id, lot) in &self.lots {
            if let (Some(expires_at), true, false) = (lot.expires_at, lot.is_current(now), lot.left.is_zero())
            {
                let (source, amount, service) = (lot.source, lot.left, lot.service);
                let lot = ExpiringLot { lot: LotId::Granted(*id), source, amount, service, expires_at };
                expiring.push((*id, lot));
            }
        }
        expiring.sort_by_key(|(id, lot)| (lot.expires_at, *id));
        // Lots that can expire before the first expiry is booked, see [`Balance::aged`].
        let together = expiring.first().map(|(_, first)| booked_at(first.expires_at));
        let named = expiring.into_iter().map(|(_, lot)| lot).enumerate();
        let named = named.take_while(|(place, lot)| *place < EXPIRING_MAX || Some(lot.expires_at) < together);
        named.map(|(_, lot)| lot).collect()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_none(credits: &Credits) -> bool {
    credits.is_zero()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(value: &bool) -> bool {
    !value
}
