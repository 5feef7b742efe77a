//! The jobs of one kind that wait in one call, fair among accounts: accounts take turns.

use std::collections::{BTreeMap, VecDeque};

use domain::AccountId;
use store::{Job, ScheduledJob};

use super::budget::JobBudget;

/// How many jobs of an account wait at most: more than one call can run.
const OF_ACCOUNT_MAX: usize = 4_000;

/// How many jobs of all accounts wait at most. Beyond that, each account may have [`ALWAYS`].
const OF_ALL_MAX: usize = 20_000;

/// How many jobs of an account wait however many other accounts have.
const ALWAYS: usize = 16;

/// How many jobs wait at most in any case, so that a call has enough memory.
const EVER_MAX: usize = 50_000;

/// One job, and every stored copy of it that is due: the work is the same, so it is done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DueJob {
    pub(super) job: Job,
    pub(super) stored: Vec<ScheduledJob>,
}

#[derive(Debug, Default)]
struct AccountJobs {
    order: VecDeque<Job>,
    stored: BTreeMap<Job, Vec<ScheduledJob>>,
    count: usize,
}

/// Jobs that wait, and how many run.
#[derive(Debug, Default)]
pub(super) struct FairQueue {
    waiting: BTreeMap<AccountId, AccountJobs>,
    /// The accounts that wait, in the order of their turns.
    turns: VecDeque<AccountId>,
    running: BTreeMap<AccountId, usize>,
    runs: usize,
    count: usize,
}

impl FairQueue {
    /// Adds a job; `false` when there is no room for it in this call.
    pub(super) fn push(&mut self, scheduled: ScheduledJob) -> bool {
        let account = scheduled.job.account();
        let own = self.waiting.get(&account).map_or(0, |jobs| jobs.count);
        let has_room = self.count < OF_ALL_MAX && own < OF_ACCOUNT_MAX;
        if EVER_MAX <= self.count || !(has_room || own < ALWAYS) {
            return false;
        }
        if own == 0 {
            self.turns.push_back(account);
        }
        let jobs = self.waiting.entry(account).or_default();
        let stored = jobs.stored.entry(scheduled.job).or_default();
        if stored.is_empty() {
            jobs.order.push_back(scheduled.job);
        }
        stored.push(scheduled);
        jobs.count = jobs.count.saturating_add(1);
        self.count = self.count.saturating_add(1);
        true
    }

    /// The next job that the budget lets run, of the account whose turn it is. Call [`FairQueue::finished`] after it.
    pub(super) fn next(&mut self, budget: JobBudget) -> Option<DueJob> {
        if budget.at_once <= self.runs {
            return None;
        }
        for _ in 0..self.turns.len() {
            let account = self.turns.pop_front()?;
            let running = self.running.get(&account).copied().unwrap_or(0);
            let due = if running < budget.per_account { self.take(account) } else { None };
            if self.waiting.contains_key(&account) {
                self.turns.push_back(account);
            }
            if due.is_some() {
                self.running.insert(account, running.saturating_add(1));
                self.runs = self.runs.saturating_add(1);
                return due;
            }
        }
        None
    }

    fn take(&mut self, account: AccountId) -> Option<DueJob> {
        let jobs = self.waiting.get_mut(&account)?;
        let job = jobs.order.pop_front()?;
        let stored = jobs.stored.remove(&job)?;
        jobs.count = jobs.count.saturating_sub(stored.len());
        self.count = self.count.saturating_sub(stored.len());
        if jobs.order.is_empty() {
            self.waiting.remove(&account);
        }
        Some(DueJob { job, stored })
    }

    /// Notes that a job of an account has ended.
    pub(super) fn finished(&mut self, account: AccountId) {
        self.runs = self.runs.saturating_sub(1);
        match self.running.get_mut(&account) {
            Some(running) if 1 < *running => *running = running.saturating_sub(1),
            Some(_) | None => drop(self.running.remove(&account)),
        }
    }

    /// Removes the waiting jobs of an account and returns them: in this call they would probably time out too.
    pub(super) fn skip(&mut self, account: AccountId) -> Vec<ScheduledJob> {
        self.turns.retain(|waiting| *waiting != account);
        let jobs = self.waiting.remove(&account).unwrap_or_default();
        self.count = self.count.saturating_sub(jobs.count);
        jobs.stored.into_values().flatten().collect()
    }

