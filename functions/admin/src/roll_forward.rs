//! The roll-forward of deferred revenue: what unused credits of all organisations were worth, and how that changed in a
//! month.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::{Currency, Period, Source, ValueFlow};
use scrip_http::{ApiError, App, Operator, QueryParams, Reply, duty, timestamp};
use serde::{Deserialize, Serialize};
use store::{AccountWaits, DIRECTORY_SHARDS, Fault, RollForwardPart};
use utoipa::{IntoParams, ToSchema};

use super::roll_forward_sums::Sums;

/// After how many seconds an operator asks again for a report that is being prepared.
const RETRY_SECONDS: u32 = 5;

/// How many organisations that wait an answer names at most.
const WAITING_SHOWN: usize = 100;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RollForwardQuery {
    /// A month that is over, such as 2024-01.
    #[param(value_type = String, example = "2024-01")]
    month: Period,
    /// ISO 4217 code; every currency if left out.
    #[param(value_type = Option<String>, example = "GBP")]
    currency: Option<Currency>,
}

/// The roll-forward of a month. Amounts are in minor units (pence, cents).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RollForward {
    /// The month.
    #[schema(value_type = String, example = "2024-01")]
    month: Period,
    /// Always true: every organisation is counted.
    complete: bool,
    /// One section for each currency, by its code.
    currencies: Vec<CurrencySection>,
    /// The number of organisations that are counted. Test ledgers never are.
    organisations: u64,
    /// Credits that count as 0 because their price is not known: purchased credits that were granted or imported, credits of
    /// plans without a fee or an allowance, and what unlimited plans paid.
    unpriced_credits: i64,
    /// When the last organisation was counted. The report does not change afterwards.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    as_of: DateTime<Utc>,
    /// SHA-256 of the closing hashes of all organisations' hash chains, in the order in which they were counted.
    ledgers_hash: String,
}

/// A currency of a roll-forward.
#[derive(Serialize, ToSchema)]
struct CurrencySection {
    /// ISO 4217 code.
    #[schema(example = "GBP")]
    currency: String,
    /// The buckets: subscription, purchased, bonus.
    buckets: Vec<BucketRollForward>,
    /// Their sum.
    total: ValueFlowView,
}

/// A bucket of a roll-forward.
#[derive(Serialize, ToSchema)]
struct BucketRollForward {
    /// subscription, purchased or bonus.
    #[schema(example = "purchased")]
    bucket: &'static str,
    /// What its credits are valued at: `listPrice` (of the plan, as fees are not collected), `pricePaid`, or `nothing`.
    #[schema(example = "pricePaid")]
    basis: &'static str,
    #[serde(flatten)]
    flow: ValueFlowView,
}

/// A value and how it changed, in minor units. `closing` is `opening + sold - used - expired - refunded - disputed +
/// adjusted`, and the next month's `opening`.
#[derive(Serialize, ToSchema)]
#[schema(as = RollForwardAmounts)]
struct ValueFlowView {
    /// At the beginning of the month.
    opening: i64,
    /// Credits that were bought, at the price paid; plan credits, at the list price.
    sold: i64,
    /// Credits that were used, less those that refunds of debits returned. Credits bought to settle outstanding ones are
    /// used at once.
    used: i64,
    /// Credits that expired: breakage.
    expired: i64,
    /// Credits that were taken back because their money was refunded.
    refunded: i64,
    /// Credits that disputes set aside or took, less those that came back.
    disputed: i64,
    /// Credits that operators or smaller plans took: negative.
    adjusted: i64,
    /// At the end of the month.
    closing: i64,
}

/// The first month that a report can have, as every time of the API.
const FIRST: &str = "2000-01";

/// A roll-forward that is being prepared.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RollForwardProgress {
    /// The month.
    #[schema(value_type = String, example = "2024-01")]
    month: Period,
    /// Always false.
    complete: bool,
    /// The number of organisations that are counted so far.
    organisations: u64,
    /// How many parts of the directory are counted.
    parts_done: usize,
    /// How many parts it has.
    parts: u8,
    /// Organisations that could not be counted yet, at most 100. They are tried again with each request.
    waiting: Vec<WaitingOrganisation>,
}

