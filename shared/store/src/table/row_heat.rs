//! How busy the rows of an account are, and when they are spread over more shards.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use domain::{Account, AccountId, Effect, Posting, RowShards};

/// How many rows a second an account makes in each of its shards when throttling means that its rows are too many for them.
/// DynamoDB allows 1,000 writes of up to a kilobyte to one partition. Below this, it is the table that is throttled.
const BUSY_ROWS: u64 = 500;

/// For how long the rows are counted at least.
const COUNTED_AT_LEAST: Duration = Duration::from_millis(200);

/// For how long they are counted at most, so that a quiet time before does not hide a burst. A process whose batch of a
/// hundred rows is throttled takes several seconds until its next one.
const COUNTED_AT_MOST: Duration = Duration::from_secs(15);

/// How many accounts are observed at most. At this number all are forgotten.
const ACCOUNTS_MAX: usize = 1_000;

/// What this process has seen of accounts whose rows were throttled.
#[derive(Debug, Default)]
pub(crate) struct RowHeat(Mutex<HashMap<AccountId, Throttling>>);

/// Throttled rows of one account.
#[derive(Clone, Copy, Debug)]
struct Throttling {
    /// When the count began, and the account's number then.
    since: Instant,
    sequence: u64,
    /// The account's number of shards, which is too low if `is_busy`.
    shards: RowShards,
    /// Whether it made too many rows for them.
    is_busy: bool,
}

impl RowHeat {
    /// Notes that rows of an account were throttled. `account` is its state right after a posting, not one from a cache.
    pub(crate) fn throttled(&self, account: &Account) {
        let now = Instant::now();
        let begin =
            Throttling { since: now, sequence: account.sequence, shards: account.row_shards, is_busy: false };
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= ACCOUNTS_MAX && !accounts.contains_key(&account.id) {
            accounts.clear();
        }
        let known = accounts.entry(account.id).or_insert(begin);
        let counted = now.duration_since(known.since);
        if known.shards != account.row_shards || COUNTED_AT_MOST < counted {
            *known = begin;
        } else if COUNTED_AT_LEAST <= counted {
            let rows = account.sequence.saturating_sub(known.sequence);
            let busy = u128::from(BUSY_ROWS).saturating_mul(u128::from(account.row_shards.count()));
            known.is_busy |=
                u128::from(rows).saturating_mul(1_000) >= busy.saturating_mul(counted.as_millis());
        }
    }

    /// How many shards a posting on `account` gives it; `None` to leave them as they are. A fence leaves them: it may fail
    /// only where the account is closed to the attempt already.
    pub(crate) fn wanted(&self, account: &Account, posting: &Posting) -> Option<RowShards> {
        if posting.effects.iter().any(|effect| matches!(effect, Effect::Fence(_))) {
            return None;
        }
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = accounts.get(&account.id)?;
        if known.is_busy && known.shards == account.row_shards { account.row_shards.doubled() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use domain::{Allowance, Credits, Mode, OrgId, PlanId, due, fence};

    fn account(sequence: u64, shards: u8) -> Account {
        let now = "2024-01-15T10:30:00Z".parse().unwrap();
        let id = AccountId { org: OrgId::new(now, 1), mode: Mode::Live };
        let open = Account::open(id, PlanId("free".to_owned()), Allowance::Monthly(Credits::ZERO), now);
        Account { sequence, row_shards: RowShards::try_from(shards).unwrap(), ..open }
    }

    /// A posting that is no fence.
    fn renewal(account: &Account) -> Posting {
        due(account, "2024-01-15T10:30:00Z".parse().unwrap()).unwrap()
    }

    fn wants(heat: &RowHeat, account: &Account) -> Option<RowShards> {
        heat.wanted(account, &renewal(account))
    }

    /// What is wanted after throttling at each of these milliseconds, at which the account had this number.
    async fn wanted(shards: u8, seen: &[(u64, u64)]) -> Option<u8> {
        let heat = RowHeat::default();
        let mut before = 0;
        for (at, sequence) in seen {
            advance(Duration::from_millis(at.saturating_sub(before))).await;
            before = *at;
            heat.throttled(&account(*sequence, shards));
        }
        wants(&heat, &account(1_000_000, shards)).map(RowShards::count)
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_account_gets_twice_as_many_shards() {
        for (shards, seen, expected) in [
            (1, vec![], None),
            (1, vec![(0, 100)], None),
            // 500 rows a second in each shard.
            (1, vec![(0, 100), (1_000, 600)], Some(2)),
            (1, vec![(0, 100), (1_000, 599)], None),
            (2, vec![(0, 100), (1_000, 1_100)], Some(4)),
            (2, vec![(0, 100), (1_000, 1_099)], None),
            (8, vec![(0, 100), (1_000, 5_000)], Some(16)),
            (16, vec![(0, 100), (1_000, 1_000_000)], None),
            // Too short, and long ago.
            (1, vec![(0, 100), (199, 10_000)], None),
            (1, vec![(0, 100), (200, 200)], Some(2)),
            (1, vec![(0, 100), (15_000, 7_600)], Some(2)),
            (1, vec![(0, 100), (15_001, 10_000)], None),
            (1, vec![(0, 100), (15_001, 10_000), (16_001, 10_500)], Some(2)),
            // Busy once is enough.
            (1, vec![(0, 100), (1_000, 600), (2_000, 601)], Some(2)),
        ] {
            assert_eq!(wanted(shards, &seen).await, expected, "{shards} {seen:?}");
        }
    }

    /// What was throttled before the shards were doubled says nothing about the shards afterwards.
    #[tokio::test(start_paused = true)]
    async fn the_count_begins_again_with_more_shards() {
        let heat = RowHeat::default();
        heat.throttled(&account(100, 1));
        advance(Duration::from_secs(1)).await;
        heat.throttled(&account(1_100, 1));
        assert_eq!(wants(&heat, &account(1_200, 1)), RowShards::ONE.doubled());
        assert_eq!(wants(&heat, &account(1_200, 2)), None);
        heat.throttled(&account(1_300, 2));
        assert_eq!(wants(&heat, &account(1_300, 2)), None);
        advance(Duration::from_secs(1)).await;
        heat.throttled(&account(2_300, 2));
        assert_eq!(wants(&heat, &account(2_300, 2)).map(RowShards::count), Some(4));
    }

    /// A fence that failed because of the shards would look like a fence that another process has set: the attempt in doubt
    /// could then land, and its key be charged again.
    #[tokio::test(start_paused = true)]
    async fn a_fence_leaves_the_shards() {
        let heat = RowHeat::default();
        heat.throttled(&account(100, 1));
        advance(Duration::from_secs(1)).await;
        heat.throttled(&account(1_100, 1));
        let known = account(1_200, 1);
        let now = "2024-01-15T10:30:00Z".parse().unwrap();
        let attempt = known.attempt_id(now, 1);
        let fence = fence(&known, attempt, attempt.next(), now);
        assert_eq!(heat.wanted(&known, &fence), None);
        assert!(heat.wanted(&known, &renewal(&known)).is_some());
    }
}
