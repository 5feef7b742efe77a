//! Values the closed months of an account, one after the other: what its unused credits were worth, and how that changed.

use chrono::{Days, NaiveDate};

use super::Jobs;
use domain::{Account, AccountId, LotMovements, MonthEvents, MonthValue, Period, days_of};
use store::{AccountWaits, ClosedMonth, Fault, Moment, PlanPrices, Watermark};

/// How many months one task values at most for one account. The next task continues.
const MONTHS_MAX: usize = 12;

/// How many days of rollups are in memory at once.
const DAYS_AT_ONCE: u64 = 8;

/// The value of an account's month, as far as it is known.
pub(super) enum Valued {
    /// It is known.
    As(Box<MonthValue>),
    /// There was no such account then.
    Absent,
    /// It is not known yet.
    Waits(AccountWaits),
}

/// What the months of an account are valued with.
struct Books {
    account: Account,
    watermark: Watermark,
    prices: PlanPrices,
}

impl Jobs<'_> {
    /// The value of an account's month: as stored, or made now, and before it those of the months that have none yet.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub(super) async fn month_value(
        &self,
        account: AccountId,
        month: Period,
        moment: Moment,
    ) -> Result<Valued, Fault> {
        match self.value_months(account, month, moment).await {
            Err(Fault::Busy) => Ok(Valued::Waits(AccountWaits::NotClosed)),
            Err(fault) if fault.is_unreadable() => {
                tracing::error!(%account, %month, error = %fault, "a month cannot be valued");
                Ok(Valued::Waits(AccountWaits::Unreadable))
            }
            found => found,
        }
    }

    async fn value_months(&self, account: AccountId, month: Period, moment: Moment) -> Result<Valued, Fault> {
        let first = Period::of(account.org.time());
        if month < first {
            return Ok(Valued::Absent);
        }
        let mut known = self.activity.latest_month_value(account, month).await?;
        if let Some(known) = known.take_if(|known| known.month == month) {
            return Ok(Valued::As(Box::new(known)));
        }
        let Some(account) = self.ledger.account(account).await? else { return Ok(Valued::Absent) };
        let watermark = self.ledger.projected_through(account.id).await?;
        let prices = PlanPrices::read(self.ledger, self.settings, &account, moment.wall).await?;
        let books = Books { account, watermark, prices };
        for _ in 0..MONTHS_MAX {
            let next = known.as_ref().map_or(first, |known| known.month.next());
            let closed = self.ledger.closed_month(books.account.id, next, &books.watermark).await?;
            let Some(closed) = closed else { return Ok(Valued::Waits(AccountWaits::NotClosed)) };
            let value = self.value_month(&books, &closed, known.as_ref()).await?;
            let value = self.activity.keep_month_value(books.account.id, value).await?;
            if value.month == month {
                return Ok(Valued::As(Box::new(value)));
            }
            known = Some(value);
        }
        Ok(Valued::Waits(AccountWaits::Valuing))
    }

    async fn value_month(
        &self,
        books: &Books,
        closed: &ClosedMonth,
        before: Option<&MonthValue>,
    ) -> Result<MonthValue, Fault> {
        let account = books.account.id;
        let movements = self.movements(books, closed.month).await?;
        let bought = self.ledger.month_purchases(account, closed, movements.purchases).await?;
        let hash = closed.closing.to_string();
        let value = MonthValue::after(
            before,
            MonthEvents {
                month: closed.month,
                movements: &movements,
                sales: &bought.sales,
                list_price: &|month| books.prices.list_price(month),
                hash: &hash,
            },
        );
        let value = value.map_err(|overdrawn| wrong(account, closed.month, &overdrawn.to_string()))?;
        self.check(account, closed, &movements, &value).await?;
        Ok(value)
    }

    /// The movements of a month. Reads its rollups some days at a time: those of a busy account take megabytes.
    async fn movements(&self, books: &Books, month: Period) -> Result<LotMovements, Fault> {
        let pending = books.watermark.notified().pending.as_ref();
        let range = days_of(month.start(), month.next().start());
        let mut movements = LotMovements::default();
        let mut from = *range.start();
        while from <= *range.end() {
            let next = after(from, DAYS_AT_ONCE);
            let to = after(from, DAYS_AT_ONCE.saturating_sub(1)).min(*range.end());
            for (date, day) in self.activity.day_rollups(books.account.id, from..=to, pending).await? {
                movements.add(date, &day);
            }
            from = next;
        }
        Ok(movements)
    }

    /// Compares a month with the chain and its last transaction.
    async fn check(
        &self,
        account: AccountId,
        closed: &ClosedMonth,
        movements: &LotMovements,
        value: &MonthValue,
    ) -> Result<(), Fault> {
        let rows = closed.last.saturating_sub(closed.after);
        if movements.transactions != rows {
            let problem = format!("its rollups count {} of {rows} transactions", movements.transactions);
            return Err(wrong(account, closed.month, &problem));
        }
        if !value.flows.add_up() {
            return Err(wrong(account, closed.month, "its values do not add up"));
        }
        if closed.last == 0 {
            return Ok(());
        }
        let balance = self.ledger.balance_after_row(account, closed.last).await?;
        let balance = balance.ok_or_else(|| wrong(account, closed.month, "its last row is missing"))?;
        let stated = balance.booked().and_then(|booked| i64::try_from(booked.get()).ok());
        if stated == Some(value.booked) {
            return Ok(());
        }
        let problem =
            format!("its rollups add up to {} credits, its last row states {stated:?}", value.booked);
        Err(wrong(account, closed.month, &problem))
    }
}

fn after(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_add_days(Days::new(days)).unwrap_or(NaiveDate::MAX)
}

/// A month that does not add up is not stored. The template counts this line for an alarm.
fn wrong(account: AccountId, month: Period, problem: &str) -> Fault {
    tracing::error!(%account, %month, problem, "the value of a month does not add up, and was not stored");
    Fault::corrupt("a closed month", "its value does not add up")
}
