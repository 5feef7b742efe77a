//! Open charges of a budget: which of them have ended, and what is given back.

use std::error::Error;

use futures_util::future::{join_all, try_join_all};

use crate::table::error::{Fault, Unsettled};
use crate::table::ledger::Ledger;
use crate::write::budgeted::Charging;
use crate::write::settle::IN_PROGRESS_SECONDS;
use domain::{AccountId, BudgetCounter, BudgetId, EntryId, OpenCharge};
use ports::Moment;

/// From how many open charges on a request closes those of others that have ended.
const CROWDED: usize = 16;

/// How many open charges one look examines, the oldest first.
const EXAMINED_MAX: usize = 16;

/// What is known of the attempts of some open charges.
#[derive(Default)]
struct Ended {
    landed: Vec<EntryId>,
    never: Vec<EntryId>,
}

impl Charging<'_> {
    /// The counter of a budget without what attempts have left in it that were never carried out. Reads one unit, and the attempts
    /// of charges that are open for long.
    async fn settled_counter(self, budget: BudgetId) -> Result<BudgetCounter, Fault> {
        let counter = self.ledger.budget_counter(self.account, budget).await?;
        if !counter.open.values().any(|open| self.is_old(*open)) {
            return Ok(counter);
        }
        Ok(self.end_open(budget, &counter).await?.unwrap_or(counter))
    }

    fn is_old(self, open: OpenCharge) -> bool {
        IN_PROGRESS_SECONDS <= self.moment.wall.signed_duration_since(open.wall).num_seconds()
    }

    /// Closes open charges of others, once there are many.
    pub(super) async fn close_others(self, budget: BudgetId, counter: &BudgetCounter) {
        if counter.open.len() < CROWDED {
            return;
        }
        if let Err(fault) = self.end_open(budget, counter).await {
            tracing::warn!(account = %self.account, %budget, fault = &fault as &dyn Error, "open charges stay");
        }
    }

    /// Finds out which open charges have ended, and closes them or gives them back. Returns the counter after it; `None` where
    /// nothing has changed. Examines a bounded number of charges.
    pub(super) async fn end_open(
        self,
        budget: BudgetId,
        counter: &BudgetCounter,
    ) -> Result<Option<BudgetCounter>, Fault> {
        let known = self.ledger.lanes.to_close(self.account, budget);
        let mut others: Vec<_> =
            counter.open.iter().filter(|(attempt, _)| !known.contains(attempt)).collect();
        others.sort_by_key(|(_, open)| open.wall);
        others.truncate(EXAMINED_MAX);
        let Ended { mut landed, never } = self.ended(&others).await?;
        for attempt in &never {
            self.ledger.withdraw(self.account, budget, *attempt).await?;
        }
        landed.extend(known);
        if landed.is_empty() && never.is_empty() {
            return Ok(None);
        }
        self.ledger.close_charges(self.account, budget, &landed).await?;
        let counter = self.ledger.budget_counter(self.account, budget).await?;
        self.ledger.lanes.saw(self.account, budget, &counter, &landed);
        Ok(Some(counter))
    }

    /// Which of these attempts have landed, and which never will. The others may still be running.
    async fn ended(self, charges: &[(&EntryId, &OpenCharge)]) -> Result<Ended, Fault> {
        let rows = charges.iter().map(|(attempt, _)| self.ledger.transaction(self.account, **attempt));
        let rows = try_join_all(rows).await?;
        let mut ended = Ended::default();
        let mut old = vec![];
        for ((attempt, open), row) in charges.iter().zip(rows) {
            if row.is_some() {
                ended.landed.push(**attempt);
            } else if self.is_old(**open) {
                old.push(**attempt);
            }
        }
        // One fence closes the account to the newest of them and to all older ones.
        old.sort_unstable();
        let Some(newest) = old.pop() else { return Ok(ended) };
        if !self.ledger.lanes.may_resolve(self.account, self.moment.wall) {
            return Ok(ended);
        }
        let Some(landed) = self.resolved(newest).await? else {
            // The projector is behind. Others that need the room do not ask again at once.
            self.ledger.lanes.pause_resolving(self.account, self.moment.wall);
            return Ok(ended);
        };
        let rest = join_all(old.iter().map(|attempt| self.resolved(*attempt))).await;
        for (attempt, landed) in old.into_iter().zip(rest).chain([(newest, Ok(Some(landed)))]) {
            match landed? {
                Some(true) => ended.landed.push(attempt),
                Some(false) => ended.never.push(attempt),
                None => (),
            }
        }
        Ok(ended)
    }

    /// Whether an attempt has landed; `None` while that is not known.
    async fn resolved(self, attempt: EntryId) -> Result<Option<bool>, Fault> {
        match self.ledger.resolve(self.account, attempt, None, self.moment).await {
            Ok(lines) => Ok(Some(lines.is_some())),
            Err(Unsettled::Failed(fault)) => Err(fault),
            Err(
                Unsettled::InProgress
                | Unsettled::KeyReused
                | Unsettled::NoAccount
                | Unsettled::HoldsEnded
                | Unsettled::Refused(_),
            ) => Ok(None),
        }
    }
}

impl Ledger {
    /// How much of a budget is used, without what attempts have left in its counter that were never carried out.
    ///
    /// # Errors
    /// When the table does not answer; when the counter is unreadable.
    pub async fn budget_use(
        &self,
        account: AccountId,
        budget: BudgetId,
        moment: Moment,
    ) -> Result<BudgetCounter, Fault> {
        Charging { ledger: self, account, moment }.settled_counter(budget).await
    }
}
