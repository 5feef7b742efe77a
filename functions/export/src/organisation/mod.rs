//! What the file of an organisation has: sections of pages, in the shapes that the API serves.

mod budgets;
mod ledger;
mod section;
mod settings;
mod team;
mod transactions;

use app::App;
use async_trait::async_trait;
use domain::{AccountId, Export, LedgerEnds, Mode};
use scrip_exports::{Line, LinePage, LinePlace, OrganisationPages};
use serde::Serialize;
use store::{Fault, Moment, Unsettled};

use section::{LedgerSection, Section};

/// Reads the pages of the file of an organisation.
pub struct OrganisationReader<'a>(pub &'a App);

/// A page of one section.
#[derive(Default)]
struct SectionPage {
    lines: Vec<Line>,
    /// Where the next page of the section begins; `None` after its last one.
    next: Option<String>,
}

/// Reads the sections of one export.
#[derive(Clone, Copy)]
struct SectionReader<'a> {
    app: &'a App,
    export: &'a Export,
}

#[async_trait]
impl OrganisationPages for OrganisationReader<'_> {
    async fn are_chained(&self, export: &Export) -> Result<bool, Unsettled> {
        let reader = SectionReader { app: self.0, export };
        for mode in [Mode::Live, Mode::Test] {
            let account = reader.account(mode);
            let known = self.0.ledger.projected_through(account).await?;
            let end = reader.ends()?.of(mode);
            if known.chained() < end || known.notified_through() < end {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn page(&self, export: &Export, place: LinePlace) -> Result<LinePage, Unsettled> {
        let reader = SectionReader { app: self.0, export };
        let sections = Section::all();
        let Some(section) = sections.get(place.section) else { return Ok(LinePage::default()) };
        let SectionPage { lines, next } = Box::pin(reader.read(*section, place.cursor)).await?;
        let following = place.section.saturating_add(1);
        let next = match next {
            Some(cursor) => Some(LinePlace { section: place.section, cursor: Some(cursor) }),
            None if following < sections.len() => Some(LinePlace { section: following, cursor: None }),
            None => None,
        };
        Ok(LinePage { lines, next })
    }
}

impl SectionReader<'_> {
    async fn read(&self, section: Section, cursor: Option<String>) -> Result<SectionPage, Unsettled> {
        match section {
            Section::Organisation => self.organisation().await,
            Section::ApiKeys => self.api_keys(cursor).await,
            Section::Members => self.members(cursor).await,
            Section::Invitations => self.invitations(cursor).await,
            Section::Of(mode, LedgerSection::Balance) => self.balance(mode).await,
            Section::Of(mode, LedgerSection::Subscription) => self.subscription(mode).await,
            Section::Of(mode, LedgerSection::Settings) => self.settings(mode).await,
            Section::Of(mode, LedgerSection::Budgets) => self.budgets(mode, cursor).await,
            Section::Of(mode, LedgerSection::Teams) => self.teams(mode, cursor).await,
            Section::Of(mode, LedgerSection::BudgetRequests) => self.budget_requests(mode, cursor).await,
            Section::Of(mode, LedgerSection::Webhooks) => self.webhooks(mode).await,
            Section::Of(mode, LedgerSection::Deliveries) => self.deliveries(mode, cursor).await,
            Section::Of(mode, LedgerSection::Monitors) => self.monitors(mode, cursor).await,
            Section::Of(mode, LedgerSection::Lots) => self.lots(mode, cursor).await,
            Section::Of(mode, LedgerSection::Transactions) => self.transactions(mode, cursor).await,
            Section::Of(mode, LedgerSection::Purchases) => self.purchases(mode, cursor).await,
            Section::Of(mode, LedgerSection::Exports) => self.exports(mode, cursor).await,
            Section::Of(mode, LedgerSection::Statements) => self.statements(mode).await,
            Section::Of(mode, LedgerSection::MonthValues) => self.month_values(mode, cursor).await,
        }
    }

    /// The organisation's ledger of a mode.
    fn account(&self, mode: Mode) -> AccountId {
        AccountId { org: self.export.key.account.org, mode }
    }

    /// Where the ledgers end in the file.
    fn ends(&self) -> Result<LedgerEnds, Fault> {
        self.export.ends.ok_or_else(|| Fault::corrupt("an export of an organisation", "where it ends"))
    }

    /// The moment of the export by the clock of a ledger: every attempt shows things as of then.
    async fn moment(&self, mode: Mode) -> Result<Moment, Fault> {
        let own = self.app.ledger.test_clock(self.account(mode)).await?;
        Ok(Moment { now: own.unwrap_or(self.export.made_at), ..self.app.clock.moment() })
    }
}

impl SectionPage {
    /// A page of lines of one kind.
    fn of<V: Serialize>(
        kind: &'static str,
        mode: Option<Mode>,
        views: impl IntoIterator<Item = V>,
        next: Option<String>,
    ) -> Result<Self, Fault> {
        let lines = views.into_iter().map(|view| line(kind, mode, &view)).collect::<Result<_, _>>()?;
        Ok(Self { lines, next })
    }
}

fn line<V: Serialize>(kind: &'static str, mode: Option<Mode>, view: &V) -> Result<Line, Fault> {
    Line::new(kind, mode, view).map_err(|error| Fault::corrupt("a line of an export", error))
}

/// A place that a page before has named.
fn place<T: TryFrom<String>>(cursor: Option<String>) -> Result<Option<T>, Fault> {
    let read = |text| T::try_from(text).map_err(|_| Fault::corrupt("an export", "a place in it"));
    cursor.map(read).transpose()
}
