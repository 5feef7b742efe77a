use aws_sdk_dynamodb::types::AttributeValue;

use super::draw::{Asking, Taken};
use super::item::{RowItem, decode};
use super::key::row_partition;
use super::{Fault, Ledger, Moment, Unsettled};
use domain::{
    AccountId, ClaimKey, Details, EntryId, Fingerprint, Period, Pot, PurchaseId, Receipt, Refund, Refusal,
    Twin, Why,
};

/// How many debits before one are looked through for its twin. One that lies further back has to be named.
const TWIN_ROWS_MAX: i32 = 10_000;

/// How many rows one read looks through.
const ROWS_AT_ONCE: i32 = 1_000;

/// As how many rows a read counts that finds fewer, so that months without any come to an end too.
const READ_COUNTS_AS: i32 = 200;

impl Ledger {
    /// Gives credits of a debit back; `None` when there is no such transaction.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] by the rules of [`Refund::of`] and [`Pot::to_refund`]; and as [`Ledger::draw`].
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
                Some(_) => Err(Refusal::purchase_is_no_debit().into()),
                None => Ok(None),
            };
        };
        let pot = self.pot_of(account, &from).await?;
        let mut twin = None;
        if pot.open_under(key).is_none()
            && self.made_under(account, &pot, (key, asked), moment).await?.is_none()
        {
            twin = match request.of(&from, moment.now)? {
                Twin::NotNeeded(told) => told,
                Twin::Named(twin) => {
                    Some(self.named_twin(account, &from, twin).await?.ok_or(request.no_twin())?)
                }
                Twin::Latest => Some(self.earlier_twin(account, &from).await?.ok_or(request.no_twin())?),
            };
            pot.to_refund(request.amount)?;
        }
        let why = Why::Refund { reason: request.reason, note: request.note.clone(), twin };
        let asking = Asking { key, asked, details, why: &why, moment };
        let decide = |pot: &Pot| pot.to_refund(request.amount);
        self.draw_on(account, (&from, pot), asking, decide).await.map(Some)
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

    /// The debit `twin`, if it is an earlier one for the same as `from` and stands.
    async fn named_twin(
        &self,
        account: AccountId,
        from: &Receipt,
        twin: EntryId,
    ) -> Result<Option<EntryId>, Fault> {
        let named = self.transaction(account, twin).await?;
        self.if_it_stands(account, named.filter(|twin| twin.is_twin_of(from))).await
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
        Ok(pot.is_none_or(|pot| pot.parts() == 0 || !pot.left().is_zero()))
    }
}
