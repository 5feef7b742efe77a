//! Which low balance alerts an account has caused, and which are due.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{Account, AlertSettings, Allowance, Credits, Notification, Receipt, Service, Threshold};

/// The state of an account's alerts (contract, rule 7; seed: "Low Balance Alerts"): the thresholds that the
/// balance is below, and whether it is used up.
///
/// It is evaluated for the account's changes in the order of their numbers. A change that was already evaluated
/// causes no further notification, so repeated and concurrent evaluations are safe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertState {
    /// The number of the last change whose own event was notified.
    pub through: u64,
    /// The number of the last change whose balance was evaluated: at least `through`, and above it when the
    /// balance was checked before the changes that led to it were evaluated.
    pub level: u64,
    /// The state of each threshold that was ever crossed and still is set.
    #[serde(rename = "marks")]
    pub thresholds: Vec<ThresholdState>,
    /// Whether no credits are left.
    pub depleted: bool,
    /// Incremented with every change.
    pub revision: u64,
}

/// The state of one threshold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThresholdState {
    /// The threshold in credits.
    pub threshold: Credits,
    /// The service whose debits it concerns; `None` for debits without a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Whether the balance is below it.
    pub low: LowBalanceStatus,
    /// The time of the last low balance alert.
    #[serde(
        rename = "toldAt",
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_seconds_option"
    )]
    pub notified_at: Option<DateTime<Utc>>,
}

/// Whether the balance is below a threshold, and whether the owner was notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LowBalanceStatus {
    /// It is not below.
    No,
    /// It is below, and the owner was notified.
    Told,
    /// It is below, and the owner will be notified after the cool-down if it still is.
    Waiting,
    /// It has been below since the account's beginning, so it has not fallen below.
    Always,
}

/// The balance of an account after one of its changes, as alerts need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BalanceLevel {
    /// The number of the change.
    pub sequence: u64,
    /// The credits that a debit without a service can spend.
    pub spendable: Credits,
    /// The credits that a debit of each service can spend, in the order of [`Service::ALL`]; `None` when only
    /// the row of the change is known.
    pub by_service: Option<[Credits; Service::ALL.len()]>,
    /// Whether the plan is unlimited: then the balance is never low.
    pub unlimited: bool,
    /// When it took effect.
    pub at: DateTime<Utc>,
}

impl BalanceLevel {
    /// The balance of an account right after its last change.
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

    /// The balance right after a change, from its row.
    #[must_use]
    pub fn after(receipt: &Receipt) -> Self {
        let at = receipt.entry.at;
        let balance = receipt.balance.clone().aged(receipt.entry.id.time().max(at));
        let (spendable, unlimited) = (balance.spendable().unwrap_or(Credits::MAX), balance.unlimited);
        Self { sequence: receipt.sequence, spendable, by_service: None, unlimited, at }
    }

    /// The credits that a debit of this service, or without one, can spend; `None` when that is not known.
    #[must_use]
    pub fn spendable_for(&self, service: Option<Service>) -> Option<Credits> {
        let Some(service) = service else { return Some(self.spendable) };
        let mut known = Service::ALL.into_iter().zip(self.by_service?);
        known.find(|(of, _)| *of == service).map(|(_, spendable)| spendable)
    }
}

impl AlertState {
    /// Evaluates a change whose own notification is `own`: the new state, and all notifications. An unchanged
    /// state need not be written, because a repeated evaluation has the same result.
    #[must_use]
    pub fn after_change(
        &self,
        alerts: &AlertSettings,
        level: BalanceLevel,
        own: Option<Notification>,
    ) -> (Self, Vec<Notification>) {
        if level.sequence <= self.through {
            return (self.clone(), vec![]);
        }
        let mut notifications: Vec<Notification> = own.into_iter().collect();
        let mut next = self.clone();
        if self.level < level.sequence {
            let (evaluated, caused) = self.evaluate_level(alerts, level);
            notifications.extend(caused);
            next = evaluated;
        }
        if !notifications.is_empty() || next != *self {
            next.through = level.sequence;
            next.level = next.level.max(level.sequence);
        }
        (next, notifications)
    }

    /// Evaluates an account between its changes, all of which were evaluated: thresholds were set, or a
    /// cool-down has ended.
    #[must_use]
    pub fn check(&self, alerts: &AlertSettings, level: BalanceLevel) -> (Self, Vec<Notification>) {
        if level.sequence < self.level {
            return (self.clone(), vec![]);
        }
        let (mut next, notifications) = self.evaluate_level(alerts, level);
        if next != *self {
            next.level = level.sequence;
        }
        (next, notifications)
    }

