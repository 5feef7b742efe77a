//! The purchases whose credits were granted in a closed month.

use std::collections::BTreeMap;

use chrono::Days;
use futures_util::future::{FutureExt, try_join_all};

use crate::chain::closed_month::ClosedMonth;
use crate::table::error::Fault;
use crate::table::ledger::Ledger;
use domain::{AccountId, Credits, EntryId, PurchaseStatus, Sale};

/// How many purchases are read at once.
const PAGE: u16 = 50;

/// How many days before the month a purchase may have been made: a provider is asked about its payments for 30 days.
const DAYS_BEFORE: u64 = 31;

/// The purchases of a month that have a record of their payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthPurchases {
    /// Their number.
    pub count: u64,
    /// The credits that were bought.
    pub credits: Credits,
    /// What was paid, by currency, in minor units.
    pub paid: BTreeMap<&'static str, u64>,
    /// What each of them added to lots.
    pub sales: Vec<Sale>,
}

impl Ledger {
    /// The purchases whose granting rows are in a closed month: `count`, or fewer where some of these rows belong to no
    /// purchase, as rows that were imported. Reads purchases, the newest first, from the month's end to 31 days before the
    /// month or until all are found: for each 50 a query, and one row for each that is approved.
    ///
    /// # Errors
    /// [`Fault::Busy`] when some are not found while a purchase is pending: it may be granted, and its own record does not
    /// say so yet. When the table does not answer; when a record is unreadable.
    pub async fn month_purchases(
        &self,
        account: AccountId,
        month: &ClosedMonth,
        count: u64,
    ) -> Result<MonthPurchases, Fault> {
        let mut found = MonthPurchases::default();
        let mut is_one_pending = false;
        // Ids may be made by hosts whose clocks differ.
        let (start, end) = (month.month.start(), month.month.next().start());
        let end = end.checked_add_days(Days::new(1)).unwrap_or(end);
        let first = EntryId::first_at(start.checked_sub_days(Days::new(DAYS_BEFORE)).unwrap_or(start));
        let mut before = Some(EntryId::first_at(end));
        while before.is_some() && found.count < count {
            let (page, more) = self.purchases(account, before, PAGE).await?;
            let last = page.last().map(|last| last.id.transaction);
            before = last.filter(|last| more && first <= *last);
            is_one_pending |=
                page.iter().any(|purchase| matches!(purchase.status, PurchaseStatus::Pending(_)));
            let granted = page.into_iter().filter_map(|purchase| match purchase.status {
                PurchaseStatus::Approved(entry) => Some(entry),
                PurchaseStatus::Pending(_) | PurchaseStatus::Failed(_) => None,
            });
            let rows = granted.map(|entry| self.transaction(account, entry).boxed());
            for row in try_join_all(rows).await?.into_iter().flatten() {
                let is_in_it = month.after < row.sequence && row.sequence <= month.last;
                found.sales.extend(Sale::of(&row).filter(|_| is_in_it));
                if let Some(paid) = row.details.paid.filter(|_| is_in_it) {
                    found.count = found.count.saturating_add(1);
                    found.credits = found.credits.plus(row.entry.amount).unwrap_or(Credits::MAX);
                    let sum = found.paid.entry(paid.price.currency().code()).or_default();
                    *sum = sum.saturating_add(paid.price.amount());
                }
            }
        }
        if is_one_pending && found.count < count { Err(Fault::Busy) } else { Ok(found) }
    }
}
