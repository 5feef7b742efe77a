//! Views: what callers see of the ledger and the catalogue. They decide the JSON of the API.

mod api_key;
mod audit;
mod balance;
mod catalogue;
mod member;
mod rate_limit;
mod refusal;
mod statement_filter;
mod transaction;

pub use api_key::{ApiKeyView, ExpiryField, KeyOrigin, KeyView, NewApiKey, WithSecret};
pub use audit::{AuditView, ProofView};
pub use balance::{AsOf, BalanceView, PostPaidView};
pub use catalogue::{ExchangeRateView, MoneyView, OperationPrice, PackageOnSale, PackageView, PlanView};
pub use member::{
    InvitationView, InvitationWithToken, MemberLimitView, MemberView, NewInvitation, SeatsView,
    invitation_link,
};
pub use rate_limit::{RateLimitField, RateLimitView};
pub use refusal::RefusalView;
pub use statement_filter::{CategoryFilter, StatusFilter, of_kind};
pub use transaction::{BatchItemView, BookedView, NextActionView, PlanShift, SourceShare, TransactionView};
