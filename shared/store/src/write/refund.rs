//! Refunds of debits, and the search for the earlier debit that a duplicate repeats.

use crate::table::attribute::text;
use crate::table::condition::Condition;
use crate::table::error::{Fault, Unsettled};
use crate::table::item::receipt;
use crate::table::ledger::Ledger;
use crate::table::query::SortKeys;
use crate::table::row_query::RowQuery;
use crate::write::claim::Claim;
use crate::write::drawdown::{DrawdownResult, DrawdownSource};
use crate::write::drawdown_request::DrawdownRequest;
use domain::{
    AccountId, DrawdownReason, DuplicateOf, EntryId, Period, PurchaseId, Receipt, Refund, Refusal, Remainder,
};
use ports::Moment;

/// How many rows before a debit are read to find its twin. One that lies further back has to be named.
const TWIN_ROWS_MAX: i32 = 10_000;

/// How many rows one read examines.
const ROWS_AT_ONCE: i32 = 1_000;

/// The minimum number of rows that a read counts as, so that the search ends even where months have no rows.
const READ_COUNTS_AS: i32 = 200;

impl Ledger {
    /// Refunds credits of a debit; `None` when there is no such transaction.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] by the rules of [`Refund::of`] and [`Remainder::to_refund`]; and as [`Ledger::draw_down`].
    pub async fn refund(
        &self,
        account: AccountId,
        request: &Refund,
        claim: Claim<'_>,
        moment: Moment,
    ) -> Result<Option<DrawdownResult>, Unsettled> {
        let Some(from) = self.find(account, request.transaction).await? else {
            let bought = PurchaseId { account, transaction: request.transaction };
            return match self.purchase(bought).await? {
                Some(_) => Err(Refusal::purchase_is_no_debit().into()),
                None => Ok(None),
            };
        };
        let remainder = self.remainder_of(account, &from).await?;
        let mut twin = None;
        if remainder.open_under(claim.key).is_none()
            && self.made_under(account, &remainder, claim, moment).await?.is_none()
        {
            twin = match request.of(&from, moment.now)? {
                DuplicateOf::NotNeeded(recorded) => recorded,
                DuplicateOf::Named(twin) => {
                    Some(self.named_twin(account, &from, twin).await?.ok_or(request.no_twin())?)
                }
                DuplicateOf::Latest => {
                    Some(self.earlier_twin(account, &from).await?.ok_or(request.no_twin())?)
                }
            };
            remainder.to_refund(request.amount)?;
        }
        let why = DrawdownReason::Refund { reason: request.reason, note: request.note.clone(), twin };
        let source = DrawdownSource { ledger: self, account, from: &from, moment };
        let decide = |remainder: &Remainder| remainder.to_refund(request.amount);
        source.draw_down(remainder, DrawdownRequest { claim, why: &why, moment }, decide).await.map(Some)
    }

    /// The debit `twin`, if it is an earlier twin of `from` and was not refunded in full.
    async fn named_twin(
        &self,
        account: AccountId,
        from: &Receipt,
        twin: EntryId,
    ) -> Result<Option<EntryId>, Fault> {
        let named = self.transaction(account, twin).await?;
        self.if_paid(account, named.filter(|twin| twin.is_twin_of(from))).await
    }

    /// The latest earlier twin of `from` that was not refunded in full.
    async fn earlier_twin(&self, account: AccountId, from: &Receipt) -> Result<Option<EntryId>, Fault> {
        let Some(resource) = &from.details.resource_id else { return Ok(None) };
        let filter = Condition::new("#d.#resource IN (:resource, :composed, :decomposed)")
            .name("#d", "d")
            .name("#resource", "resourceId")
            .value(":resource", text(resource.as_str()))
            .value(":composed", text(resource.composed()))
            .value(":decomposed", text(resource.decomposed()));
        let rows = self.rows_of_account(account).await?;
        let (mut month, mut examined) = (Period::of(from.entry.id.time()), 0i32);
        let mut below = from.entry.id.bare();
        let opened = Period::of(account.org.time());
        while opened <= month && examined < TWIN_ROWS_MAX {
            let query = RowQuery::new(rows, month, SortKeys::Below(below.clone())).falling();
            let query = query.limit(Some(ROWS_AT_ONCE)).filtered(filter.clone());
            let page = self.table.query_rows(query, "look for an earlier debit").await?;
            examined = examined.saturating_add(page.scanned.max(READ_COUNTS_AS));
            for item in page.items {
                let twin = Some(receipt(item)?).filter(|row| row.is_twin_of(from));
                if let Some(twin) = self.if_paid(account, twin).await? {
                    return Ok(Some(twin));
                }
            }
            match page.end {
                Some(end) => below = end,
                None => month = month.previous(),
            }
        }
        Ok(None)
    }

    /// The id of a debit, unless the debit was refunded in full.
    async fn if_paid(&self, account: AccountId, debit: Option<Receipt>) -> Result<Option<EntryId>, Fault> {
        let Some(debit) = debit else { return Ok(None) };
        Ok(self.is_paid(account, debit.entry.id).await?.then_some(debit.entry.id))
    }

    /// Whether a debit was not refunded in full.
    pub(crate) async fn is_paid(&self, account: AccountId, debit: EntryId) -> Result<bool, Fault> {
        let remainder = self.remainder(account, debit).await?;
        Ok(remainder.is_none_or(|remainder| remainder.parts() == 0 || !remainder.left().is_zero()))
    }
}
