//! The ledger of an account: lots, postings, transactions, balances, refusals.

pub(crate) mod account;
mod balance;
mod batch_item;
mod details;
mod disputed;
mod effect;
mod hold_status;
pub(crate) mod lot;
pub(crate) mod month;
mod posting;
pub(crate) mod receipt;
mod refusal;
pub(crate) mod share;
mod spending_limit;

pub use account::{Account, Fence, PostPaid};
pub use balance::{Balance, EXPIRING_MAX, Expiring};
pub use batch_item::{Item, Place};
pub use details::{BadMetadata, Details, Metadata, Paid};
pub use disputed::Disputed;
pub use effect::{Bound, Counter, Effect};
pub use hold_status::HoldStatus;
pub use lot::{Lot, LotId, Service, Source, Terms};
pub use month::{Extras, Subscription};
pub use posting::{ClaimKey, Direction, Entry, Guard, Head, Move, Part, Posting, Switch};
pub use receipt::Receipt;
pub use refusal::Refusal;
pub use share::{DrawdownCause, Drawn, Reason, Share, Why};
pub use spending_limit::SpendingLimit;
