//! An attempt's charges of budgets: made before its debit, and given back where the debit is not made.
//!
//! A charge is one conditional write of the budget's counter. It names the attempt, and stays open until a later write of the
//! same process closes it. So whatever crashes, the counter says which attempts may have charged it for nothing, and a request
//! that needs the room finds out whether they have landed.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::budget::counter_item::counter_of;
use crate::table::backoff::backoff;
use crate::table::conditional_update::ConditionalUpdate;
use crate::table::error::{Fault, Unsettled};
use crate::table::ledger::Ledger;
use crate::write::settle::IN_PROGRESS_SECONDS;
use domain::{
    AccountId, BudgetCharge, BudgetCharges, BudgetCounter, BudgetExceeded, BudgetId, BudgetUse, CounterStep,
    Details, EntryId, OpenCharge, Refusal,
};
use ports::Moment;

/// How often one charge is sent before its caller has to retry. With the waits between them, a quarter of a second: other
/// requests take some twenty milliseconds, unless their process has died.
const ATTEMPTS_MAX: u32 = 10;

/// At every which attempt open charges are looked at one by one.
const LOOK_EVERY: u32 = 4;

/// How long a charge waits for other charges of this process.
const WAIT: Duration = Duration::from_secs(5);

/// From how many open charges on a request closes those of others that have ended.
const CROWDED: usize = 16;

/// The charges of one attempt.
#[derive(Default)]
pub(crate) struct AttemptCharges {
    attempt: Option<EntryId>,
    charges: BudgetCharges,
    made: Vec<(BudgetId, OpenCharge)>,
    permits: Vec<OwnedSemaphorePermit>,
    /// Whether the attempt's debit may have landed.
    pub(crate) in_doubt: bool,
    pub(crate) landed: bool,
}

/// How the charges of an attempt ended.
pub(crate) enum Charged {
    /// All of them were made.
    All,
    /// A budget has no room.
    Refused(Box<BudgetExceeded>),
    /// The attempt needs an id above this one, up to which a counter is closed.
    Fenced(EntryId),
    /// A counter is in a later period, which began at this instant.
    Later(DateTime<Utc>),
}

/// How one charge ended.
enum Outcome {
    Made(OpenCharge),
    Not(Charged),
}

/// Whether the attempt of an open charge has ended.
enum Ended {
    Landed,
    Never,
    Running,
}

impl AttemptCharges {
    pub(crate) fn new(attempt: EntryId, charges: BudgetCharges) -> Self {
        Self { attempt: Some(attempt), charges, ..Self::default() }
    }

    /// The details with the budgets that are charged.
    pub(crate) fn noted(&self, details: &Details) -> Details {
        self.charges.noted(details)
    }

    /// Whether they are those of this attempt.
    pub(crate) fn are(&self, attempt: EntryId, wanted: &BudgetCharges) -> bool {
        self.charges == *wanted && (wanted.is_empty() || self.is_of(attempt))
    }

    /// Whether all of them were made.
    fn is_complete(&self) -> bool {
        self.made.len() == self.charges.charges.len()
    }

    /// Whether they were made, or some of them, under this id.
    pub(crate) fn is_of(&self, attempt: EntryId) -> bool {
        self.attempt == Some(attempt)
    }
}

/// The account and the time of a request that charges budgets.
#[derive(Clone, Copy)]
pub(crate) struct Charging<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) account: AccountId,
    pub(crate) moment: Moment,
}

