use aws_sdk_dynamodb::types::AttributeValue;

use super::draw::{Asking, Taken};
use super::item::{RowItem, decode};
use super::key::row_partition;
use super::{Fault, Ledger, Moment, Unsettled};
use crate::domain::{
    AccountId, Amount, ClaimKey, Details, EntryId, Fingerprint, Period, Pot, PurchaseId, Reason, Receipt,
    Reference, Refusal, Why,
};

/// How many debits before one are looked through for its twin. One that lies further back has to be named.
const TWIN_ROWS_MAX: i32 = 10_000;

/// How many rows one read looks through.
const ROWS_AT_ONCE: i32 = 1_000;

/// As how many rows a read counts that finds fewer, so that months without any come to an end too.
const READ_COUNTS_AS: i32 = 200;

/// Credits asked back.
#[derive(Clone, Debug)]
pub struct Refund {
    /// Of which debit.
    pub transaction: EntryId,
    /// Why.
    pub reason: Reason,
    /// How many; all that was not refunded yet when nothing is said.
    pub amount: Option<Amount>,
    /// In words.
    pub note: Option<Reference>,
    /// The earlier debit for the same, where that is the reason and it lies far back.
    pub duplicate_of: Option<EntryId>,
    /// Who decides.
    pub by: Decides,
}

/// Who decides on a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decides {
    /// The seed's table.
    Table,
    /// The table, for a debit whose caller reports in time that it has failed.
    Policy,
    /// An operator, whatever the table says.
    Operator,
}

impl Ledger {
    /// Gives credits of a debit back; `None` when there is no such transaction.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] by the rules of [`Reason::may_refund`], [`Receipt::may_be_refunded`] and
    /// [`Pot::to_refund`]; and as [`Ledger::draw`].
    pub async fn refund(
        &self,
        account: AccountId,
        request: &Refund,
        (key, asked, details): (&ClaimKey, &Fingerprint, &Details),
        moment: Moment,
    ) -> Result<Option<Taken>, Unsettled> {
        let Some(from) = self.find(account, request.transaction).await? else {
            let bought = PurchaseId { account, transaction: request.transaction };
            return match self.purchase(bought).await? {
                Some(_) => Err(Refusal::NotEligible(
                    "this transaction has brought credits and spent none; name the debit of an operation",
                )
                .into()),
                None => Ok(None),
            };
        };
        let pot = self.pot(account, from.entry.id).await?.unwrap_or_else(|| Pot::of(&from));
        let mut twin = None;
        if !pot.has(key) {
            twin = self.may_refund(account, &from, request, moment).await?;
            pot.to_refund(request.amount)?;
        }
        let why = Why::Refund { reason: request.reason, note: request.note.clone(), twin };
        let asking = Asking { key, asked, details, why: &why, moment };
        let decide = |pot: &Pot| pot.to_refund(request.amount);
        self.draw(account, &from, asking, decide).await.map(Some)
    }

