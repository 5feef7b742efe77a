use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{Account, Alerts, Allowance, Credits, News, Receipt, Service, Threshold};

/// What an account's owner was last told of its balance (contract, rule 7; seed: "Low Balance Alerts"): which
/// thresholds it is below, and whether it is used up.
///
/// It goes through the account's changes in the order of their numbers. One that it has been through already
/// tells nothing again, so it does not matter how often a change is looked at, nor by how many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertState {
    /// Through which number of the account's changes it has told what they are.
    pub through: u64,
    /// Through which number it goes by how many credits they left: not below `through`, and above it where
    /// somebody has looked at the balance before the changes that led there were gone through.
    pub level: u64,
    /// One of each threshold that was ever crossed and still is set.
    pub marks: Vec<Mark>,
    /// Whether nothing is left.
    pub depleted: bool,
    /// Grows with every change of it.
    pub revision: u64,
}

/// Where the balance is as to one threshold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// The threshold, in credits.
    pub threshold: Credits,
    /// Whose debits it follows: those of this service, or those without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Whether the balance is below it.
    pub low: Low,
    /// When its owner was last told that it is.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_seconds_option")]
    pub told_at: Option<DateTime<Utc>>,
}

/// Whether the balance is below a threshold, and what its owner knows of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Low {
    /// It is not.
    No,
    /// It is, and its owner was told.
    Told,
    /// It is, and its owner is told once the cool-down is over, if it still is.
    Waiting,
    /// It has been from the account's beginning: nothing has fallen.
    Always,
}

/// An account after one of its changes, as far as alerts go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The number of the change.
    pub sequence: u64,
    /// What a debit without a service can spend.
    pub spendable: Credits,
    /// What a debit of each service can spend, in the order of [`Service::ALL`]; not known where only a row tells of
    /// the change.
    pub by_service: Option<[Credits; Service::ALL.len()]>,
    /// Whether the plan counts nothing down: then nothing is ever low.
    pub unlimited: bool,
    /// When it took effect.
    pub at: DateTime<Utc>,
}

impl Level {
    /// The level of an account right after its last change.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        let at = account.last.as_ref().map_or(DateTime::UNIX_EPOCH, |last| last.at);
        let now = account.floor().time().max(at);
        Self {
            sequence: account.sequence,
            spendable: account.spendable(None, now),
            by_service: Some(Service::ALL.map(|service| account.spendable(Some(service), now))),
            unlimited: account.allowance == Allowance::Unlimited,
            at,
        }
    }

    /// The same, by the row of that change.
    #[must_use]
    pub fn after(receipt: &Receipt) -> Self {
        let at = receipt.entry.at;
        let balance = receipt.balance.clone().aged(receipt.entry.id.time().max(at));
        let (spendable, unlimited) = (balance.spendable().unwrap_or(Credits::MAX), balance.unlimited);
        Self { sequence: receipt.sequence, spendable, by_service: None, unlimited, at }
    }

    /// What a debit of that service, or without one, can spend; `None` where that is not known.
    #[must_use]
    pub fn spendable_for(&self, service: Option<Service>) -> Option<Credits> {
        let Some(service) = service else { return Some(self.spendable) };
        let mut known = Service::ALL.into_iter().zip(self.by_service?);
        known.find(|(of, _)| *of == service).map(|(_, spendable)| spendable)
    }
}

impl AlertState {
    /// How it is after a change that itself is to be told as `own`, and all that its owner is to be told. Where
    /// it is as before, it need not be written: whoever looks again comes to the same.
    #[must_use]
    pub fn follow(&self, alerts: &Alerts, level: Level, own: Option<News>) -> (Self, Vec<News>) {
        if level.sequence <= self.through {
            return (self.clone(), vec![]);
        }
        let mut news: Vec<News> = own.into_iter().collect();
        let mut next = self.clone();
        if self.level < level.sequence {
            let (looked, told) = self.looked(alerts, level);
            news.extend(told);
            next = looked;
        }
        if !news.is_empty() || next != *self {
            next.through = level.sequence;
            next.level = next.level.max(level.sequence);
        }
        (next, news)
    }

    /// How it is when an account is looked at between its changes, all of which were followed: its owner has set
    /// thresholds, or a cool-down may be over.
    #[must_use]
    pub fn look(&self, alerts: &Alerts, level: Level) -> (Self, Vec<News>) {
        if level.sequence < self.level {
            return (self.clone(), vec![]);
        }
        let (mut next, news) = self.looked(alerts, level);
        if next != *self {
            next.level = level.sequence;
        }
        (next, news)
    }

