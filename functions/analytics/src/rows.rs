//! Adds up usage from transactions, for what no rollup has.

use chrono::{DateTime, Timelike, Utc};
use domain::{Reference, Rollup, RollupRecord, UsageOwner, UsageSum};
use scrip_http::{ApiError, App};
use store::{StatementPlace, StatementQuery};

use super::request::UsageRequest;
use domain::AccountId;

/// How many transactions one request reads at most.
const ROWS_MAX: usize = 10_000;

/// How many transactions a page examines.
const PAGE: usize = 1_000;

/// Adds the usage of a range's transactions.
pub(crate) async fn add(
    app: &App,
    account: AccountId,
    asked: &UsageRequest,
    sum: &mut UsageSum<'_>,
    now: DateTime<Utc>,
) -> Result<(), ApiError> {
    let query = StatementQuery {
        customer: asked.customer.clone(),
        member: asked.member.clone(),
        from: Some(asked.from),
        to: Some(asked.to),
        ..StatementQuery::default()
    };
    let mut cursor = None;
    for _ in 0..ROWS_MAX.div_ceil(PAGE) {
        let place = StatementPlace { cursor, limit: PAGE };
        let page = app.ledger.statement(account, &query, place, now).await?;
        for receipt in &page.receipts {
            let record = RollupRecord::of(receipt);
            let mut rollup = Rollup::default();
            let at = record.id.time();
            rollup.add(u8::try_from(at.hour()).unwrap_or_default(), &record);
            let name = |name: &Option<Reference>| name.as_ref().map(|name| name.as_str().to_owned());
            let owner = UsageOwner { customer: name(&record.customer), member: name(&record.member) };
            sum.add_day(at.date_naive(), &owner, &rollup);
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
    Err(ApiError::field(
        "from",
        "the range has more than 10,000 transactions, and this is read from them; send a shorter range, or ask for \
         customers and members separately and by the day",
    ))
}
