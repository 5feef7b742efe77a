//! The reasons why a request is refused.

use crate::{
    Credits, Currency, DRAWS_MAX, EntryId, HoldStatus, LOTS_MAX, Money, Operation, PlanId, Reference,
    SpendingLimit,
};

/// The reason why a request is refused. A refusal is an answer, not a fault: no credits were moved.
///
/// The variants are in the order in which they are checked, so that a request with two errors always gets the
/// same refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The price list does not have this operation.
    #[error("unknown operation `{}`; the price list has no such name; GET /api/v3/pricing lists those that it has", .0.as_str())]
    UnknownOperation(Reference),
    /// The operation is charged per use, but a monthly operation is required.
    #[error("`{}` is charged each time it is done; monitors take an operation that is charged by the month", .0.as_str())]
    NotMonthly(Operation),
    /// The catalogue does not have this plan.
    #[error("unknown plan `{}`; the catalogue has no such name; GET /api/v3/plans lists those that it has", .0.0)]
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
        "costs {} minor units of {}, and {} of the {} that this organisation may spend a day are spent; try again tomorrow (UTC), or ask the operator to raise the limit",
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
    #[error("costs more than one payment may be ({} minor units); buy less at once", Money::MAX)]
    PriceLimit,
    /// The organisation is frozen.
    #[error("the organisation is frozen: nothing is spent and nothing bought until an operator unfreezes it")]
    Frozen,
    /// The organisation already has this plan.
    #[error("the organisation has that plan already")]
    SamePlan,
    /// The organisation itself asked for a plan that costs or grants more than the current one.
    #[error(
        "the plan costs more than the present one, or brings more than the allowance that this \
         organisation has now, and the organisation may not move to such a plan itself; ask the operator to change the plan, or to allow it (`selfServicePlans`)"
    )]
    PlanChangeNotAllowed,
    /// Post-paid credits cannot be granted or taken.
    #[error("must be subscription, purchased or bonus; what may be spent on account is set by …/post-paid")]
    NothingToHold,
    /// The adjustment would settle more than is outstanding.
    #[error("is more than the {} credits outstanding", .outstanding.get())]
    NotOwed {
        /// What is owed.
        outstanding: Credits,
    },
    /// The grant would already be expired.
    #[error("must lie in the future")]
    ExpiresInThePast,
    /// Purchased credits with an expiry but without a service (contract: purchased credits never expire, except
    /// those of a service).
    #[error(
        "purchased credits expire only when they are set aside for a service; leave it out or name a service"
    )]
    PurchasedNeverExpire,
    /// Subscription credits with a service or an expiry of their own.
    #[error(
        "subscription credits end with their month and pay for every service; leave it out or grant bonus credits"
    )]
    SubscriptionTerms,
    /// Subscription credits for an unlimited plan.
    #[error("the plan is unlimited: it has no subscription credits to add to; grant bonus credits")]
    UnlimitedPlan,
    /// The account has the maximum number of lots, and none with the same terms.
    #[error(
        "the organisation has {LOTS_MAX} lots on other terms; grant on the terms of one of them, or wait until one is used up"
    )]
    TooManyLots,
    /// The balance or the month's usage would exceed [`Credits::MAX`].
    #[error("the balance would pass {} credits; ask for fewer, or spend some first", Credits::MAX.get())]
    BalanceLimit,
    /// The debit would exceed the monthly cap of an unlimited plan.
    #[error(
        "this month's debits would pass the safety limit of {} credits; ask an operator to raise it",
        .cap.get()
    )]
    PlanLimit {
        /// The monthly cap in credits.
        cap: Credits,
    },
    /// The account has the maximum number of open disputes.
    #[error("the organisation has as many open disputes as it can keep apart; close one of them first")]
    TooManyDisputes,
    /// The reason does not qualify for a refund (seed: "Credit Refunds").
    #[error("{0}")]
    ReasonNotEligible(&'static str),
    /// The transaction cannot be refunded, or not for this reason.
    #[error("{0}")]
    NotEligible(&'static str),
    /// The refund exceeds what is left of the debit.
    #[error("only {} credits of this debit can still be refunded; ask for as many, or leave `amount` out", .refundable.get())]
    MoreThanDebited {
        /// What can still be refunded.
        refundable: Credits,
    },
    /// The debit was refunded in full.
    #[error("all of this debit has been refunded; `refunds` of the transaction names when")]
    AlreadyRefunded,
    /// Nothing is left to refund of the purchase's payment.
    #[error(
        "all of this purchase's payment has been refunded, or is lost to a dispute; `details.refunds` names the \
         refunds that operators asked for"
    )]
    PurchaseRefunded {
        /// The currency of the payment.
        currency: Currency,
        /// The operators' refunds, without those that the provider refused; the earliest first.
        refunds: Vec<EntryId>,
    },
    /// The refund exceeds what is left of the payment.
    #[error("only {} minor units of {} of this payment can still be refunded; ask for as many, or leave `amount` out", .refundable.amount(), .refundable.currency().code())]
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
        "the hold has {} credits left, and {} were to be captured; capture at most {}, or omit `amount` to capture all",
        .available.get(), .required.get(), .available.get()
    )]
    MoreThanHeld {
        /// The requested credits.
        required: Credits,
        /// The credits that the hold has left.
        available: Credits,
    },
    /// The hold is closed.
    #[error("the hold is {} and moves no more credits; make a new one", .0.as_str())]
    HoldClosed(HoldStatus),
    /// The transaction has the maximum number of drawdowns.
    #[error(
        "credits were drawn from this transaction {DRAWS_MAX} times but for one, which is kept for all that is left; leave `amount` out"
    )]
    TooManyDraws,
    /// The charge is for a month that has ended.
    #[error("the month has ended; charge the next one")]
    MonthOver,
    /// There are not enough credits for this debit. The text is the seed's.
    #[error("Not enough credits to perform this operation")]
    InsufficientCredits {
        /// The requested credits.
        required: Credits,
        /// The credits that this debit could have used.
        available: Credits,
    },
}

impl Refusal {
    /// Whether more credits would make the request succeed.
    #[must_use]
    pub fn wants_credits(&self) -> bool {
        matches!(self, Self::InsufficientCredits { .. })
    }
}
