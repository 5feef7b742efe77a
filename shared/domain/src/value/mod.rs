//! Value types that all other modules use: credits, money, months, ids and limits.

mod account_id;
mod allowance;
mod budget_mark;
mod credits;
mod entry_id;
pub(crate) mod ids;
mod limits;
mod money;
mod names;
mod period;
mod row_shards;
mod timestamp;

pub use account_id::{AccountId, Mode, PurchaseId};
pub use allowance::{Allowance, BadAllowance};
pub use budget_mark::{BudgetLevel, BudgetMark};
pub use credits::{Allowed, Amount, Credits, CreditsWithin, OutOfRange, Quantity};
pub use ids::{
    BadId, BudgetId, BudgetRequestId, CreditId, DeliveryId, Email, EntryId, EventId, ExportId, Fingerprint,
    HoldId, IdempotencyKey, InvitationId, KeyId, MemberId, MonitorId, Operation, OrgId, Reference, SessionId,
    TeamId, WebhookId,
};
pub use limits::{
    BATCH_MAX, DISPUTES_MAX, DRAWDOWNS_MAX, DUE_MAX, LOTS_ALIKE_MAX, LOTS_MAX, PLAN_CAP, PLAN_CAP_MAX,
};
pub use money::{BadCurrency, BadMoney, BadRate, Currency, Money, Rate};
pub use names::{PackageId, PaymentId, PlanId, PriceCategory};
pub use period::Period;
pub use row_shards::{BadRowShards, RowShard, RowShards};
pub(crate) use timestamp::timestamp;