    fn evaluate_level(&self, alerts: &AlertSettings, level: BalanceLevel) -> (Self, Vec<Notification>) {
        let mut notifications = Vec::new();
        let thresholds = alerts.thresholds.iter().filter_map(|threshold| {
            let known = self.thresholds.iter().find(|state| state.is_of(threshold)).cloned();
            let spendable = level.spendable_for(threshold.service);
            let Some(spendable) = spendable.filter(|_| threshold.since <= level.sequence) else {
                // The threshold is not valid yet, or the balance is not known: the state stays.
                return known;
            };
            // An account whose first credits are below a threshold has not fallen below it.
            let is_first = level.sequence <= 1 && threshold.since == 0;
            let known = known.unwrap_or_else(|| ThresholdState::new(threshold));
            let (next, caused) = known.evaluate(alerts, spendable, level, is_first);
            notifications.extend(caused);
            (next.low != LowBalanceStatus::No || next.notified_at.is_some()).then_some(next)
        });
        let thresholds = thresholds.collect();
        let depleted = level.spendable.is_zero() && !level.unlimited;
        if depleted && !self.depleted && level.sequence > 1 {
            notifications.push(Notification::Depleted);
        }
        (Self { thresholds, depleted, ..self.clone() }, notifications)
    }

    /// The time at which alerts must be checked although nothing changes: the end of the first cool-down that
    /// holds back an alert.
    #[must_use]
    pub fn check_at(&self, alerts: &AlertSettings) -> Option<DateTime<Utc>> {
        let waiting = self.thresholds.iter().filter(|state| state.low == LowBalanceStatus::Waiting);
        waiting.filter_map(|state| state.cooled_at(alerts)).min()
    }
}

impl ThresholdState {
    fn new(threshold: &Threshold) -> Self {
        let Threshold { below, service, .. } = *threshold;
        Self { threshold: below, service, low: LowBalanceStatus::No, notified_at: None }
    }

    fn is_of(&self, threshold: &Threshold) -> bool {
        self.threshold == threshold.below && self.service == threshold.service
    }

    fn evaluate(
        mut self,
        alerts: &AlertSettings,
        spendable: Credits,
        level: BalanceLevel,
        is_first: bool,
    ) -> (Self, Option<Notification>) {
        if level.unlimited {
            // An unlimited plan has no balance.
            self.low = LowBalanceStatus::No;
            return (self, None);
        }
        let is_below = spendable < self.threshold;
        let enough = self.threshold.plus(alerts.recovery_margin).unwrap_or(Credits::MAX);
        match self.low {
            LowBalanceStatus::No if is_below && is_first => {
                self.low = LowBalanceStatus::Always;
                (self, None)
            }
            LowBalanceStatus::No if is_below => self.fallen(alerts, spendable, level.at),
            LowBalanceStatus::Waiting if is_below => self.fallen(alerts, spendable, level.at),
            LowBalanceStatus::Told | LowBalanceStatus::Waiting | LowBalanceStatus::Always
                if enough < spendable =>
            {
                self.recovered(spendable)
            }
            LowBalanceStatus::No
            | LowBalanceStatus::Told
            | LowBalanceStatus::Waiting
            | LowBalanceStatus::Always => (self, None),
        }
    }

    /// Notifies the owner, unless the cool-down holds it back.
    fn fallen(
        mut self,
        alerts: &AlertSettings,
        balance: Credits,
        at: DateTime<Utc>,
    ) -> (Self, Option<Notification>) {
        if self.cooled_at(alerts).is_some_and(|cooled| at < cooled) {
            self.low = LowBalanceStatus::Waiting;
            return (self, None);
        }
        (self.low, self.notified_at) = (LowBalanceStatus::Told, Some(at));
        let notifications =
            Notification::LowBalance { balance, threshold: self.threshold, service: self.service };
        (self, Some(notifications))
    }

    /// The recovery is only notified if the low balance was.
    fn recovered(mut self, balance: Credits) -> (Self, Option<Notification>) {
        let notifications =
            Notification::Recovered { balance, threshold: self.threshold, service: self.service };
        let was_notified = self.low == LowBalanceStatus::Told;
        self.low = LowBalanceStatus::No;
        (self, Some(notifications).filter(|_| was_notified))
    }

    /// The end of the cool-down.
    fn cooled_at(&self, alerts: &AlertSettings) -> Option<DateTime<Utc>> {
        // Concurrent requests are written in another order than they are received, so times can go back slightly:
        // without a cool-down this must not hold back an alert.
        let minutes = Some(alerts.cooldown_minutes).filter(|minutes| *minutes > 0)?;
        let pause = Duration::try_minutes(minutes.into())?;
        self.notified_at?.checked_add_signed(pause)
    }
}

#[cfg(test)]
#[path = "../tests/alert_state.rs"]
mod tests;
