//! The rules of credit. Pure: no clock, no network, no database; every input is an argument.

mod access;
mod account;
mod account_id;
mod adjustment;
mod alert_state;
mod alerts;
mod audit;
mod back_off;
mod balance;
mod batch;
mod chain;
mod consume;
mod credits;
mod delivery;
mod delivery_state;
mod details;
mod dispute;
mod draw;
mod effect;
mod event_name;
mod expiry;
mod fence;
mod give_back;
mod grant;
mod hold;
mod hook_secret;
mod hook_url;
mod ids;
mod lot;
mod money;
mod monitor;
mod month;
mod news;
mod news_of;
mod package;
mod payment;
mod period;
mod place;
mod plan;
mod posting;
mod price;
mod purchase;
mod rates;
mod reach;
mod rebuild;
mod receipt;
mod recharge;
mod recharge_change;
mod recharge_wish;
mod refund;
mod refusal;
mod renewal;
mod reversal;
mod shortage;
mod spending;
mod subscription;
mod sums;
mod terms;
#[cfg(test)]
mod tests;
mod usage;
mod version;
mod webhook;
mod with_due;

pub use access::{ApiKey, Denial, Mode, Principal, Scope, Secret};
pub use account::{Account, Fence, LOTS_ALIKE_MAX, LOTS_MAX, PLAN_CAP, PLAN_CAP_MAX, PostPaid};
pub use account_id::AccountId;
pub use adjustment::{Adjustment, adjust};
pub use alert_state::{AlertState, Level, Low, Mark};
pub use alerts::{Alerts, Threshold};
pub use audit::{ChainCheck, Finding, Problem};
pub use back_off::ATTEMPTS_MAX;
pub use balance::{Balance, EXPIRING_MAX, Expiring};
pub use batch::{BATCH_MAX, Batch, Item, Place, batch};
pub use chain::{Checkpoint, Growth, Hash, Link, RowText, Span, Tip};
pub use consume::{Consume, consume};
pub use credits::{Allowed, Amount, Credits, CreditsWithin, OutOfRange, Quantity};
pub use delivery::{Attempt, Delivery, DeliveryKind, DeliveryStanding, SentRequest, SentResponse};
pub use delivery_state::{DeliveryState, Flow, Lane, Outcome, Replay};
pub use details::{BadMetadata, Details, Metadata, Paid};
pub use dispute::{
    Bought, DISPUTES_MAX, Disputed, dispute_lost, dispute_opened, dispute_won, payment_refunded,
};
pub use draw::{
    DRAWS_MAX, Draw, Drawdown, DrawdownCause, Drawn, Landed, Misfit, NotTaken, Order, Portion, Pot, Share,
    Why,
};
pub use effect::{Bound, Counter, Effect};
pub use event_name::{BadEventName, EventName};
pub use expiry::Ends;
pub use fence::fence;
pub use give_back::{GiveBack, RETURNED_DAYS, give_back};
pub use grant::{Grant, Origin, grant};
pub use hold::{HOLD_SECONDS, HOLD_SECONDS_MAX, HoldStatus, capture, hold, hold_ends};
pub use hook_secret::{BadHookSecret, HookSecret};
pub use hook_url::{BadUrl, HookUrl, URL_CHARS_MAX};
pub use ids::{
    BadId, DeliveryId, EntryId, EventId, Fingerprint, HoldId, IdempotencyKey, KeyId, MonitorId, Operation,
    OrgId, Reference, WebhookId,
};
pub use lot::{Lot, LotId, Service, Source, Terms};
pub use money::{BadCurrency, BadMoney, BadRate, Currency, Money, Rate};
pub use monitor::{Monitor, OnBehalf, Subject, Suspension, Watch, Watched, charge_month};
pub use month::{Extras, Subscription};
pub use news::{Event, HookPaused, News, RechargeFailure};
pub use package::{Offer, Package, PackageChange, PackageId, PackageList};
pub use payment::{Decline, Payment, PaymentId, PurchaseId, Standing};
pub use period::Period;
pub use plan::{Allowance, BadAllowance, BadFee, Fee, Plan, PlanChange, PlanId, PlanList};
pub use posting::{ClaimKey, Direction, Entry, Guard, Head, Move, Part, Posting, Switch};
pub use price::{Category, ListedPrice, Price, PriceChange, PriceList, PricedOperation};
pub use purchase::{
    BOUGHT_BY_RECHARGE, Cause, Dispute, Purchase, REPEATABLE_HOURS, Stage, Step, Verdict, may_buy,
};
pub use rates::RateList;
pub use reach::{RUNTIME_PORT, Reach};
pub use rebuild::{RowFacts, Totals, repaired};
pub use receipt::Receipt;
pub use recharge::{BURST_MAX, Pause, Recharge, RechargeState};
pub use recharge_change::{BadRecharge, RechargeChange};
pub use recharge_wish::Wish;
pub use refund::{Decides, REFUND_DAYS, Reason, Refund, SETTLE_DAYS_MAX, Twin};
pub use refusal::Refusal;
pub use renewal::{DUE_MAX, due, renewal_id};
pub use reversal::{RefundOrder, RefundState, RefundStep, Refunds, payment_restored};
pub use spending::SpendingLimit;
pub use subscription::{Subscribe, SubscribeCause, subscribe};
pub use sums::Sums;
pub use terms::{set_cap, set_frozen, set_limit};
pub use usage::{Spent, Usage, Used};
pub use version::{BadChange, When};
pub use webhook::{SealedSecret, Webhook};
