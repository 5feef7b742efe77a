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

/// The purchases of a month.
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
    /// The `count` purchases whose granting rows are in a closed month. Reads purchases, the newest first, from the
    /// month's end on, until all are found: for each 50 a query, and one row for each that is approved.
    ///
    /// # Errors
    /// [`Fault::Busy`] when one of them is not found: it is granted, and its own record does not say so yet. When the
    /// table does not answer; when a record is unreadable.
    pub async fn month_purchases(
        &self,
        account: AccountId,
        month: &ClosedMonth,
        count: u64,
    ) -> Result<MonthPurchases, Fault> {
        let mut found = MonthPurchases::default();
        // Ids may be made by hosts whose clocks differ.
        let end = month.month.next().start();
        let end = end.checked_add_days(Days::new(1)).unwrap_or(end);
        let mut before = Some(EntryId::first_at(end));
        while found.count < count {
            let (page, more) = self.purchases(account, before, PAGE).await?;
            before = page.last().map(|last| last.id.transaction).filter(|_| more);
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
            if before.is_none() && found.count < count {
                return Err(Fault::Busy);
            }
        }
        Ok(found)
    }
}
