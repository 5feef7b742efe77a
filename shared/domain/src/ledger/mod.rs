//! The ledger of an account: lots, postings, transactions, balances, refusals.

pub(crate) mod account;
mod balance;
mod batch_item;
mod budget_exceeded;
mod details;
mod disputed;
mod effect;
mod hold_status;
pub(crate) mod lot;
pub(crate) mod month;
mod passed_over;
mod posting;
pub(crate) mod receipt;
mod refusal;
pub(crate) mod share;
mod spending_limit;
mod statement_query;

pub use account::{Account, Fence, PostPaid};
pub use balance::{Balance, EXPIRING_MAX, ExpiringLot};
pub use batch_item::{BatchItem, BatchPosition};
pub use budget_exceeded::{BudgetExceeded, BudgetUse};
pub use details::{BadMetadata, Details, Metadata, PaymentDetails};
pub use disputed::DisputedCredits;
pub use effect::{Bound, Counter, Effect};
pub use hold_status::HoldStatus;
pub use lot::{Lot, LotId, Service, Source, Terms};
pub use month::{Extras, SubscriptionCredits};
pub use passed_over::{PassedOverLot, PassedOverReason};
pub use posting::{Attempt, BatchOutcome, ClaimKey, Direction, Entry, Guard, Move, PlanTransition, Posting};
pub use receipt::Receipt;
pub(crate) use receipt::{BATCH, HOLD};
pub use refusal::Refusal;
pub use share::{DrawdownKind, DrawdownReason, Drawn, RefundDetails, RefundReason, Share};
pub use spending_limit::SpendingLimit;
pub use statement_query::StatementQuery;
