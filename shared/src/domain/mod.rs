//! The rules of credit. Pure: no clock, no network, no database; every input is an argument.

mod access;
mod account;
mod adjustment;
mod balance;
mod consume;
mod credits;
mod details;
mod dispute;
mod expiry;
mod fence;
mod grant;
mod ids;
mod lot;
mod money;
mod monitor;
mod news;
mod package;
mod payment;
mod period;
mod plan;
mod posting;
mod price;
mod purchase;
mod rates;
mod receipt;
mod recharge;
mod refusal;
mod renewal;
mod subscription;
mod terms;
#[cfg(test)]
mod tests;
mod version;

pub use access::{ApiKey, Denial, Mode, Principal, Scope, Secret};
pub use account::{Account, AccountId, Fence, LOTS_ALIKE_MAX, LOTS_MAX, PostPaid, Subscription};
pub use adjustment::{Adjustment, adjust};
pub use balance::{Balance, EXPIRING_MAX, Expiring};
pub use consume::{Consume, consume};
pub use credits::{Amount, Credits, OutOfRange, Quantity};
pub use details::{BadMetadata, Details, Metadata, Paid};
pub use dispute::{Bought, dispute_lost, dispute_opened, dispute_won};
pub use expiry::{Alerts, Ends};
pub use fence::fence;
pub use grant::{Grant, Origin, grant};
pub use ids::{
    BadId, EntryId, EventId, Fingerprint, IdempotencyKey, KeyId, MonitorId, Operation, OrgId, Reference,
};
pub use lot::{Lot, LotId, Service, Source};
pub use money::{BadCurrency, BadMoney, BadRate, Currency, Money, Rate};
pub use monitor::{Monitor, OnBehalf, Subject, Suspension, Watch, Watched, charge_month};
pub use news::{Event, News};
pub use package::{Offer, Package, PackageChange, PackageId, PackageList};
pub use payment::{Decline, Payment, PaymentId, PurchaseId, Standing};
pub use period::Period;
pub use plan::{Allowance, BadAllowance, BadFee, Fee, Plan, PlanChange, PlanId, PlanList};
pub use posting::{ClaimKey, Direction, Effect, Entry, Guard, Head, Move, Posting, Switch};
pub use price::{Category, ListedPrice, Price, PriceChange, PriceList, PricedOperation};
pub use purchase::{Cause, Dispute, Purchase, REPEATABLE_HOURS, Stage, Step, Verdict, may_buy};
pub use rates::RateList;
pub use receipt::Receipt;
pub use recharge::{BURST_MAX, BadRecharge, Pause, Recharge, RechargeChange, RechargeState, Wish};
pub use refusal::Refusal;
pub use renewal::{DUE_MAX, due, renewal_id};
pub use subscription::{Subscribe, SubscribeCause, subscribe};
pub use terms::{set_frozen, set_limit};
pub use version::{BadChange, When};
