//! Makes the statements of closed months, one after the other.

use chrono::{DateTime, Utc};
use domain::{Account, Mode, MonthFlow, Period, days_of};
use scrip_http::{ApiError, App, Caller, may, timestamp};
use store::{ClosedMonth, Fault, MonthPurchases, StoredMonthlyStatement, Unsettled, Watermark};

use super::closing::{Mismatch, Opening, same};
use super::hash::with_hash;
use super::statement::{ChainRangeView, MonthlyStatement, PurchasesOfMonth, SignedMoney};
use super::usage::usage;

/// How many statements one request makes at most.
const MONTHS_MAX: usize = 24;

/// The error for months before the organisation.
const BEFORE: ApiError = ApiError::NotFound(
    "the organisation did not exist in this month; GET /api/v3/credits/statements lists the months that have one",
);

/// The statement of a month: as stored, or made now, and before it those of the months that have none yet.
///
/// # Errors
/// [`ApiError::MonthOpen`]; [`Fault::Busy`] where more than [`MONTHS_MAX`] are missing, which the next request
/// continues; when a table does not answer; when the month does not add up.
pub(crate) async fn statement(
    app: &App,
    caller: &Caller<may::Read>,
    month: Period,
) -> Result<StoredMonthlyStatement, ApiError> {
    let account = caller.account;
    if month < account.first_month() {
        return Err(BEFORE);
    }
    if let Some(known) = app.activity.monthly_statement(account, month).await? {
        return Ok(known);
    }
    let watermark = app.ledger.projected_through(account).await?;
    if watermark.open_month().is_none_or(|open| open <= month) {
        return Err(ApiError::MonthOpen { month });
    }
    let mut known = app.activity.latest_monthly_statement(account, month).await?;
    let maker = Maker::new(app, caller, watermark).await?;
    for _ in 0..MONTHS_MAX {
        let (next, opening) = match &known {
            None => (account.first_month(), Opening::default()),
            Some(known) if known.month == month => break,
            Some(known) => (known.month.next(), Opening::after(&MonthlyStatement::read(known)?)),
        };
        let made = with_hash(maker.make(next, opening).await?)?;
        known = Some(app.activity.keep_monthly_statement(account, made).await?);
    }
    Ok(known.filter(|known| known.month == month).ok_or(Fault::Busy)?)
}

/// Makes statements of an account.
struct Maker<'a> {
    app: &'a App,
    account: Account,
    /// The name of the organisation.
    name: String,
    watermark: Watermark,
    wall: DateTime<Utc>,
}

impl<'a> Maker<'a> {
    async fn new(app: &'a App, caller: &Caller<may::Read>, watermark: Watermark) -> Result<Self, Unsettled> {
        let wall = caller.call.moment.wall;
        let account = app.ledger.account(caller.account).await?.ok_or(Unsettled::NoAccount)?;
        let organisation = app.settings.organisation(account.id.org, wall).await?;
        let name = organisation.ok_or(Unsettled::NoAccount)?.name;
        Ok(Self { app, account, name, watermark, wall })
    }

    async fn make(&self, month: Period, opening: Opening) -> Result<MonthlyStatement, ApiError> {
        let (app, account) = (self.app, self.account.id);
        let closed = app.ledger.closed_month(account, month, &self.watermark).await?;
        let closed = closed.ok_or(ApiError::MonthOpen { month })?;
        let pending = self.watermark.notified().pending.as_ref();
        let range = days_of(month.start(), month.next().start());
        let days = app.activity.day_rollups(account, range, pending).await?;
        let mut flow = MonthFlow::default();
        days.values().for_each(|day| flow.add(day));
        let closing = opening.closing(&flow);
        if let Some(Mismatch { what, sum, stated }) = self.check(&closed, &flow, &closing).await? {
            tracing::error!(
                %account, %month, what, sum, stated, "a monthly statement does not add up, and was not stored"
            );
            return Err(
                Fault::corrupt("a closed month", "its rollups do not add up to its transactions").into()
            );
        }
        let [balance, held, outstanding, disputed] = opening.beside(&closing);
        Ok(MonthlyStatement {
            number: account.statement_number(month),
            month,
            organisation_id: account.org.to_string(),
            organisation: self.name.clone(),
            livemode: account.mode == Mode::Live,
            from: timestamp::text(&month.start()),
            to: timestamp::text(&month.next().start()),
            ledger: range_view(&closed),
            transactions: flow.transactions,
            balance,
            buckets: opening.buckets(&flow),
            held,
            outstanding,
            disputed,
            usage: usage(app, &self.account, month, &days, self.wall).await?,
            purchases: self.purchases(&closed, &flow).await?,
            hash: String::new(),
        })
    }

    /// Compares what the rollups add up to with the chain and the last transaction of the month; returns what differs.
    async fn check(
        &self,
        closed: &ClosedMonth,
        flow: &MonthFlow,
        closing: &Opening,
    ) -> Result<Option<Mismatch>, Fault> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let rows = number(closed.last.saturating_sub(closed.after));
        let counted = same("the number of transactions", number(flow.transactions), rows);
        if counted.is_err() || closed.last == 0 {
            return Ok(counted.err());
        }
        let balance = self.app.ledger.balance_after_row(self.account.id, closed.last).await?;
        let balance = balance.ok_or_else(|| Fault::corrupt("a closed month", "its last row is missing"))?;
        Ok(closing.check(&balance).err())
    }

    async fn purchases(&self, closed: &ClosedMonth, flow: &MonthFlow) -> Result<PurchasesOfMonth, Fault> {
        let found = self.app.ledger.month_purchases(self.account.id, closed, flow.purchases).await?;
        let MonthPurchases { credits, paid, .. } = found;
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let money = |(currency, amount): (&str, u64)| SignedMoney {
            amount: number(amount),
            currency: currency.to_owned(),
        };
        Ok(PurchasesOfMonth {
            count: flow.purchases,
            credits: flow.bought,
            paid: paid.into_iter().map(money).collect(),
            unpriced_credits: flow.bought.saturating_sub(number(credits.get())),
        })
    }
}

fn range_view(closed: &ClosedMonth) -> ChainRangeView {
    let has_rows = closed.after < closed.last;
    ChainRangeView {
        first_sequence: has_rows.then_some(closed.after.saturating_add(1)),
        last_sequence: has_rows.then_some(closed.last),
        opening_hash: closed.opening.to_string(),
        closing_hash: closed.closing.to_string(),
    }
}
