use crate::{
    Credits, Currency, DRAWS_MAX, EntryId, HoldStatus, LOTS_MAX, Money, Operation, PlanId, Reference,
    SpendingLimit,
};

/// Why the rules said no. A refusal is an answer, not a fault: no credit was moved.
///
/// Variants stand in the order in which they are checked, so that a request with two faults is
/// always refused for the same one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The price list has no such operation.
    #[error("unknown operation `{}`; the price list has no such name; GET /api/v3/pricing lists those that it has", .0.as_str())]
    UnknownOperation(Reference),
    /// An operation that is charged each time, where one is asked for that is charged by the month.
    #[error("`{}` is charged each time it is done; monitors take an operation that is charged by the month", .0.as_str())]
    NotMonthly(Operation),
    /// The catalogue has no such plan.
    #[error("unknown plan `{}`; the catalogue has no such name; GET /api/v3/plans lists those that it has", .0.0)]
    UnknownPlan(PlanId),
    /// No such package is on sale.
    #[error("no package `{}` is on sale; GET /api/v3/credits/packages lists those that are", .0.as_str())]
    UnknownPackage(Reference),
    /// The package is sold in another currency than the organisation's.
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
    /// Nothing is on sale in the organisation's currency, so no amount has a price.
    #[error(
        "no package is on sale in the currency of this organisation, so credits have no price; ask the operator to offer one"
    )]
    NothingOnSale,
    /// The charge would bring the day past what the organisation may spend.
    #[error(
        "costs {} minor units of {}, and {} of the {} that this organisation may spend a day are spent; try again tomorrow (UTC), or ask the operator to raise the limit",
        .price.amount(), .price.currency().code(), .spent, .limit.per_day().amount()
    )]
    SpendingLimit {
        /// The price.
        price: Money,
        /// The limit.
        limit: SpendingLimit,
        /// Minor units that this day's purchases cost.
        spent: u64,
    },
    /// The price is more than one payment may be.
    #[error("costs more than one payment may be ({} minor units); buy less at once", Money::MAX)]
    PriceLimit,
    /// An operator has stopped the organisation.
    #[error("the organisation is frozen: nothing is spent and nothing bought until an operator unfreezes it")]
    Frozen,
    /// The plan is that one already.
    #[error("the organisation has that plan already")]
    SamePlan,
    /// A plan that costs more than the present one, asked for by the organisation itself.
    #[error(
        "the plan costs more than the present one, or brings more than the allowance that this \
         organisation has now, and the organisation may not move to such a plan itself; ask the operator to change the plan, or to allow it (`selfServicePlans`)"
    )]
    PlanChangeNotAllowed,
    /// Credits on account are no lot.
    #[error("must be subscription, purchased or bonus; what may be spent on account is set by …/post-paid")]
    NothingToHold,
    /// An adjustment that settles more than is owed.
    #[error("is more than the {} credits outstanding", .outstanding.get())]
    NotOwed {
        /// What is owed.
        outstanding: Credits,
    },
    /// A grant that would be gone before it arrives.
    #[error("must lie in the future")]
    ExpiresInThePast,
    /// Purchased credits that would expire (contract: they never do, but for one service's).
    #[error(
        "purchased credits expire only when they are set aside for a service; leave it out or name a service"
    )]
    PurchasedNeverExpire,
    /// Subscription credits on terms of their own.
    #[error(
        "subscription credits end with their month and pay for every service; leave it out or grant bonus credits"
    )]
    SubscriptionTerms,
    /// Subscription credits where there is no limit to raise.
    #[error("the plan is unlimited: it has no subscription credits to add to; grant bonus credits")]
    UnlimitedPlan,
    /// The account has as many lots as it may keep apart, and none on the same terms.
    #[error(
        "the organisation has {LOTS_MAX} lots on other terms; grant on the terms of one of them, or wait until one is used up"
    )]
    TooManyLots,
    /// The balance or the month's usage would pass [`Credits::MAX`].
    #[error("the balance would pass {} credits; ask for fewer, or spend some first", Credits::MAX.get())]
    BalanceLimit,
    /// An unlimited plan has spent what the safety bound of a month allows.
    #[error(
        "this month's debits would pass the safety limit of {} credits; ask an operator to raise it",
        .cap.get()
    )]
    PlanLimit {
        /// How many credits a month may spend.
        cap: Credits,
    },
    /// More disputes are open than an account can keep apart.
    #[error("the organisation has as many open disputes as it can keep apart; close one of them first")]
    TooManyDisputes,
    /// The reason is one for which nothing is refunded (seed: "Credit Refunds").
    #[error("{0}")]
    ReasonNotEligible(&'static str),
    /// The transaction is none that is refunded, or not for that reason.
    #[error("{0}")]
    NotEligible(&'static str),
    /// More is asked back than was debited and not refunded yet.
    #[error("only {} credits of this debit can still be refunded; ask for as many, or leave `amount` out", .refundable.get())]
    MoreThanDebited {
        /// What can still be refunded.
        refundable: Credits,
    },
    /// All of the debit was refunded before.
    #[error("all of this debit has been refunded; `refunds` of the transaction names when")]
    AlreadyRefunded,
    /// Nothing is left of a purchase's payment to refund.
    #[error(
        "all of this purchase's payment has been refunded, or is lost to a dispute; `details.refunds` names the \
         refunds that operators asked for"
    )]
    PurchaseRefunded {
        /// What the payment was made in.
        currency: Currency,
        /// The refunds that operators asked for, but those that were refused; the earliest first.
        refunds: Vec<EntryId>,
    },
    /// More money is to be refunded than is left of a payment.
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
    /// More is to be captured than the hold has left.
    #[error(
        "the hold has {} credits left, and {} were to be captured; capture at most {}, or omit `amount` to capture all",
        .available.get(), .required.get(), .available.get()
    )]
    MoreThanHeld {
        /// What was asked.
        required: Credits,
        /// What the hold has left.
        available: Credits,
    },
    /// The hold has ended.
    #[error("the hold is {} and moves no more credits; make a new one", .0.as_str())]
    HoldClosed(HoldStatus),
    /// Credits were drawn from one transaction as often as they may be.
    #[error(
        "credits were drawn from this transaction {DRAWS_MAX} times but for one, which is kept for all that is left; leave `amount` out"
    )]
    TooManyDraws,
    /// A charge for a month that is over by now.
    #[error("the month has ended; charge the next one")]
    MonthOver,
    /// The credits that may pay for this debit don't cover it. The words are the seed's.
    #[error("Not enough credits to perform this operation")]
    InsufficientCredits {
        /// What was asked.
        required: Credits,
        /// What this very debit could have used.
        available: Credits,
    },
}

impl Refusal {
    /// Whether more credits would mend it.
    #[must_use]
    pub fn wants_credits(&self) -> bool {
        matches!(self, Self::InsufficientCredits { .. })
    }
}
