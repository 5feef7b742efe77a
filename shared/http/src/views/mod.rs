//! Views: what callers see of the ledger and the catalogue. They decide the JSON of the API.

mod alerts;
mod api_key;
mod audit;
mod auto_recharge;
mod balance;
mod budget;
mod budget_filter;
mod catalogue;
mod delivery;
mod event_names;
mod export;
mod hold;
mod lot;
mod member;
mod monitor;
mod on_failure;
mod organisation;
mod purchase;
mod rate_limit;
mod reason;
mod receipt;
mod refusal;
mod statement_filter;
mod statement_line;
mod subscription;
mod transaction;
mod webhook;

pub use alerts::{AlertsView, ServiceThreshold};
pub use api_key::{ApiKeyView, ExpiryField, KeyOrigin, KeyView, NewApiKey, WithSecret};
pub use audit::{AuditProblem, AuditRow, AuditView, ProofView};
pub use auto_recharge::AutoRechargeView;
pub use balance::{AsOf, BalanceView, PostPaidView};
pub use budget::{BudgetRequestView, BudgetView, TeamView};
pub use budget_filter::OnlyField;
pub use catalogue::{ExchangeRateView, MoneyView, OperationPrice, PackageOnSale, PackageView, PlanView};
pub use delivery::DeliveryView;
pub use event_names::{Happening, Sendable};
pub use export::{ExportErrorView, ExportView};
pub use hold::HoldView;
pub use lot::{LotPriceView, LotView};
pub use member::{
    InvitationView, InvitationWithToken, MemberLimitView, MemberView, NewInvitation, SeatsView,
};
pub use monitor::MonitorView;
pub use on_failure::{OnFailureSetting, OnFailureView};
pub use organisation::OrganisationView;
pub use purchase::purchase_view;
pub use rate_limit::{RateLimitField, RateLimitView};
pub use reason::ReasonRequest;
pub use receipt::ReceiptView;
pub use refusal::RefusalView;
pub use statement_filter::{CategoryFilter, StatusFilter, of_kind};
pub use statement_line::StatementLine;
pub use subscription::{PlanTerms, SubscriptionView};
pub use transaction::{BatchItemView, BookedView, NextActionView, PlanShift, SourceShare, TransactionView};
pub use webhook::WebhookView;
