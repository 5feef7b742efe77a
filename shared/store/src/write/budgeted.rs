//! An attempt's charges of budgets: made before its debit, and given back where the debit is not made.
//!
//! A charge is one conditional write of the budget's counter. It names the attempt, and stays open until a later write of the
//! same process closes it. So whatever crashes, the counter says which attempts may have charged it for nothing, and a request
//! that needs the room finds out whether they have landed.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout};

use crate::budget::counters::SentCharge;
use crate::table::backoff::backoff;
use crate::table::error::{Fault, Unsettled};
use crate::table::ledger::Ledger;
use domain::{
    AccountId, BudgetCharge, BudgetCharges, BudgetCounter, BudgetExceeded, BudgetFilter, BudgetId, BudgetUse,
    CounterStep, Details, EntryId, OpenCharge, Refusal,
};
use ports::Moment;

/// How often one charge is sent, or its counter read, before its caller has to retry. With the waits between them, a quarter of a
/// second on average: other requests take some twenty milliseconds, unless their process has died.
const ATTEMPTS_MAX: u32 = 10;

/// At every which attempt open charges are looked at one by one.
const LOOK_EVERY: u32 = 4;

/// How long the charges of a request wait for other charges of this process.
const WAIT: Duration = Duration::from_secs(3);

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
            if counter.step(charge, attempt) == CounterStep::Waits {
                counter = self.end_open(budget, &counter).await?.unwrap_or(counter);
            }
            if counter.step(charge, attempt) == CounterStep::Full {
                return Ok(Some(Refusal::BudgetExceeded(exceeded(charge, &counter).into())));
            }
        }
        Ok(None)
    }

    /// Makes all charges of an attempt, whose claim names the budgets. Where one is not made, the others have to be given back.
    pub(crate) async fn charge_all(self, attempt: &mut AttemptCharges) -> Result<Charged, Unsettled> {
        let Some(id) = attempt.attempt.filter(|_| !attempt.is_complete()) else { return Ok(Charged::All) };
        let begun = Instant::now();
        timeout(WAIT, self.wait_for_permits(attempt)).await.map_err(|_| Fault::Busy)?;
        // How long a charge is open is judged from when it is made.
        let waited = TimeDelta::from_std(begun.elapsed()).unwrap_or_default();
        let wall = self.moment.wall.checked_add_signed(waited).unwrap_or(self.moment.wall);
        let charge = |charge: &BudgetCharge| OpenCharge { amount: charge.amount, wall };
        let sent = attempt.charges.charges.iter().map(|one| self.charge(one, id, charge(one)));
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

    /// In the order of levels, so that two requests never wait for each other.
    async fn wait_for_permits(self, attempt: &mut AttemptCharges) {
        for charge in attempt.charges.charges.iter().skip(attempt.permits.len()) {
            let permits = self.ledger.lanes.permits(self.account, charge.budget.id);
            attempt.permits.extend(permits.acquire_owned().await.ok());
        }
    }

    async fn charge(
        self,
        charge: &BudgetCharge,
        attempt: EntryId,
        open: OpenCharge,
    ) -> Result<Outcome, Fault> {
        let budget = charge.budget.id;
        let mut known = None;
        for number in 0..ATTEMPTS_MAX {
            let counter = match known.take() {
                Some(counter) => counter,
                None => match self.ledger.send_charge(self.account, charge, attempt, open).await {
                    Ok(SentCharge::Made(counter)) => {
                        self.close_others(budget, &counter).await;
                        return Ok(Outcome::Made(open));
                    }
                    Ok(SentCharge::Not(counter)) => counter,
                    Err(fault) if fault.is_throttled() => {
                        backoff(number.saturating_add(3)).await;
                        continue;
                    }
                    Err(fault) => {
                        tracing::warn!(account = %self.account, %budget, cause = &fault as &dyn Error, "charge of a budget in doubt");
                        self.ledger.withdraw(self.account, budget, attempt).await?;
                        return Err(Fault::Busy);
                    }
                },
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
                    // What is running ends while this waits. Now and then, look for what has ended and stays open. Nothing is
                    // sent until there may be room.
                    let looks = number.is_multiple_of(LOOK_EVERY);
                    let changed = if looks { self.end_open(budget, &counter).await? } else { None };
                    known = match changed {
                        Some(changed) => Some(changed),
                        None => {
                            backoff(number.saturating_add(1)).await;
                            Some(self.ledger.budget_counter(self.account, budget).await?)
                        }
                    };
                    known = known.filter(|known| known.step(charge, attempt) != CounterStep::Again);
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

    /// Gives back what an attempt of another process has charged that will never land. Others would find it as well, once they
    /// need the room; this request needs it now.
    pub(crate) async fn withdraw_all(self, budgets: &[BudgetId], attempt: EntryId) -> Result<(), Fault> {
        let withdrawn = budgets.iter().map(|budget| self.ledger.withdraw(self.account, *budget, attempt));
        join_all(withdrawn).await.into_iter().collect()
    }
}

fn exceeded(charge: &BudgetCharge, counter: &BudgetCounter) -> BudgetExceeded {
    let BudgetCharge { budget, amount, time, .. } = charge;
    BudgetExceeded {
        budget: budget.id,
        level: budget.subject.level,
        id: budget.subject.id.clone(),
        only: budget.only.as_ref().map(BudgetFilter::words),
        period: budget.period.as_str(),
        usage: BudgetUse {
            limit: budget.limit_at(charge.counted_at),
            used: counter.used_in(time.start),
            resets_at: time.end,
        },
        required: *amount,
    }
}
