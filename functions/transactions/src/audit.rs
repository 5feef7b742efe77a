use std::sync::Arc;

use axum::extract::State;
use scrip_http::{ApiError, App, Audit, Caller, Instant, Listing, Params, Reply, in_order, may};
use serde::{Deserialize, Deserializer, de::Error};
use store::{ChainRange, ExcerptCursor, ExcerptPage, Place};
use utoipa::IntoParams;

/// Rows on a page when nothing is asked.
const LIMIT: u64 = 50;

/// Rows on a page at most.
const LIMIT_MAX: u64 = 100;

/// The highest number that every JSON client reads back unchanged.
const NUMBER_MAX: u64 = 9_007_199_254_740_991;

/// A number or a time.
struct NumberOrTime(Place);

impl<'de> Deserialize<'de> for NumberOrTime {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let place = if is_number {
            let number = text.parse().ok().filter(|number| (1..=NUMBER_MAX).contains(number));
            number.map(Place::Number)
        } else {
            Instant::read(&text).map(|Instant(at)| Place::Time(at))
        };
        place.map(Self).ok_or_else(|| {
            D::Error::custom(
                "must be the number of a transaction, from 1 on, or a time such as 2024-01-15T10:30:00Z, of the years \
                 2000 to 9999 (in a query, write + as %2B)",
            )
        })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Range {
    /// The first row: its number, or the time from which on it was made; the first of all when left out.
    #[param(value_type = Option<String>)]
    from: Option<NumberOrTime>,
    /// The last row: its number, or a time before which it was made; the end of the chain when left out.
    #[param(value_type = Option<String>)]
    to: Option<NumberOrTime>,
    /// Rows on a page, 1 to 100; 50 when left out.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// `nextCursor` of the page before; it stands in place of `from` and `to`.
    cursor: Option<String>,
}

/// The hash chain of the ledger, to verify: rows by rising number, each with the hash that it must have.
///
/// Every row is hashed together with the hash of the row before it. So no row up to a hash that you have kept can
/// be changed, taken away or put in: the hashes since would be others. Nothing but SHA-256 is needed:
///
/// 1. The first hash, `genesis`, is the SHA-256 of the text `scrip ledger of `, followed by `ledger`.
/// 2. For each row in turn, the SHA-256 of the 32 bytes of the hash before it, followed by the bytes of `row` (in
///    UTF-8, as the JSON string decodes), must be its `hash`. `sequence`, and `seq` in `row`, are 1, 2, 3, …
/// 3. The last hash must be that of `tip`, and the hash with the last row of a day that of its checkpoint. Keep
///    `tip` and compare it the next time: that is what nobody can change who forges a whole chain.
///
/// Rows are chained within seconds of their transactions. Where `from` or `to` is a time and a year or more without
/// any transaction follows it, a page may have no row and still a `nextCursor`.
#[utoipa::path(
    get,
    path = "/api/v3/credits/audit",
    tag = "credits",
    params(Range),
    responses((status = 200, body = Audit)),
)]
pub(crate) async fn audit(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(range): Params<Range>,
) -> Result<Reply, ApiError> {
    let limit = range.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be a whole number from 1 to {LIMIT_MAX}")));
    }
    let place = |place: Option<NumberOrTime>| place.map(|NumberOrTime(place)| place);
    let (from, to) = (place(range.from), place(range.to));
    match (from, to) {
        (Some(Place::Number(from)), Some(Place::Number(to))) => in_order(from, to)?,
        (Some(Place::Time(from)), Some(Place::Time(to))) => in_order(from, to)?,
        // Which comes first is known only once the row is.
        (Some(Place::Number(_)), Some(Place::Time(_))) | (Some(Place::Time(_)), Some(Place::Number(_))) => {}
        (None, _) | (_, None) => {}
    }
    // The place says how far the list goes, so the cursor stands in place of from and to.
    let listing = Listing { list: "audit", account: caller.account, question: &() };
    let read = |text: String| {
        let place = app.cursors.read(&listing, &text)?;
        ExcerptCursor::parse(&place).ok_or(ApiError::InvalidCursor)
    };
    let cursor = range.cursor.map(read).transpose()?;
    let now = caller.call.moment.now;
    let excerpt = app
        .ledger
        .excerpt(caller.account, ChainRange { from, to }, ExcerptPage { cursor, limit }, now)
        .await?;
    let next = excerpt.next.map(|next| app.cursors.write(&listing, &next.text())).transpose()?;
    Reply::page(&Audit::new(caller.account, &excerpt), next)
}
