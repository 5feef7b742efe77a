//! The rules of credit. Pure: no clock, no network, no database; every input is an argument.

mod access;
mod account;
mod balance;
mod consume;
mod credits;
mod details;
mod fence;
mod grant;
mod ids;
mod lot;
mod money;
mod package;
mod period;
mod plan;
mod posting;
mod price;
mod rates;
mod receipt;
mod refusal;
mod renewal;
#[cfg(test)]
mod tests;
mod version;

pub use access::{ApiKey, Denial, Mode, Principal, Scope, Secret};
pub use account::{Account, AccountId, Fence, LOTS_ALIKE_MAX, LOTS_MAX, Subscription};
pub use balance::{Balance, EXPIRING_MAX, Expiring};
pub use consume::{Consume, consume};
pub use credits::{Amount, Credits, OutOfRange, Quantity};
pub use details::{BadMetadata, Details, Metadata};
pub use fence::fence;
pub use grant::{Grant, Origin, grant};
pub use ids::{BadId, EntryId, Fingerprint, IdempotencyKey, KeyId, Operation, OrgId, Reference};
pub use lot::{Lot, LotId, Service, Source};
pub use money::{BadCurrency, BadMoney, BadRate, Currency, Money, Rate};
pub use package::{Offer, Package, PackageChange, PackageId, PackageList};
pub use period::Period;
pub use plan::{Allowance, BadAllowance, BadFee, Fee, Plan, PlanChange, PlanId, PlanList};
pub use posting::{ClaimKey, Direction, Effect, Entry, Guard, Head, Move, Posting};
pub use price::{Category, ListedPrice, Price, PriceChange, PriceList, PricedOperation};
pub use rates::RateList;
pub use receipt::Receipt;
pub use refusal::Refusal;
pub use renewal::{DUE_MAX, due};
pub use version::{BadChange, When};
