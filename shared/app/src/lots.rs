//! The lots of an account, and where their credits are.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Account, AccountId, Cost, EntryId, LotChange, LotRecord, LotState, Receipt, StatementQuery};
use ports::Moment;
use store::{CountedLots, PlanPrices, StatementPlace, Unsettled};
use tokio::time::sleep;

use crate::App;

/// How many transactions that are not counted yet one request reads at most.
const UNCOUNTED_MAX: usize = 100;

/// How many transactions may have come since the account was read.
const NEWER: usize = 10;

/// How often a page is read again while a transaction has no row.
const READS_MAX: u32 = 5;

/// The pause before.
const READ_AGAIN: Duration = Duration::from_millis(20);

/// A lot, and what it cost.
#[derive(Clone, Debug)]
pub struct PricedLot {
    /// The lot.
    pub state: LotState,
    /// What all its credits cost; `None` where that is not known.
    pub cost: Option<Cost>,
}

/// A page of an account's lots, the newest first.
#[derive(Clone, Debug)]
pub struct PricedLots {
    /// The lots.
    pub lots: Vec<PricedLot>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<EntryId>,
}

/// A page of an account's lots before one of them, the newest first: where their credits are, and what they cost.
///
/// # Errors
/// [`Unsettled::NoAccount`] when there is no such account; when a table does not answer.
pub async fn lot_page(
    app: &App,
    account: AccountId,
    before: Option<EntryId>,
    limit: u16,
    moment: Moment,
) -> Result<PricedLots, Unsettled> {
    let page = LotPage::read(app, account, before, limit).await?;
    let held = match page.account.held.is_zero() {
        true => Some(BTreeMap::new()),
        false => app.ledger.held_credits(account).await?,
    };
    let prices = PlanPrices::read(&app.ledger, &app.settings, &page.account, moment.wall).await?;
    let priced = |record: LotRecord| {
        let held = held.as_ref().map(|held| held.get(&record.lot).copied().unwrap_or_default());
        let state = LotState::new(record, &page.account, held, moment.now);
        let price = prices.price(&state.record);
        let cost = price.map(|price| price.cost.of_part(state.record.amount, price.amount));
        PricedLot { state, cost }
    };
    Ok(PricedLots { lots: page.lots.into_iter().map(priced).collect(), next: page.next })
}

/// Records of lots, with the account that they belong to.
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
    async fn read(app: &App, id: AccountId, before: Option<EntryId>, limit: u16) -> Result<Self, Unsettled> {
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
    ) -> Result<Self, Unsettled> {
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
async fn uncounted(app: &App, account: &Account, counted: u64) -> Result<Uncounted, Unsettled> {
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