    /// The jobs that wait.
    pub(super) fn left(&self) -> impl Iterator<Item = &ScheduledJob> {
        self.waiting.values().flat_map(|jobs| jobs.stored.values()).flatten()
    }

    /// Whether no job waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chrono::{DateTime, Utc};
    use domain::{EntryId, Mode, OrgId};
    use store::RemainderId;

    use super::*;

    const BUDGET: JobBudget = JobBudget { at_once: 4, per_account: 2, timeout: Duration::from_secs(1) };

    fn account(number: u128) -> AccountId {
        AccountId { org: OrgId::new(DateTime::UNIX_EPOCH, number), mode: Mode::Live }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn of(owner: u128, number: u128) -> ScheduledJob {
        let id = RemainderId { account: account(owner), of: EntryId::new(at(0), number) };
        ScheduledJob { due: at(0), job: Job::Remainder(id), request: None }
    }

    fn filled(jobs: impl IntoIterator<Item = ScheduledJob>) -> FairQueue {
        let mut queue = FairQueue::default();
        for job in jobs {
            assert!(queue.push(job));
        }
        queue
    }

    fn owners(queue: &mut FairQueue) -> Vec<AccountId> {
        std::iter::from_fn(|| queue.next(BUDGET)).map(|due| due.job.account()).collect()
    }

    #[test]
    fn accounts_take_turns_and_none_has_more_than_its_share() {
        let mut queue = filled((0..100).map(|number| of(1, number)).chain([of(2, 0), of(3, 0), of(3, 1)]));
        assert_eq!(owners(&mut queue), [account(1), account(2), account(3), account(1)]);
        assert_eq!(queue.next(BUDGET), None, "four run");
        queue.finished(account(2));
        assert_eq!(owners(&mut queue), [account(3)], "two of the first account run");
        queue.finished(account(1));
        queue.finished(account(3));
        assert_eq!(owners(&mut queue), [account(1)], "a slot stays free for other accounts");
        assert_eq!(queue.left().count(), 97);
    }

    #[test]
    fn the_same_job_stored_more_than_once_runs_once() {
        let calendar =
            |second| ScheduledJob { due: at(second), job: Job::Calendar(account(1)), request: None };
        let mut queue = filled([calendar(1), calendar(2), of(1, 7), calendar(3)]);
        let first = queue.next(BUDGET).unwrap();
        assert_eq!((first.job, first.stored), (Job::Calendar(account(1)), (1..4).map(calendar).collect()));
        assert_eq!(queue.next(BUDGET).unwrap().stored, [of(1, 7)]);
        assert!(queue.is_empty());
        // Stored while it runs, it runs again.
        assert!(queue.push(calendar(1)));
        queue.finished(account(1));
        assert_eq!(queue.next(BUDGET).unwrap().stored, [calendar(1)]);
    }

    #[test]
    fn an_account_with_many_jobs_leaves_room_for_others() {
        let mut queue = filled((0..4_000).map(|number| of(0, number)));
        assert!(!queue.push(of(0, 4_000)), "one account does not fill the queue");
        for owner in 1..5 {
            (0..4_000).for_each(|number| assert!(queue.push(of(owner, number))));
        }
        assert!(!queue.push(of(1, 4_001)), "the queue is full");
        for number in 0..16 {
            assert!(queue.push(of(9, number)), "another account's first jobs always wait");
        }
        assert!(!queue.push(of(9, 16)));
        let newcomers = (10..).find(|owner| !queue.push(of(*owner, 0))).unwrap() - 10;
        assert_eq!(20_000 + 16 + newcomers, 50_000, "the queue is bounded");
    }

    #[test]
    fn the_jobs_of_an_account_are_skipped_together() {
        let mut queue = filled([of(1, 0), of(1, 1), of(2, 0), of(1, 2)]);
        assert_eq!(queue.next(BUDGET).unwrap().stored, [of(1, 0)]);
        assert_eq!(queue.skip(account(1)), [of(1, 1), of(1, 2)]);
        queue.finished(account(1));
        assert_eq!(owners(&mut queue), [account(2)]);
        assert!(queue.is_empty() && queue.skip(account(1)).is_empty());
    }
}
