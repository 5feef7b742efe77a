//! The purchases of an account that are not in the ledger: pending and failed ones. Each has a small item of its own, written
//! together with the purchase, so that they can be listed without those that were approved.

use crate::table::attribute::{number, number_of, sort_key, text, text_of};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, unbooked_partition};
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use crate::table::requests::Write;
use domain::{AccountId, EntryId, PurchaseId, PurchaseStatus, RecordFilter};

/// How many purchases that are not in the ledger are listed among the records: the newest ones. Each of them is a call of the
/// payment provider that did not succeed.
pub const UNBOOKED_MAX: i32 = 1_000;

/// The attribute of the number of the account's last transaction when the purchase was made.
const AFTER: &str = "after";

/// The attribute of its status.
const STATUS: &str = "st";

/// Why a purchase is not in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UnbookedStatus {
    Pending,
    Failed,
}

/// A purchase that is not in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnbookedPurchase {
    pub(crate) id: PurchaseId,
    /// The number of the account's last transaction when it was made.
    pub(crate) after: u64,
    pub(crate) status: UnbookedStatus,
}

impl UnbookedPurchase {
    /// Whether a list has it.
    pub(crate) fn is_in(&self, filter: RecordFilter) -> bool {
        match self.status {
            UnbookedStatus::Pending => filter.pending,
            UnbookedStatus::Failed => filter.failed,
        }
    }
}

impl UnbookedStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// The item of a purchase that is not in the ledger yet.
pub(super) fn pending_item(id: PurchaseId, after: u64) -> StoredItem {
    let mut item = Key::Unbooked(id).attributes();
    item.insert(AFTER.to_owned(), number(after));
    item.insert(STATUS.to_owned(), text(UnbookedStatus::Pending.as_str()));
    item
}

/// What is written together with a purchase of this status; `None` for a pending one, whose item exists.
pub(super) fn beside(id: PurchaseId, status: &PurchaseStatus) -> Option<Write<'static>> {
    match status {
        PurchaseStatus::Pending(_) => None,
        PurchaseStatus::Approved(_) => Some(Write::Delete(Key::Unbooked(id))),
        // A purchase that is older than these items gets one without a place: it stands before all transactions.
        PurchaseStatus::Failed(_) => {
            let update =
                UpdateExpression::new("SET #status = :failed, #after = if_not_exists(#after, :first)");
            let update = update.name("#status", STATUS).name("#after", AFTER);
            let update =
                update.value(":failed", text(UnbookedStatus::Failed.as_str())).value(":first", number(0));
            Some(Write::Update(Key::Unbooked(id), update))
        }
    }
}

fn read(account: AccountId, item: &StoredItem) -> Option<UnbookedPurchase> {
    let transaction = EntryId::from_bare(sort_key(item)?)?;
    let status = match text_of(item, STATUS)? {
        "pending" => UnbookedStatus::Pending,
        "failed" => UnbookedStatus::Failed,
        _ => return None,
    };
    Some(UnbookedPurchase { id: PurchaseId { account, transaction }, after: number_of(item, AFTER)?, status })
}

impl Ledger {
    /// The newest [`UNBOOKED_MAX`] purchases that are not in the ledger, in the order of the records. They cost a read unit
    /// for each thirty of them.
    pub(crate) async fn unbooked(&self, account: AccountId) -> Result<Vec<UnbookedPurchase>, Fault> {
        let query = ItemQuery::all(unbooked_partition(account)).falling().limit(UNBOOKED_MAX);
        let items = self.table.query(query, "read purchases").await?.items;
        let read = |item| read(account, item).ok_or_else(|| Fault::corrupt("a purchase", "its place"));
        let mut purchases = items.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        purchases.sort_by_key(|purchase| std::cmp::Reverse((purchase.after, purchase.id.transaction)));
        Ok(purchases)
    }

    /// Makes the item of a purchase that is older than these items, unless it has one.
    pub(crate) async fn add_unbooked(
        &self,
        id: PurchaseId,
        after: u64,
        status: &PurchaseStatus,
    ) -> Result<bool, Fault> {
        let status = match status {
            PurchaseStatus::Approved(_) => return Ok(false),
            PurchaseStatus::Pending(_) => UnbookedStatus::Pending,
            PurchaseStatus::Failed(_) => UnbookedStatus::Failed,
        };
        let mut item = pending_item(id, after);
        item.insert(STATUS.to_owned(), text(status.as_str()));
        Ok(self.table.put_new(item, "index a purchase").await?.is_none())
    }
}