    /// One transaction of an account, also where it is the last and its row is not written yet; `None` when
    /// there is none.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn find(&self, account: AccountId, id: EntryId) -> Result<Option<Receipt>, Fault> {
        if let Some(receipt) = self.transaction(account, id).await? {
            return Ok(Some(receipt));
        }
        let Some(known) = self.account(account).await? else { return Ok(None) };
        let is_last = known.last.as_ref().is_some_and(|last| (last.id..=last.last_id()).contains(&id));
        if !is_last {
            return Ok(None);
        }
        self.complete(&known).await?;
        self.transaction(account, id).await
    }

    /// Whether it is refunded by the rules; the twin that makes it so, where it takes one.
    async fn may_refund(
        &self,
        account: AccountId,
        from: &Receipt,
        request: &Refund,
        moment: Moment,
    ) -> Result<Option<EntryId>, Unsettled> {
        from.may_be_refunded()?;
        match request.by {
            Decides::Operator => return Ok(request.duplicate_of),
            Decides::Policy => from.may_fail(moment.now)?,
            Decides::Table => request.reason.may_refund()?,
        }
        if request.reason != Reason::DuplicateOperation {
            return Ok(None);
        }
        if from.details.resource_id.is_none() {
            return Err(Refusal::NotEligible(
                "this debit names no resource, so it is the duplicate of none; an operator may decide otherwise",
            )
            .into());
        }
        let twin = match request.duplicate_of {
            Some(named) => {
                let named = self.transaction(account, named).await?;
                let twin = named.filter(|twin| twin.is_twin_of(from));
                self.if_it_stands(account, twin).await?
            }
            None => self.earlier_twin(account, from).await?,
        };
        let named = Refusal::NotEligible(
            "`duplicateOf` names no earlier debit for the same operation and resource that stands",
        );
        let none = Refusal::NotEligible(
            "no earlier debit for the same operation and resource stands; if it lies more than 10,000 transactions \
             back, name it in `duplicateOf`",
        );
        Ok(Some(twin.ok_or(if request.duplicate_of.is_some() { named } else { none })?))
    }

    /// The latest debit before `from` for the same that was not refunded itself.
    async fn earlier_twin(&self, account: AccountId, from: &Receipt) -> Result<Option<EntryId>, Fault> {
        let Some(resource) = &from.details.resource_id else { return Ok(None) };
        let (mut month, mut looked) = (Period::of(from.entry.id.time()), 0i32);
        let opened = Period::of(account.org.time());
        while opened <= month && looked < TWIN_ROWS_MAX {
            let mut next = None;
            loop {
                let text = |text: &str| AttributeValue::S(text.to_owned());
                let query = self.client.query().table_name(&self.table).consistent_read(true);
                let answer = query
                    .key_condition_expression("pk = :pk AND sk < :id")
                    .filter_expression("#d.#resource IN (:resource, :composed, :decomposed)")
                    .expression_attribute_names("#d", "d")
                    .expression_attribute_names("#resource", "resourceId")
                    .expression_attribute_values(":pk", text(&row_partition(account, month)))
                    .expression_attribute_values(":id", text(&from.entry.id.bare()))
                    .expression_attribute_values(":resource", text(resource.as_str()))
                    .expression_attribute_values(":composed", text(&resource.composed()))
                    .expression_attribute_values(":decomposed", text(&resource.decomposed()))
                    .scan_index_forward(false)
                    .limit(ROWS_AT_ONCE)
                    .set_exclusive_start_key(next.take())
                    .send()
                    .await
                    .map_err(|error| Fault::unavailable("look for an earlier debit")(error.into()))?;
                looked = looked.saturating_add(answer.scanned_count.max(READ_COUNTS_AS));
                for item in answer.items.unwrap_or_default() {
                    let row = decode::<RowItem>("a transaction", item)?.receipt();
                    let twin = Some(row).filter(|row| row.is_twin_of(from));
                    if let Some(twin) = self.if_it_stands(account, twin).await? {
                        return Ok(Some(twin));
                    }
                }
                next = answer.last_evaluated_key;
                if next.is_none() || looked >= TWIN_ROWS_MAX {
                    break;
                }
            }
            month = month.previous();
        }
        Ok(None)
    }

    /// A debit of which something was not refunded.
    async fn if_it_stands(
        &self,
        account: AccountId,
        debit: Option<Receipt>,
    ) -> Result<Option<EntryId>, Fault> {
        let Some(debit) = debit else { return Ok(None) };
        Ok(self.is_paid(account, debit.entry.id).await?.then_some(debit.entry.id))
    }

    /// Whether not all of a debit was refunded.
    pub(super) async fn is_paid(&self, account: AccountId, debit: EntryId) -> Result<bool, Fault> {
        let pot = self.pot(account, debit).await?;
        Ok(pot.is_none_or(|pot| pot.draws.is_empty() || !pot.left().is_zero()))
    }
}
