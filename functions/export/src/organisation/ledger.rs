//! The balance, lots, purchases, exports, statements and month values of a ledger.

use app::PricedLot;
use domain::{EntryId, Mode, Period};
use futures_util::future::try_join_all;
use scrip_http::{BalanceView, ExportView, LotView, StatementLine, purchase_view};
use store::{Fault, Unsettled};

use super::{SectionPage, SectionReader, place};

/// How many lots a page has: at most some 20 reads.
const LOTS: u16 = 100;

/// How many purchases a page has; each costs at most one read.
const PURCHASES: u16 = 50;

/// How many exports a page has: one query.
const EXPORTS: u16 = 100;

/// How many months a page of values has. One takes up to 130 KB, for 1,200 lots.
const MONTHS: i32 = 4;

impl SectionReader<'_> {
    /// The balance after the last transaction in the file: three reads.
    pub(super) async fn balance(&self, mode: Mode) -> Result<SectionPage, Unsettled> {
        let (id, moment, end) = (self.account(mode), self.moment(mode).await?, self.ends()?.of(mode));
        let account = self.app.ledger.account(id).await?.ok_or(Unsettled::NoAccount)?;
        let balance = match account.sequence == end {
            true => account.balance(moment.now),
            false => {
                let then = self.app.ledger.balance_after_row(id, end).await?;
                let then = then.ok_or_else(|| Fault::corrupt("an export", "its last transaction is gone"))?;
                then.aged(moment.now)
            }
        };
        Ok(SectionPage::of("balance", Some(mode), [BalanceView::new(&balance, end, moment.now)], None)?)
    }

    /// A page of lots, the newest first.
    pub(super) async fn lots(&self, mode: Mode, cursor: Option<String>) -> Result<SectionPage, Unsettled> {
        let page =
            app::lot_page(self.app, self.account(mode), entry(cursor)?, LOTS, self.moment(mode).await?);
        let page = page.await?;
        let views = page.lots.iter().map(|PricedLot { state, cost }| LotView::new(state, *cost));
        Ok(SectionPage::of("lot", Some(mode), views, page.next.map(|next| next.bare()))?)
    }

    /// A page of purchases, the newest first, also pending and failed ones.
    pub(super) async fn purchases(
        &self,
        mode: Mode,
        cursor: Option<String>,
    ) -> Result<SectionPage, Unsettled> {
        let (purchases, more) =
            self.app.ledger.purchases(self.account(mode), entry(cursor)?, PURCHASES).await?;
        let last = purchases.last().filter(|_| more).map(|last| last.id.transaction.bare());
        let views = try_join_all(purchases.iter().map(|one| purchase_view(&self.app.ledger, one))).await?;
        Ok(SectionPage::of("purchase", Some(mode), views, last)?)
    }

    /// A page of exports of transactions, the newest first, without links to their files.
    pub(super) async fn exports(&self, mode: Mode, cursor: Option<String>) -> Result<SectionPage, Unsettled> {
        let now = self.export.begun_at;
        let (exports, more) = self.app.ledger.exports(self.account(mode), place(cursor)?, EXPORTS).await?;
        let last = exports.last().filter(|_| more).map(|last| last.key.export.to_string());
        let kept = exports.iter().filter(|export| export.is_kept(now));
        let views = kept.map(|export| ExportView::new(export, None, now));
        Ok(SectionPage::of("export", Some(mode), views, last)?)
    }

    /// The months that have a statement: a read for each month that is not closed, and one more.
    pub(super) async fn statements(&self, mode: Mode) -> Result<SectionPage, Unsettled> {
        let account = self.account(mode);
        let months = self.app.closed_months(account).await?;
        let views = months.into_iter().map(|month| StatementLine::of(account, month));
        Ok(SectionPage::of("statement", Some(mode), views, None)?)
    }

    /// A page of the values of months, the earliest first: one query.
    pub(super) async fn month_values(
        &self,
        mode: Mode,
        cursor: Option<String>,
    ) -> Result<SectionPage, Unsettled> {
        let after = place::<Period>(cursor)?;
        let (values, more) = self.app.activity.month_values(self.account(mode), after, MONTHS).await?;
        let last = values.last().filter(|_| more).map(|last| last.month.to_string());
        Ok(SectionPage::of("monthValue", Some(mode), values, last)?)
    }
}

fn entry(cursor: Option<String>) -> Result<Option<EntryId>, Fault> {
    let read =
        |text: String| EntryId::from_bare(&text).ok_or_else(|| Fault::corrupt("an export", "a place in it"));
    cursor.map(read).transpose()
}
