//! The counters of budgets: what requests add to them, and what they give back.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use std::collections::HashMap;

use crate::budget::counter_item::{counter_of, open_text};
use crate::table::attribute::{number, text};
use crate::table::condition::UpdateExpression;
use crate::table::conditional_update::ConditionalUpdate;
use crate::table::error::Fault;
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use domain::{
    AccountId, BudgetCharge, BudgetCounter, BudgetId, Credits, EntryId, OPEN_MAX, OpenCharge, Receipt,
};

/// How a charge was sent.
#[derive(Debug)]
pub(crate) enum SentCharge {
    /// It was made; the counter after it.
    Made(BudgetCounter),
    /// It was not made by this write; the counter as it is.
    Not(BudgetCounter),
}

/// What a transaction gives back to the budgets that have counted another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetGift {
    /// The budgets.
    pub budgets: Vec<BudgetId>,
    /// When the credits were counted.
    pub counted: DateTime<Utc>,
    /// The credits.
    pub amount: Credits,
    /// The number of the transaction that gives them back.
    pub number: u64,
}

impl Ledger {
    /// Sends a charge of a budget for an attempt once. `known` is the counter as this process knows it: it decides whether the
    /// charge begins a new period. Closes charges whose attempts have ended in the same write.
    ///
    /// # Errors
    /// When no answer says whether it was made: [`Ledger::withdraw`] makes certain that it never is.
    pub(crate) async fn send_charge(
        &self,
        account: AccountId,
        charge: &BudgetCharge,
        attempt: EntryId,
        open: OpenCharge,
    ) -> Result<SentCharge, Fault> {
        let budget = charge.budget.id;
        let known = self.lanes.seen(account, budget);
        let is_new = known.is_none_or(|known| known.period != Some(charge.time.start));
        let closed = if is_new { vec![] } else { self.lanes.to_close(account, budget) };
        let update = if is_new {
            new_period(charge, attempt, open)
        } else {
            same_period(charge, attempt, open, &closed)
        };
        let key = Key::budget_counter(account, budget);
        let update = self.once.update_or_existing(&key, update, "charge a budget").await?;
        let (sent, closed) = match update {
            ConditionalUpdate::Updated(item) => (SentCharge::Made(counter_of(&item)?), closed),
            ConditionalUpdate::Existing(item) => {
                (SentCharge::Not(item.as_ref().map(counter_of).transpose()?.unwrap_or_default()), vec![])
            }
        };
        let (SentCharge::Made(counter) | SentCharge::Not(counter)) = &sent;
        self.lanes.saw(account, budget, counter, &closed);
        Ok(sent)
    }

    /// The counter of a budget, strongly consistent.
    ///
    /// # Errors
    /// When the table does not answer; when the counter is unreadable.
    pub async fn budget_counter(&self, account: AccountId, budget: BudgetId) -> Result<BudgetCounter, Fault> {
        let item = self
            .table
            .get(&Key::budget_counter(account, budget), "read how much of a budget is used")
            .await?;
        let counter = item.as_ref().map(counter_of).transpose()?.unwrap_or_default();
        self.lanes.saw(account, budget, &counter, &[]);
        Ok(counter)
    }

    /// Gives back the open charge of an attempt that was not carried out, by the process that made it and has its answer.
    pub(crate) async fn give_back(
        &self,
        account: AccountId,
        budget: BudgetId,
        attempt: EntryId,
        open: OpenCharge,
    ) -> Result<(), Fault> {
        let update = closing(
            attempt,
            open,
            "SET #used = #used - :amount REMOVE #open.#id",
            "#open.#id = :open AND :amount <= #used",
        );
        let update = update.value(":amount", number(open.amount.get()));
        self.table
            .update(&Key::budget_counter(account, budget), update, "give a budget's credits back")
            .await
            .map(|_| ())
    }

    /// Closes charges whose attempts have ended.
    pub(crate) async fn close_charges(
        &self,
        account: AccountId,
        budget: BudgetId,
        attempts: &[EntryId],
    ) -> Result<(), Fault> {
        if attempts.is_empty() {
            return Ok(());
        }
        let (removes, names) = removals(attempts);
        let update = UpdateExpression::new(&format!("REMOVE {removes}")).name("#open", "open");
        let update = names.iter().fold(update, |update, (name, id)| update.name(name, id));
        let update = update.only_if("attribute_exists(#open)");
        let key = Key::budget_counter(account, budget);
        self.table.update(&key, update, "close charges of a budget").await.map(|_| ())
    }

    /// Makes certain that an attempt, which has not landed and never will, has charged nothing: gives its open charge back and
    /// closes the counter to it and to older attempts.
    pub(crate) async fn withdraw(
        &self,
        account: AccountId,
        budget: BudgetId,
        attempt: EntryId,
    ) -> Result<(), Fault> {
        let key = Key::budget_counter(account, budget);
        let fence = UpdateExpression::new("SET #fence = :fence")
            .name("#fence", "fence")
            .value(":fence", text(attempt.bare()))
            .only_if("attribute_not_exists(#fence) OR #fence < :fence");
        self.table.update(&key, fence, "close a budget to an attempt").await?;
        let counter = self.budget_counter(account, budget).await?;
        match counter.open.get(&attempt) {
            Some(open) => self.give_back(account, budget, attempt, *open).await,
            None => Ok(()),
        }
    }

