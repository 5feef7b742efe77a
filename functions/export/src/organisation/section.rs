//! The sections of the file of an organisation, in their order.

use domain::Mode;

/// A section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// The organisation itself.
    Organisation,
    /// Its API keys.
    ApiKeys,
    /// Its members.
    Members,
    /// Its invitations.
    Invitations,
    /// A section of one of its ledgers.
    Of(Mode, LedgerSection),
}

/// A section of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LedgerSection {
    /// The balance.
    Balance,
    /// The plan and its history.
    Subscription,
    /// Auto-recharge and alerts.
    Settings,
    /// Budgets with their counters.
    Budgets,
    /// Teams.
    Teams,
    /// Requests for larger budgets.
    BudgetRequests,
    /// Webhooks.
    Webhooks,
    /// Deliveries of all webhooks.
    Deliveries,
    /// Monitors.
    Monitors,
    /// Lots.
    Lots,
    /// Transactions with their proofs, and holds.
    Transactions,
    /// Purchases.
    Purchases,
    /// Exports of transactions.
    Exports,
    /// The months that have a statement.
    Statements,
    /// What unused credits were worth, by month.
    MonthValues,
}

impl LedgerSection {
    const ALL: [Self; 15] = [
        Self::Balance,
        Self::Subscription,
        Self::Settings,
        Self::Budgets,
        Self::Teams,
        Self::BudgetRequests,
        Self::Webhooks,
        Self::Deliveries,
        Self::Monitors,
        Self::Lots,
        Self::Transactions,
        Self::Purchases,
        Self::Exports,
        Self::Statements,
        Self::MonthValues,
    ];
}

impl Section {
    /// All sections: those of the organisation, then those of its live and of its test ledger.
    pub(super) fn all() -> Vec<Self> {
        let own = [Self::Organisation, Self::ApiKeys, Self::Members, Self::Invitations];
        let of = |mode| LedgerSection::ALL.into_iter().map(move |section| Self::Of(mode, section));
        own.into_iter().chain(of(Mode::Live)).chain(of(Mode::Test)).collect()
    }
}
