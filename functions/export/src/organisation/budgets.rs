//! Budgets with what is used of them, teams, and requests for larger budgets.

use domain::Mode;
use futures_util::future::try_join_all;
use scrip_http::{BudgetRequestView, BudgetView, TeamView};
use store::Unsettled;

use super::{SectionPage, SectionReader};

/// How many budgets a page has, and up to 11 more: it ends with all budgets of one subject. Each costs a read.
const BUDGETS: usize = 50;

/// How many teams or requests a page has: one query.
const PAGE: i32 = 100;

impl SectionReader<'_> {
    pub(super) async fn budgets(&self, mode: Mode, cursor: Option<String>) -> Result<SectionPage, Unsettled> {
        let (account, moment) = (self.account(mode), self.moment(mode).await?);
        let page = self.app.ledger.list_budgets(account, cursor.as_deref(), BUDGETS).await?;
        let view = async |budget: &domain::Budget| {
            let counter = self.app.ledger.budget_use(account, budget.id, moment).await?;
            Ok::<_, Unsettled>(BudgetView::of(budget, &counter, moment.now))
        };
        let views = try_join_all(page.budgets.iter().map(view)).await?;
        Ok(SectionPage::of("budget", Some(mode), views, page.next)?)
    }

    pub(super) async fn teams(&self, mode: Mode, cursor: Option<String>) -> Result<SectionPage, Unsettled> {
        let page = self.app.ledger.list_teams(self.account(mode), cursor.as_deref(), PAGE).await?;
        let views = page.teams.iter().map(TeamView::from);
        Ok(SectionPage::of("team", Some(mode), views, page.next)?)
    }

    pub(super) async fn budget_requests(
        &self,
        mode: Mode,
        cursor: Option<String>,
    ) -> Result<SectionPage, Unsettled> {
        let page = self.app.ledger.list_budget_requests(self.account(mode), cursor.as_deref(), PAGE).await?;
        let views = page.requests.iter().map(BudgetRequestView::from);
        Ok(SectionPage::of("budgetRequest", Some(mode), views, page.next)?)
    }
}