/// An organisation whose month cannot be valued yet.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WaitingOrganisation {
    organisation_id: String,
    /// `notClosed`: its renewal of the next month is not posted, or its transactions are not all counted; it follows by
    /// itself. `valuing`: it has years of earlier months, which are valued first. `unreadable`: a record of it cannot be
    /// read, or its month does not add up; the log of `renewal` says which, and it needs a repair.
    #[schema(value_type = String, example = "notClosed")]
    reason: AccountWaits,
}

/// Returns the roll-forward of deferred revenue of a closed month, over all organisations: what unused credits were worth,
/// what was sold, used, expired, refunded, disputed and adjusted, and what was left, by currency and bucket.
///
/// The first request for a month prepares the report in the background and answers 202 with the progress: repeat it after
/// `Retry-After` seconds. Once complete, a report never changes.
#[utoipa::path(
    get,
    path = "/admin/v1/reports/roll-forward",
    tag = "operator",
    params(RollForwardQuery),
    responses(
        (status = 200, body = RollForward),
        (status = 202, body = RollForwardProgress, description = "The report is being prepared; repeat the request after `Retry-After` seconds"),
    ),
)]
pub(super) async fn roll_forward(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    QueryParams(RollForwardQuery { month, currency }): QueryParams<RollForwardQuery>,
) -> Result<Reply, ApiError> {
    let now = operator.call.moment.now;
    let open = Period::of(now);
    if month.to_string().as_str() < FIRST {
        return Err(ApiError::field("month", format!("must be {FIRST} or later")));
    }
    if open <= month {
        let problem = format!(
            "must be a month that is over: {} or earlier; {month} ends on {}",
            open.previous(),
            last_day(month)
        );
        return Err(ApiError::field("month", problem));
    }
    let parts = app.ledger.roll_forward(month).await?;
    let done = parts.values().filter(|part| part.is_done()).count();
    if done == usize::from(DIRECTORY_SHARDS) {
        return Reply::ok(&report(month, currency, &Sums::of(&parts)));
    }
    let started = app.jobs().start_roll_forward(month, &parts, now).await;
    started.map_err(|error| Fault::Unavailable { doing: "start a roll-forward", source: error.into() })?;
    Ok(Reply::accepted(&progress(month, &parts, done), false)?.retry_after(RETRY_SECONDS))
}

fn last_day(month: Period) -> String {
    let next = month.next().start().date_naive();
    next.pred_opt().unwrap_or(next).to_string()
}

fn progress(month: Period, parts: &BTreeMap<String, RollForwardPart>, done: usize) -> RollForwardProgress {
    let waiting = parts.values().flat_map(|part| &part.waiting).take(WAITING_SHOWN);
    RollForwardProgress {
        month,
        complete: false,
        organisations: Sums::of(parts).organisations,
        parts_done: done,
        parts: DIRECTORY_SHARDS,
        waiting: waiting
            .map(|(account, reason)| WaitingOrganisation {
                organisation_id: account.org.to_string(),
                reason: *reason,
            })
            .collect(),
    }
}

fn report(month: Period, currency: Option<Currency>, sums: &Sums) -> RollForward {
    let codes = match currency {
        Some(currency) => vec![currency.code()],
        None => sums.flows.currencies(),
    };
    RollForward {
        month,
        complete: true,
        currencies: codes.into_iter().map(|code| section(code, sums)).collect(),
        organisations: sums.organisations,
        unpriced_credits: sums.unpriced,
        as_of: sums.as_of,
        ledgers_hash: sums.hash.clone(),
    }
}

fn section(currency: &str, sums: &Sums) -> CurrencySection {
    let mut total = ValueFlow::default();
    let mut buckets = vec![];
    for (source, basis) in
        [(Source::Subscription, "listPrice"), (Source::Purchased, "pricePaid"), (Source::Bonus, "nothing")]
    {
        let flow = sums.flows.of(source, currency);
        total.add(&flow);
        buckets.push(BucketRollForward { bucket: source.as_str(), basis, flow: flow.into() });
    }
    CurrencySection { currency: currency.to_owned(), buckets, total: total.into() }
}

impl From<ValueFlow> for ValueFlowView {
    fn from(flow: ValueFlow) -> Self {
        let ValueFlow { opening, sold, used, expired, refunded, disputed, adjusted, closing } = flow;
        Self { opening, sold, used, expired, refunded, disputed, adjusted, closing }
    }
}
