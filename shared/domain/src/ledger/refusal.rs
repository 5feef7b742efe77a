//! The reasons why a request is refused.

use crate::{
    BudgetExceeded, Credits, Currency, DRAWDOWNS_MAX, EntryId, HoldStatus, LOTS_MAX, Money, Operation,
    PassedOverLot, PlanId, Reference, SpendingLimit,
};

/// The reason why a request is refused. A refusal is an answer, not a fault: no credits were moved.
///
/// The variants are in the order in which they are checked, so that a request with two errors always gets the
/// same refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The price list does not have this operation.
    #[error("unknown operation `{}`; GET /api/v3/pricing lists all operations", .0.as_str())]
    UnknownOperation(Reference),
    /// The operation is charged per use, but a monthly operation is required.
    #[error("`{}` is charged per use; a monitor needs an operation that is charged monthly", .0.as_str())]
    NotMonthly(Operation),
    /// The catalogue does not have this plan.
    #[error("unknown plan `{}`; GET /api/v3/plans lists all plans", .0.0)]
    UnknownPlan(PlanId),
    /// The package is not on sale.
    #[error("no package `{}` is on sale; GET /api/v3/credits/packages lists those that are", .0.as_str())]
    UnknownPackage(Reference),
    /// The package is sold in a currency other than the organisation's.
    #[error(
        "`{}` is sold in {}, and this organisation pays in {}; GET /api/v3/credits/packages with your key lists the packages that you can buy",
        .package.as_str(), .sold_in.code(), .pays_in.code()
    )]
    OtherCurrency {
        /// The package.
        package: Reference,
        /// The currency of its price.
        sold_in: Currency,
        /// The organisation's currency.
        pays_in: Currency,
    },
    /// No package is on sale in the organisation's currency, so an amount of credits has no price.
    #[error(
        "no package is on sale in the currency of this organisation, so credits have no price; ask the operator to offer one"
    )]
    NothingOnSale,
    /// The charge would exceed the organisation's daily spending limit.
    #[error(
        "the purchase costs {} minor units of {}, and this organisation has spent {} of its daily limit of {}; buy fewer credits, try again tomorrow (UTC), or ask the operator to raise the limit",
        .price.amount(), .price.currency().code(), .spent, .limit.per_day().amount()
    )]
    SpendingLimit {
        /// The price.
        price: Money,
        /// The limit.
        limit: SpendingLimit,
        /// The minor units already spent on this day.
        spent: u64,
    },
    /// The price exceeds the maximum of one payment.
    #[error(
        "the purchase costs more than the maximum of one payment ({} minor units); buy fewer credits at once",
        Money::MAX
    )]
    PriceLimit,
    /// The organisation is frozen.
    #[error(
        "the organisation is frozen and cannot spend or buy credits until an operator unfreezes it, or reopens it if it is closed"
    )]
    Frozen,
    /// The organisation already has this plan.
    #[error("the organisation already has this plan")]
    SamePlan,
    /// The organisation itself asked for a plan that costs or grants more than the current one.
    #[error(
        "the plan costs more than the present one, or brings more than the allowance that this \
         organisation has now, and the organisation may not move to such a plan itself; ask the operator to change the plan, or to allow it (`selfServicePlans`)"
    )]
    PlanChangeNotAllowed,
    /// Post-paid credits cannot be granted or taken.
    #[error("must be subscription, purchased or bonus; …/post-paid sets the limit of post-paid credits")]
    NothingToHold,
    /// The adjustment would settle more than is outstanding.
    #[error("the amount is more than the {} credits outstanding", .outstanding.get())]
    NotOwed {
        /// What is owed.
        outstanding: Credits,
    },
    /// The grant would already be expired.
    #[error("must be in the future")]
    ExpiresInThePast,
    /// Purchased credits with an expiry but without a service (contract: purchased credits never expire, except
    /// those of a service).
    #[error(
        "purchased credits can only expire if they are restricted to a service; omit it or name a service"
    )]
    PurchasedNeverExpire,
    /// Subscription credits with a service or an expiry of their own.
    #[error(
        "subscription credits expire with their month and pay for every service; omit it or grant bonus credits"
    )]
    SubscriptionTerms,
    /// Subscription credits for an unlimited plan.
    #[error("the plan is unlimited: it has no subscription credits to add to; grant bonus credits")]
    UnlimitedPlan,
    /// The account has the maximum number of lots, and none with the same terms.
    #[error(
        "the organisation has {LOTS_MAX} lots with other terms; grant credits with the terms of one of them, or wait until one is used up"
    )]
    TooManyLots,
    /// The balance or the month's usage would exceed [`Credits::MAX`].
    #[error("the balance would exceed {} credits; ask for fewer, or spend some first", Credits::MAX.get())]
    BalanceLimit,
    /// The debit would exceed the monthly cap of an unlimited plan.
    #[error(
        "this month's debits would exceed the safety limit of {} credits; ask an operator to raise it",
        .cap.get()
    )]
    PlanLimit {
        /// The monthly cap in credits.
        cap: Credits,
    },
    /// The account has the maximum number of open disputes.
    #[error("the organisation has the maximum number of open disputes; close one of them first")]
    TooManyDisputes,
    /// The reason does not qualify for a refund (seed: "Credit Refunds").
    #[error("{0}")]
    ReasonNotEligible(&'static str),
    /// The transaction cannot be refunded, or not for this reason.
    #[error("{0}")]
    NotEligible(&'static str),
    /// The refund exceeds what is left of the debit.
    #[error("only {} credits of this debit can still be refunded; request at most that many, or omit `amount`", .refundable.get())]
    MoreThanDebited {
        /// What can still be refunded.
        refundable: Credits,
    },
    /// The debit was refunded in full.
    #[error("this debit has been refunded in full; see `refunds` of the transaction")]
    AlreadyRefunded,
    /// Nothing is left to refund of the purchase's payment.
    #[error(
        "this purchase's payment has been refunded in full, or lost in a dispute; `details.refunds` lists the \
         refunds that operators ordered"
    )]
    PurchaseRefunded {
        /// The currency of the payment.
        currency: Currency,
        /// The operators' refunds, without those that the provider refused; the earliest first.
        refunds: Vec<EntryId>,
    },
    /// The refund exceeds what is left of the payment.
    #[error("only {} minor units of {} of this payment can still be refunded; request at most that many, or omit `amount`", .refundable.amount(), .refundable.currency().code())]
    MoreThanPaid {
        /// What can still be refunded.
        refundable: Money,
    },
    /// The payment provider refused a refund.
    #[error(
        "the payment provider refused the refund ({0}); no money was refunded and no credits were taken back"
    )]
    RefundRefused(String),
    /// The capture exceeds what the hold has left.
    #[error(
        "{} credits were to be captured, and the hold has {} left; capture at most {}, or omit `amount` to capture all",
        .required.get(), .available.get(), .available.get()
    )]
    MoreThanHeld {
        /// The requested credits.
        required: Credits,
        /// The credits that the hold has left.
        available: Credits,
    },
    /// The hold is closed.
    #[error("the hold is {} and can no longer be used; create a new one", .0.as_str())]
    HoldClosed(HoldStatus),
    /// The transaction has the maximum number of drawdowns.
    #[error(
        "this transaction already has {} partial refunds or captures; omit `amount` to take the remainder",
        DRAWDOWNS_MAX.saturating_sub(1)
    )]
    TooManyDraws,
    /// The charge is for a month that has ended.
    #[error("the month has ended; charge the next one")]
    MonthOver,
    /// A budget has no room for it.
    #[error("{0}")]
    BudgetExceeded(Box<BudgetExceeded>),
    /// There are not enough credits for this debit. The text is the seed's.
    #[error("Not enough credits to perform this operation")]
    InsufficientCredits {
        /// The requested credits.
        required: Credits,
        /// The credits that this debit could have used.
        available: Credits,
        /// The lots that have credits and could not pay for it.
        passed_over: Vec<PassedOverLot>,
    },
}

impl Refusal {
    /// Whether more credits would make the request succeed.
    #[must_use]
    pub fn wants_credits(&self) -> bool {
        matches!(self, Self::InsufficientCredits { .. })
    }
}
