//! What this process has charged to budgets: charges whose attempts have ended, and how many may be open at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Semaphore;

use domain::{AccountId, BudgetCounter, BudgetId, EntryId};

/// How many charges of one budget a process has open at once. More wait, so that the counter's item stays within one write
/// unit: an open charge takes some forty bytes.
const OPEN_AT_ONCE: usize = 12;

/// How many charges that have ended one write removes.
const REMOVED_AT_ONCE: usize = 12;

/// How many counters a process remembers. At this number those without open charges are forgotten; what they had to remove
/// is found by other requests.
const LANES_MAX: usize = 5_000;

/// For how long a process does not ask again whether attempts have landed, where that was not known.
const PAUSE: TimeDelta = TimeDelta::seconds(2);

/// The counters that this process charges.
#[derive(Debug, Default)]
pub(crate) struct BudgetLanes {
    lanes: Mutex<HashMap<(AccountId, BudgetId), Lane>>,
    /// Until when no attempt of an account is resolved, because the projector was behind.
    paused: Mutex<HashMap<AccountId, DateTime<Utc>>>,
}

#[derive(Debug)]
struct Lane {
    ended: Vec<EntryId>,
    permits: Arc<Semaphore>,
    seen: Option<BudgetCounter>,
}

impl Default for Lane {
    fn default() -> Self {
        Self { ended: vec![], permits: Arc::new(Semaphore::new(OPEN_AT_ONCE)), seen: None }
    }
}

impl BudgetLanes {
    fn with<T>(&self, account: AccountId, budget: BudgetId, then: impl FnOnce(&mut Lane) -> T) -> T {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if LANES_MAX <= lanes.len() && !lanes.contains_key(&(account, budget)) {
            lanes.retain(|_, lane| lane.permits.available_permits() < OPEN_AT_ONCE);
        }
        then(lanes.entry((account, budget)).or_default())
    }

    /// Whether the attempts of an account may be resolved, in system time.
    pub(crate) fn may_resolve(&self, account: AccountId, wall: DateTime<Utc>) -> bool {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.get(&account).is_none_or(|until| *until <= wall)
    }

    /// Resolves no attempts of an account for a while: each of them takes some ten requests.
    pub(crate) fn pause_resolving(&self, account: AccountId, wall: DateTime<Utc>) {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        if LANES_MAX <= paused.len() {
            paused.clear();
        }
        paused.insert(account, wall.checked_add_signed(PAUSE).unwrap_or(wall));
    }

    /// What admits a charge of a counter.
    pub(crate) fn permits(&self, account: AccountId, budget: BudgetId) -> Arc<Semaphore> {
        self.with(account, budget, |lane| Arc::clone(&lane.permits))
    }

    /// Remembers that an attempt has ended, so that the next write of the counter closes its charge.
    pub(crate) fn ended(&self, account: AccountId, budget: BudgetId, attempt: EntryId) {
        self.with(account, budget, |lane| lane.ended.push(attempt));
    }

    /// Some attempts whose charges the next write can close.
    pub(crate) fn to_close(&self, account: AccountId, budget: BudgetId) -> Vec<EntryId> {
        self.with(account, budget, |lane| lane.ended.iter().copied().take(REMOVED_AT_ONCE).collect())
    }

    /// Remembers the counter as a write or a read has shown it, in which these charges are closed.
    pub(crate) fn saw(
        &self,
        account: AccountId,
        budget: BudgetId,
        counter: &BudgetCounter,
        closed: &[EntryId],
    ) {
        self.with(account, budget, |lane| {
            lane.ended.retain(|ended| !closed.contains(ended));
            lane.seen = Some(counter.clone());
        });
    }

    /// The counter as this process has last seen it: a hint.
    pub(crate) fn seen(&self, account: AccountId, budget: BudgetId) -> Option<BudgetCounter> {
        self.with(account, budget, |lane| lane.seen.clone())
    }
}
