//! `GET /api/v3/credits/lots`: all lots that an account has had, and where their credits are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use domain::{
    Account, AccountId, EntryId, LotChange, LotRecord, LotState, LotStatus, Receipt, Service, Source,
    StatementQuery,
};
use scrip_http::{ApiError, App, Caller, Listing, PageLimit, QueryParams, Reply, may};
use serde::{Deserialize, Serialize};
use store::{CountedLots, PlanPrices, StatementPlace, Unsettled};
use tokio::time::sleep;
use utoipa::IntoParams;

use super::lot_view::LotView;

/// How many transactions that are not counted yet one request reads at most.
const UNCOUNTED_MAX: usize = 100;

/// How many transactions may have come since the account was read.
const NEWER: usize = 10;

/// How often a page is read again while a transaction has no row.
const READS_MAX: u32 = 5;

/// The pause before.
const READ_AGAIN: Duration = Duration::from_millis(20);

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
    let now = caller.call.moment.now;
    let page = LotPage::read(&app, caller.account, before, limit.get()).await?;
    let next = page.next.map(|next| app.cursors.write(&listing, &next.bare())).transpose()?;
    let held = match page.account.held.is_zero() {
        true => Some(BTreeMap::new()),
        false => app.ledger.held_credits(caller.account).await?,
    };
    let prices = PlanPrices::read(&app.ledger, &app.settings, &page.account, caller.call.moment.wall).await?;
    let mut lots = vec![];
    for record in page.lots {
        let held = held.as_ref().map(|held| held.get(&record.lot).copied().unwrap_or_default());
        let state = LotState::new(record, &page.account, held, now);
        let is_asked = status.is_none_or(|status| status.is(state.status))
            && source.is_none_or(|source| source == state.record.source)
            && (service.is_none() || service == state.record.terms.service);
        if is_asked {
            let price = prices.price(&state.record);
            let cost = price.map(|price| price.cost.of_part(state.record.amount, price.amount));
            lots.push(LotView::new(&state, cost));
        }
    }
    Reply::page(&lots, next)
}

/// A page of lots, with the account that they belong to.
struct LotPage {
    account: Account,
    lots: Vec<LotRecord>,
    next: Option<EntryId>,
    /// Whether the records are of the same moment as the account.
    is_whole: bool,
}

/// Changes of lots, by rising numbers.
struct Uncounted {
    changes: Vec<LotChange>,
    /// Whether all transactions of the account have their rows.
    is_whole: bool,
}

impl LotPage {
    /// Reads a page, again while a transaction has no row yet: its request is about to write it.
    async fn read(app: &App, id: AccountId, before: Option<EntryId>, limit: u16) -> Result<Self, ApiError> {
        let mut page = Self::read_once(app, id, before, limit).await?;
        for _ in 0..READS_MAX {
            if page.is_whole {
                break;
            }
            sleep(READ_AGAIN).await;
            page = Self::read_once(app, id, before, limit).await?;
        }
        Ok(page)
    }

    /// Reads the records of lots, then the account, then the transactions in between. So the records are of the same moment
    /// as the account, unless more than [`UNCOUNTED_MAX`] transactions are in between.
    async fn read_once(
        app: &App,
        id: AccountId,
        before: Option<EntryId>,
        limit: u16,
    ) -> Result<Self, ApiError> {
        let counted = app.ledger.projected_through(id).await?.notified_through();
        let (lots, more) = app.activity.lots(id, before, limit).await?;
        let account = app.ledger.account(id).await?.ok_or(Unsettled::NoAccount)?;
        let Uncounted { mut changes, is_whole } = uncounted(app, &account, counted).await?;
        let oldest = lots.last().map(|lot| lot.record.lot.age()).filter(|_| more);
        changes.retain(|change| {
            let age = change.lot.age();
            before.is_none_or(|before| age < before) && oldest.is_none_or(|oldest| oldest <= age)
        });
        let mut counted = CountedLots::of(lots);
        counted.add(&changes);
        let mut lots: Vec<_> = counted.into_records().collect();
        lots.sort_by_key(|lot| std::cmp::Reverse(lot.lot.age()));
        Ok(Self { account, lots, next: oldest, is_whole })
    }
}

/// The changes of lots by transactions that are not counted yet.
async fn uncounted(app: &App, account: &Account, counted: u64) -> Result<Uncounted, ApiError> {
    let missing = usize::try_from(account.sequence.saturating_sub(counted)).unwrap_or(usize::MAX);
    if missing == 0 || UNCOUNTED_MAX < missing {
        return Ok(Uncounted { changes: vec![], is_whole: true });
    }
    let place = StatementPlace { cursor: None, limit: missing.saturating_add(NEWER) };
    let now = account.floor().time();
    let page = app.ledger.statement(account.id, &StatementQuery::default(), place, now).await?;
    let is_between = |receipt: &&Receipt| counted < receipt.sequence && receipt.sequence <= account.sequence;
    let receipts: Vec<_> = page.receipts.iter().rev().filter(is_between).collect();
    let is_whole = receipts.len() == missing;
    Ok(Uncounted { changes: receipts.into_iter().flat_map(LotChange::of).collect(), is_whole })
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