impl Charging<'_> {
    /// The refusal of a request for which a budget has no room, found out without a claim. Reads the counters only if one of them
    /// had no room when this process last saw it; then the first without room is named.
    pub(crate) async fn refused_before(
        self,
        charges: &BudgetCharges,
        attempt: EntryId,
    ) -> Result<Option<Refusal>, Fault> {
        let was_full = |charge: &BudgetCharge| {
            let seen = self.ledger.lanes.seen(self.account, charge.budget.id);
            seen.is_some_and(|seen| seen.step(charge, attempt) == CounterStep::Full)
        };
        if !charges.charges.iter().any(was_full) {
            return Ok(None);
        }
        for charge in &charges.charges {
            let budget = charge.budget.id;
            let mut counter = self.ledger.budget_counter(self.account, budget).await?;
            if counter.step(charge, attempt) == CounterStep::Waits && self.end_open(budget, &counter).await? {
                counter = self.ledger.budget_counter(self.account, budget).await?;
            }
            if counter.step(charge, attempt) == CounterStep::Full {
                return Ok(Some(Refusal::BudgetExceeded(exceeded(charge, &counter).into())));
            }
        }
        Ok(None)
    }

    /// The counter of a budget without what attempts have left in it that were never carried out. Reads one unit, and the attempts
    /// of charges that are open for long.
    pub(crate) async fn settled_counter(self, budget: BudgetId) -> Result<BudgetCounter, Fault> {
        let counter = self.ledger.budget_counter(self.account, budget).await?;
        let is_old = |open: &OpenCharge| IN_PROGRESS_SECONDS <= self.seconds_open(open);
        if !counter.open.values().any(is_old) || !self.end_open(budget, &counter).await? {
            return Ok(counter);
        }
        self.ledger.budget_counter(self.account, budget).await
    }

    fn seconds_open(&self, open: &OpenCharge) -> i64 {
        self.moment.wall.signed_duration_since(open.wall).num_seconds()
    }

    /// Makes all charges of an attempt, whose claim names the budgets. Where one is not made, the others have to be given back.
    pub(crate) async fn charge_all(self, attempt: &mut AttemptCharges) -> Result<Charged, Unsettled> {
        let Some(id) = attempt.attempt.filter(|_| !attempt.is_complete()) else { return Ok(Charged::All) };
        let waiting = attempt.charges.charges.iter().skip(attempt.permits.len());
        for charge in waiting {
            let permits = self.ledger.lanes.permits(self.account, charge.budget.id);
            // In the order of levels, so that two requests never wait for each other.
            let permit = timeout(WAIT, permits.acquire_owned()).await;
            attempt.permits.extend(permit.map_err(|_| Fault::Busy)?.ok());
        }
        let sent = attempt.charges.charges.iter().map(|charge| self.charge(charge, id));
        let outcomes = join_all(sent).await;
        attempt.made.clear();
        let mut first = None;
        for (charge, outcome) in attempt.charges.charges.iter().zip(outcomes) {
            match outcome {
                Ok(Outcome::Made(open)) => attempt.made.push((charge.budget.id, open)),
                Ok(Outcome::Not(not)) => first = first.or(Some(Ok(not))),
                Err(fault) => first = first.or(Some(Err(fault))),
            }
        }
        match first {
            None => Ok(Charged::All),
            Some(Ok(not)) => Ok(not),
            Some(Err(fault)) => Err(fault.into()),
        }
    }

    async fn charge(self, charge: &BudgetCharge, attempt: EntryId) -> Result<Outcome, Fault> {
        let budget = charge.budget.id;
        let open = OpenCharge { amount: charge.amount, wall: self.moment.wall };
        for number in 0..ATTEMPTS_MAX {
            let sent = self.ledger.send_charge(self.account, charge, attempt, open).await;
            let counter = match sent {
                Ok(ConditionalUpdate::Updated(item)) => {
                    self.close_others(budget, &counter_of(&item)?).await;
                    return Ok(Outcome::Made(open));
                }
                Ok(ConditionalUpdate::Existing(item)) => {
                    item.as_ref().map(counter_of).transpose()?.unwrap_or_default()
                }
                Err(fault) if fault.is_throttled() => {
                    backoff(number.saturating_add(3)).await;
                    continue;
                }
                Err(fault) => {
                    tracing::warn!(account = %self.account, %budget, cause = &fault as &dyn Error, "charge of a budget in doubt");
                    self.ledger.withdraw(self.account, budget, attempt).await?;
                    return Err(Fault::Busy);
                }
            };
            match counter.step(charge, attempt) {
                CounterStep::Charged => return Ok(Outcome::Made(open)),
                CounterStep::Fenced => return Ok(Outcome::Not(Charged::Fenced(counter.fence))),
                CounterStep::Later(start) => return Ok(Outcome::Not(Charged::Later(start))),
                CounterStep::Full => {
                    return Ok(Outcome::Not(Charged::Refused(exceeded(charge, &counter).into())));
                }
                CounterStep::Again => (),
                CounterStep::Waits | CounterStep::Crowded => {
                    // What is running ends while this waits. Now and then, look for what has ended and stays open.
                    let looks = number.is_multiple_of(LOOK_EVERY);
                    if !(looks && self.end_open(budget, &counter).await?) {
                        backoff(number.saturating_add(3)).await;
                    }
                    // Nothing is sent until there may be room.
                    let known = self.ledger.budget_counter(self.account, budget).await?;
                    if known.step(charge, attempt) == CounterStep::Full {
                        return Ok(Outcome::Not(Charged::Refused(exceeded(charge, &known).into())));
                    }
                }
            }
        }
        Err(Fault::Busy)
    }

    /// Ends a request: closes its charges where its debit has landed, gives them back where it has not, and leaves them open
    /// where that is not known.
    pub(crate) async fn conclude(self, charges: &mut AttemptCharges) {
        let AttemptCharges { attempt, made, permits, in_doubt, landed, .. } = std::mem::take(charges);
        let Some(attempt) = attempt else { return };
        if landed {
            for (budget, _) in &made {
                self.ledger.lanes.ended(self.account, *budget, attempt);
            }
        } else if !in_doubt {
            let given = made
                .iter()
                .map(|(budget, open)| self.ledger.give_back(self.account, *budget, attempt, *open));
            for fault in join_all(given).await.into_iter().filter_map(Result::err) {
                tracing::warn!(
                    account = %self.account, %attempt, fault = &fault as &dyn Error,
                    "a budget's credits are given back by the next request that needs them"
                );
            }
        }
        drop(permits);
    }

    /// Gives back what an attempt of another process has charged that will never land.
    pub(crate) async fn withdraw_all(self, budgets: &[BudgetId], attempt: EntryId) -> Result<(), Fault> {
        let withdrawn = budgets.iter().map(|budget| self.ledger.withdraw(self.account, *budget, attempt));
        join_all(withdrawn).await.into_iter().collect()
    }

    /// Closes open charges of others, once there are many.
    async fn close_others(self, budget: BudgetId, counter: &BudgetCounter) {
        if counter.open.len() < CROWDED {
            return;
        }
        if let Err(fault) = self.end_open(budget, counter).await {
            tracing::warn!(account = %self.account, %budget, fault = &fault as &dyn Error, "open charges stay");
        }
    }

    /// Finds out which open charges have ended, and closes them or gives them back. Returns whether there was one.
    async fn end_open(self, budget: BudgetId, counter: &BudgetCounter) -> Result<bool, Fault> {
        let known = self.ledger.lanes.to_close(self.account, budget);
        let others = counter.open.iter().filter(|(attempt, _)| !known.contains(attempt));
        let ends = join_all(others.map(|(attempt, open)| self.ended(*attempt, *open))).await;
        let others = counter.open.keys().filter(|attempt| !known.contains(attempt));
        let (mut landed, mut found) = (known.clone(), !known.is_empty());
        for (attempt, ended) in others.zip(ends) {
            match ended? {
                Ended::Landed => landed.push(*attempt),
                Ended::Never => {
                    self.ledger.withdraw(self.account, budget, *attempt).await?;
                    found = true;
                }
                Ended::Running => (),
            }
        }
        self.ledger.close_charges(self.account, budget, &landed).await?;
        let counter = self.ledger.budget_counter(self.account, budget).await?;
        self.ledger.lanes.saw(self.account, budget, &counter, &landed);
        Ok(found || !landed.is_empty())
    }

    /// Whether the attempt of an open charge has landed, never will, or may still be running.
    async fn ended(self, attempt: EntryId, open: OpenCharge) -> Result<Ended, Fault> {
        if self.ledger.transaction(self.account, attempt).await?.is_some() {
            return Ok(Ended::Landed);
        }
        if self.seconds_open(&open) < IN_PROGRESS_SECONDS {
            return Ok(Ended::Running);
        }
        match self.ledger.resolve(self.account, attempt, None, self.moment).await {
            Ok(Some(_)) => Ok(Ended::Landed),
            Ok(None) => Ok(Ended::Never),
            Err(Unsettled::Failed(fault)) => Err(fault),
            Err(
                Unsettled::InProgress
                | Unsettled::KeyReused
                | Unsettled::NoAccount
                | Unsettled::HoldsEnded
                | Unsettled::Refused(_),
            ) => Ok(Ended::Running),
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

fn exceeded(charge: &BudgetCharge, counter: &BudgetCounter) -> BudgetExceeded {
    let BudgetCharge { budget, amount, time, .. } = charge;
    BudgetExceeded {
        budget: budget.id,
        level: budget.subject.level,
        id: budget.subject.id.clone(),
        usage: BudgetUse {
            limit: budget.limit_at(charge.counted_at),
            used: counter.used_in(time.start),
            resets_at: time.end,
        },
        required: *amount,
    }
}
