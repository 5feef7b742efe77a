//! The hash chain of the ledger, for verification.

use std::sync::Arc;

use axum::extract::State;
use scrip_http::{
    ApiError, App, AuditView, Caller, Instant, Listing, PageLimit, QueryParams, Reply, in_order, may,
};
use serde::{Deserialize, Deserializer, de::Error};
use store::{ChainPosition, ChainRange, ExcerptCursor, ExcerptPage};
use utoipa::IntoParams;

/// The highest number that every JSON client reads unchanged.
const NUMBER_MAX: u64 = 9_007_199_254_740_991;

/// A place in the chain: the number of a transaction, or a time.
struct NumberOrTime(ChainPosition);

impl<'de> Deserialize<'de> for NumberOrTime {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let place = if is_number {
            let number = text.parse().ok().filter(|number| (1..=NUMBER_MAX).contains(number));
            number.map(ChainPosition::Number)
        } else {
            Instant::read(&text).map(|Instant(at)| ChainPosition::Time(at))
        };
        place.map(Self).ok_or_else(|| {
            D::Error::custom(
                "must be the number of a transaction, at least 1, or a time such as 2024-01-15T10:30:00Z, of the years \
                 2000 to 9999 (in a query, write + as %2B)",
            )
        })
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// The first row: its number, or the earliest time; the first row of the chain if left out.
    #[param(value_type = Option<String>)]
    from: Option<NumberOrTime>,
    /// The last row: its number, or a time before which it was made; the end of the chain if left out.
    #[param(value_type = Option<String>)]
    to: Option<NumberOrTime>,
    /// Rows on a page, 1 to 100; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<u64>, minimum = 1, maximum = 100)]
    limit: PageLimit<50, 100>,
    /// `nextCursor` of the previous page; replaces `from` and `to`.
    cursor: Option<String>,
}

/// Returns rows of the hash chain for verification, in ascending order, each with its hash.
///
/// Every row is hashed together with the hash of the row before it. So no row up to a hash that you have kept can be
/// changed, removed or inserted without changing all later hashes. To verify the chain, you need only SHA-256:
///
/// 1. The first hash, `genesis`, is the SHA-256 of the text `scrip ledger of `, followed by `ledger`.
/// 2. For each row in turn, the SHA-256 of the 32 bytes of the hash before it, followed by the bytes of `row` (in
///    UTF-8, as the JSON string decodes), must be its `hash`. `sequence`, and `seq` in `row`, are 1, 2, 3, …
/// 3. The last hash must be that of `tip`, and the hash of the last row of a day that of its checkpoint. Keep `tip` and
///    compare it next time: a forged chain cannot reproduce it.
///
/// Rows are chained within seconds of their transactions. If `from` or `to` is a time and a year or more without
/// transactions follows it, a page may have no rows and still have a `nextCursor`.
#[utoipa::path(
    get,
    path = "/api/v3/credits/audit",
    tag = "credits",
    params(AuditQuery),
    responses((status = 200, body = AuditView)),
)]
pub(crate) async fn audit(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(range): QueryParams<AuditQuery>,
) -> Result<Reply, ApiError> {
    let place = |place: Option<NumberOrTime>| place.map(|NumberOrTime(place)| place);
    let (from, to) = (place(range.from), place(range.to));
    match (from, to) {
        (Some(ChainPosition::Number(from)), Some(ChainPosition::Number(to))) => in_order(from, to)?,
        (Some(ChainPosition::Time(from)), Some(ChainPosition::Time(to))) => in_order(from, to)?,
        // The order is known only when the row is read.
        (Some(ChainPosition::Number(_)), Some(ChainPosition::Time(_)))
        | (Some(ChainPosition::Time(_)), Some(ChainPosition::Number(_))) => {}
        (None, _) | (_, None) => {}
    }
    // The place includes the end of the range, so the cursor replaces from and to.
    let listing = Listing { list: "audit", account: caller.account, question: &() };
    let read = |text: String| {
        let place = app.cursors.read(&listing, &text)?;
        ExcerptCursor::parse(&place).ok_or(ApiError::InvalidCursor)
    };
    let cursor = range.cursor.map(read).transpose()?;
    let now = caller.call.moment.now;
    let page = ExcerptPage { cursor, limit: range.limit.get().into() };
    let excerpt = app.ledger.excerpt(caller.account, ChainRange { from, to }, page, now).await?;
    let next = excerpt.next.map(|next| app.cursors.write(&listing, &next.text())).transpose()?;
    Reply::page(&AuditView::new(caller.account, &excerpt), next)
}