    fn looked(&self, alerts: &Alerts, level: Level) -> (Self, Vec<News>) {
        let mut news = Vec::new();
        let marks = alerts.thresholds.iter().filter_map(|threshold| {
            let known = self.marks.iter().find(|mark| mark.is_of(threshold)).cloned();
            let spendable = level.spendable_for(threshold.service);
            let Some(spendable) = spendable.filter(|_| threshold.since <= level.sequence) else {
                // It does not count yet, or nobody knows: it stays as it was.
                return known;
            };
            // Below a threshold with its first credits, an account has not fallen below it.
            let is_first = level.sequence <= 1 && threshold.since == 0;
            let known = known.unwrap_or_else(|| Mark::new(threshold));
            let (next, told) = known.look(alerts, spendable, level, is_first);
            news.extend(told);
            (next.low != Low::No || next.told_at.is_some()).then_some(next)
        });
        let marks = marks.collect();
        let depleted = level.spendable.is_zero() && !level.unlimited;
        if depleted && !self.depleted && level.sequence > 1 {
            news.push(News::Depleted);
        }
        (Self { marks, depleted, ..self.clone() }, news)
    }

    /// When somebody should look again although nothing changes: the cool-down of a threshold ends that its
    /// owner waits to be told of.
    #[must_use]
    pub fn look_at(&self, alerts: &Alerts) -> Option<DateTime<Utc>> {
        let waiting = self.marks.iter().filter(|mark| mark.low == Low::Waiting);
        waiting.filter_map(|mark| mark.cooled_at(alerts)).min()
    }
}

impl Mark {
    fn new(threshold: &Threshold) -> Self {
        let Threshold { below, service, .. } = *threshold;
        Self { threshold: below, service, low: Low::No, told_at: None }
    }

    fn is_of(&self, threshold: &Threshold) -> bool {
        self.threshold == threshold.below && self.service == threshold.service
    }

    fn look(
        mut self,
        alerts: &Alerts,
        spendable: Credits,
        level: Level,
        is_first: bool,
    ) -> (Self, Option<News>) {
        if level.unlimited {
            // Nothing is low any more, and nothing has recovered: there is no balance to tell of.
            self.low = Low::No;
            return (self, None);
        }
        let is_below = spendable < self.threshold;
        // At the threshold itself, and within the margin above it, it stays what it was.
        let enough = self.threshold.plus(alerts.recovery_margin).unwrap_or(Credits::MAX);
        match self.low {
            Low::No if is_below && is_first => {
                self.low = Low::Always;
                (self, None)
            }
            Low::No if is_below => self.fallen(alerts, spendable, level.at),
            Low::Waiting if is_below => self.fallen(alerts, spendable, level.at),
            Low::Told | Low::Waiting | Low::Always if enough < spendable => self.recovered(spendable),
            Low::No | Low::Told | Low::Waiting | Low::Always => (self, None),
        }
    }

    /// Its owner is told, unless they were a short while ago.
    fn fallen(mut self, alerts: &Alerts, balance: Credits, at: DateTime<Utc>) -> (Self, Option<News>) {
        if self.cooled_at(alerts).is_some_and(|cooled| at < cooled) {
            self.low = Low::Waiting;
            return (self, None);
        }
        (self.low, self.told_at) = (Low::Told, Some(at));
        let news = News::LowBalance { balance, threshold: self.threshold, service: self.service };
        (self, Some(news))
    }

    /// Who was not told that it is low is not told that it is no longer.
    fn recovered(mut self, balance: Credits) -> (Self, Option<News>) {
        let news = News::Recovered { balance, threshold: self.threshold, service: self.service };
        let was_told = self.low == Low::Told;
        self.low = Low::No;
        (self, Some(news).filter(|_| was_told))
    }

    /// When the owner may be told again.
    fn cooled_at(&self, alerts: &Alerts) -> Option<DateTime<Utc>> {
        // Requests under way together land in another order than they came in, so times may go back a little: without a
        // cool-down nothing is kept back by them.
        let minutes = Some(alerts.cooldown_minutes).filter(|minutes| *minutes > 0)?;
        let pause = Duration::try_minutes(minutes.into())?;
        self.told_at?.checked_add_signed(pause)
    }
}

#[cfg(test)]
#[path = "../tests/alert_state.rs"]
mod tests;
