//! Which lots the credits of open holds were taken from.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;

use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use crate::write::remainders::OpenHold;
use domain::{AccountId, Credits, EntryId, LotId, Remainder};

impl Ledger {
    /// How many open holds [`Ledger::held_credits`] examines at most.
    pub const OPEN_HOLDS_EXAMINED_MAX: u16 = 50;

    /// The credits that open holds have set aside, by lot; `None` where there are more than
    /// [`Ledger::OPEN_HOLDS_EXAMINED_MAX`] open holds. Costs a query, and two reads for each open hold.
    ///
    /// # Errors
    /// When the table does not answer; when an item is unreadable.
    pub async fn held_credits(&self, account: AccountId) -> Result<Option<BTreeMap<LotId, Credits>>, Fault> {
        // One more, which says whether there are more.
        let limit = i32::from(Self::OPEN_HOLDS_EXAMINED_MAX).saturating_add(1);
        let query = ItemQuery::all(format!("HOLDS#{account}")).limit(limit);
        let page = self.table.query(query, "read open holds").await?;
        if usize::from(Self::OPEN_HOLDS_EXAMINED_MAX) < page.items.len() {
            return Ok(None);
        }
        let open: Vec<OpenHold> =
            page.items.into_iter().map(|item| decode("an open hold", item)).collect::<Result<_, _>>()?;
        let found = try_join_all(open.iter().map(|hold| self.remainder_of_hold(account, hold.id))).await?;
        let mut held = BTreeMap::<LotId, Credits>::new();
        for remainder in found.into_iter().flatten().filter(|remainder| !remainder.closed) {
            let open = remainder.open.iter().filter_map(|open| open.details.drawn.as_ref());
            for share in remainder.rest.iter().chain(open.flat_map(|drawn| &drawn.shares)) {
                let sum = held.entry(share.lot).or_default();
                *sum = sum.plus(share.amount).unwrap_or(Credits::MAX);
            }
        }
        Ok(Some(held))
    }

    async fn remainder_of_hold(&self, account: AccountId, hold: EntryId) -> Result<Option<Remainder>, Fault> {
        let Some(hold) = self.transaction(account, hold).await? else { return Ok(None) };
        Ok(Some(self.remainder_of(account, &hold).await?))
    }
}
