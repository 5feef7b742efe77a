//! Requests for larger budgets.

use crate::table::attribute::{sort_key, text};
use crate::table::budget_key::{BUDGET_REQUESTS, budget_partition};
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, BudgetRequest, BudgetRequestId, BudgetRequestStatus};

/// A page of an account's requests for larger budgets.
#[derive(Clone, Debug, Default)]
pub struct BudgetRequestPage {
    /// The requests, the newest first.
    pub requests: Vec<BudgetRequest>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

impl Ledger {
    /// Saves a request, unless it was saved before.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn add_budget_request(&self, account: AccountId, request: &BudgetRequest) -> Result<(), Fault> {
        let item = with_key(&Key::budget_request(account, request.id), request)?;
        self.table.put_new(item, "save a request for a larger budget").await.map(|_| ())
    }

    /// A request; `None` when there is none.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn budget_request(
        &self,
        account: AccountId,
        id: BudgetRequestId,
    ) -> Result<Option<BudgetRequest>, Fault> {
        let item =
            self.table.get(&Key::budget_request(account, id), "read a request for a larger budget").await?;
        item.map(|item| decode("a request for a larger budget", item)).transpose()
    }

    /// The requests of an account, the newest first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn list_budget_requests(
        &self,
        account: AccountId,
        below: Option<&str>,
        limit: i32,
    ) -> Result<BudgetRequestPage, Fault> {
        let last = below.map_or_else(|| format!("{BUDGET_REQUESTS}~"), |below| format!("{below}!"));
        let keys = SortKeys::Between(BUDGET_REQUESTS.to_owned(), last);
        let query = ItemQuery::new(budget_partition(account), keys).falling();
        // The position itself was the last of the page before.
        let most = limit.saturating_add(i32::from(below.is_some()));
        let mut page = self.table.query(query.limit(most), "list requests for larger budgets").await?;
        page.items.retain(|item| sort_key(item) != below);
        let next = page.items.last().and_then(sort_key).map(str::to_owned).filter(|_| page.last.is_some());
        let requests = page
            .items
            .into_iter()
            .map(|item| decode("a request for a larger budget", item))
            .collect::<Result<_, _>>()?;
        Ok(BudgetRequestPage { requests, next })
    }

    /// Answers a request that is open, without a change of its budget. Returns the request as it is now, also where it was
    /// answered before; `None` when there is none.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn answer_budget_request(
        &self,
        account: AccountId,
        id: BudgetRequestId,
        status: BudgetRequestStatus,
    ) -> Result<Option<BudgetRequest>, Fault> {
        let Some(known) = self.budget_request(account, id).await? else { return Ok(None) };
        let answered = BudgetRequest { status, ..known };
        let item = with_key(&Key::budget_request(account, id), &answered)?;
        match self.table.put_if(item, is_open(), "answer a request for a larger budget").await? {
            true => Ok(Some(answered)),
            false => self.budget_request(account, id).await,
        }
    }
}

/// That a request is not answered yet.
pub(crate) fn is_open() -> Condition {
    Condition::new("#status.#is = :open")
        .name("#status", "status")
        .name("#is", "is")
        .value(":open", text(BudgetRequestStatus::Open.as_str()))
}