    /// What a transaction gives back to budgets: the credits of a refund, or of a hold that is released. `None` for every other
    /// transaction.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn budget_gift(
        &self,
        account: AccountId,
        receipt: &Receipt,
    ) -> Result<Option<BudgetGift>, Fault> {
        let Some(drawn) = receipt.details.drawn.as_ref().filter(|drawn| !drawn.is_capture()) else {
            return Ok(None);
        };
        let Some(mut source) = self.transaction(account, drawn.of).await? else { return Ok(None) };
        // What a capture spends was counted with its hold.
        if let Some(captured) = source.details.drawn.as_ref().filter(|drawn| drawn.is_capture()) {
            let Some(hold) = self.transaction(account, captured.of).await? else { return Ok(None) };
            source = hold;
        }
        if source.details.budgets.is_empty() {
            return Ok(None);
        }
        let (budgets, counted) = (source.details.budgets, source.entry.at);
        Ok(Some(BudgetGift { budgets, counted, amount: drawn.amount(), number: receipt.sequence }))
    }

    /// Gives credits back to budgets, if they were counted in the present period of these. Gifts of an account come in the order
    /// of their numbers, so each is made once, however often it is repeated.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn give_to_budgets(&self, account: AccountId, gift: &BudgetGift) -> Result<(), Fault> {
        for budget in &gift.budgets {
            let update = UpdateExpression::new("SET #used = #used - :amount, #given = :number")
                .name("#used", "used")
                .name("#given", "given")
                .name("#period", "period")
                .value(":amount", number(gift.amount.get()))
                .value(":number", number(gift.number))
                .value(":counted", AttributeValue::N(gift.counted.timestamp().to_string()))
                .only_if(
                    "#period <= :counted AND :amount <= #used AND (attribute_not_exists(#given) OR #given < :number)",
                );
            let key = Key::budget_counter(account, *budget);
            self.table.update(&key, update, "give a refund back to a budget").await?;
        }
        Ok(())
    }
}

/// A charge within the period that the counter has.
fn same_period(
    charge: &BudgetCharge,
    attempt: EntryId,
    open: OpenCharge,
    closed: &[EntryId],
) -> UpdateExpression {
    let most = charge.limit.unwrap_or(Credits::MAX).less(charge.amount);
    let (removes, names) = removals(closed);
    let removes = if closed.is_empty() { removes } else { format!(" REMOVE {removes}") };
    let update = closing(
        attempt,
        open,
        &format!(
            "SET #used = #used + :amount, #open.#id = :open, #limit = :limit, #alerts = :alerts{removes}"
        ),
        "#period = :period AND #used <= :most AND #fence < :id AND attribute_not_exists(#open.#id) AND size(#open) < :open_max",
    );
    let update = names.iter().fold(update, |update, (name, id)| update.name(name, id));
    // A request that needs more than the limit finds no counter that is low enough.
    let most = most.map_or_else(|| AttributeValue::N("-1".to_owned()), |most| number(most.get()));
    described(update, charge)
        .name("#fence", "fence")
        .value(":amount", number(charge.amount.get()))
        .value(":most", most)
        .value(":id", text(attempt.bare()))
        .value(":open_max", number(u64::try_from(OPEN_MAX).unwrap_or(u64::MAX)))
}

/// A charge that begins a period.
fn new_period(charge: &BudgetCharge, attempt: EntryId, open: OpenCharge) -> UpdateExpression {
    let charges = HashMap::from([(attempt.bare(), text(open_text(open)))]);
    // A request that needs more than the whole limit is never taken.
    let fits = charge.limit.is_none_or(|limit| charge.amount <= limit);
    let fits = if fits { "" } else { " AND attribute_exists(#never)" };
    let update = UpdateExpression::new(
        "SET #used = :amount, #period = :period, #open = :charges, #fence = if_not_exists(#fence, :first), \
         #limit = :limit, #alerts = :alerts REMOVE #told",
    )
    .only_if(&format!(
        "(attribute_not_exists(#period) OR #period < :period) AND (attribute_not_exists(#fence) OR #fence < :id){fits}"
    ));
    let update = described(update, charge)
        .name("#used", "used")
        .name("#open", "open")
        .name("#fence", "fence")
        .name("#told", "told")
        .value(":amount", number(charge.amount.get()))
        .value(":charges", AttributeValue::M(charges))
        .value(":first", text(EntryId::FIRST.bare()))
        .value(":id", text(attempt.bare()));
    if fits.is_empty() { update } else { update.name("#never", "never") }
}

/// What the projector needs of the budget beside the counter.
fn described(update: UpdateExpression, charge: &BudgetCharge) -> UpdateExpression {
    let alerts = charge.budget.alert_at.iter().map(|percent| number(u64::from(*percent))).collect();
    let limit = charge.budget.limit_at(charge.counted_at);
    update
        .name("#period", "period")
        .name("#limit", "limit")
        .name("#alerts", "alerts")
        .value(":period", AttributeValue::N(charge.time.start.timestamp().to_string()))
        .value(":limit", number(limit.get()))
        .value(":alerts", AttributeValue::L(alerts))
}

fn closing(attempt: EntryId, open: OpenCharge, update: &str, condition: &str) -> UpdateExpression {
    UpdateExpression::new(update)
        .only_if(condition)
        .name("#used", "used")
        .name("#open", "open")
        .name("#id", &attempt.bare())
        .value(":open", text(open_text(open)))
}

/// The removal of the charges of these attempts, and the attributes of its names.
fn removals(attempts: &[EntryId]) -> (String, Vec<(String, String)>) {
    let names: Vec<_> =
        attempts.iter().enumerate().map(|(place, id)| (format!("#c{place}"), id.bare())).collect();
    let paths: Vec<_> = names.iter().map(|(name, _)| format!("#open.{name}")).collect();
    (paths.join(", "), names)
}
