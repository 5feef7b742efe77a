//! `GET /api/v3/credits/lots`: all lots that an account has had, and where their credits are.

use std::sync::Arc;

use app::PricedLot;
use axum::extract::State;
use domain::{EntryId, LotStatus, Service, Source};
use scrip_http::{ApiError, App, Caller, Listing, LotView, PageLimit, QueryParams, Reply, may};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StatusFilter {
    Active,
    Spent,
    Expired,
    Disputed,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LotsQuery {
    /// Only lots with this status: `active`, `spent`, `expired` or `disputed`.
    #[param(value_type = Option<String>)]
    status: Option<StatusFilter>,
    /// Only lots of this source: `subscription`, `purchased` or `bonus`.
    #[param(value_type = Option<String>)]
    source: Option<Source>,
    /// Only lots that are reserved for this service.
    #[param(value_type = Option<String>)]
    service: Option<Service>,
    /// Lots on a page, 1 to 100; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<50, 100>,
    /// `nextCursor` of the previous page, with the same filters.
    cursor: Option<String>,
}

/// Lists lots, the newest first: every grant, purchase and monthly allowance, and where its credits are. For each lot,
/// `amount` is the sum of `used`, `held`, `remaining`, `expired`, `withdrawn` and `moved`.
///
/// With a filter, a page may have fewer lots than `limit`, or none, and still have a `nextCursor`: continue until it is null.
/// What an unlimited plan pays for, and post-paid credits, are in no lot.
#[utoipa::path(
    get,
    path = "/api/v3/credits/lots",
    tag = "credits",
    params(LotsQuery),
    responses((status = 200, body = Vec<LotView>)),
)]
pub(crate) async fn lots(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(LotsQuery { status, source, service, limit, cursor }): QueryParams<LotsQuery>,
) -> Result<Reply, ApiError> {
    let question = (status, source, service);
    let listing = Listing { list: "lots", account: caller.account, question: &question };
    let read = |text: String| {
        let place = app.cursors.read(&listing, &text)?;
        EntryId::from_bare(&place).ok_or(ApiError::InvalidCursor)
    };
    let before = cursor.map(read).transpose()?;
    let page = app::lot_page(&app, caller.account, before, limit.get(), caller.call.moment).await?;
    let next = page.next.map(|next| app.cursors.write(&listing, &next.bare())).transpose()?;
    let mut lots = vec![];
    for PricedLot { state, cost } in page.lots {
        let is_asked = status.is_none_or(|status| status.is(state.status))
            && source.is_none_or(|source| source == state.record.source)
            && (service.is_none() || service == state.record.terms.service);
        if is_asked {
            lots.push(LotView::new(&state, cost));
        }
    }
    Reply::page(&lots, next)
}

impl StatusFilter {
    fn is(self, status: LotStatus) -> bool {
        status
            == match self {
                Self::Active => LotStatus::Active,
                Self::Spent => LotStatus::Spent,
                Self::Expired => LotStatus::Expired,
                Self::Disputed => LotStatus::Disputed,
            }
    }
}
