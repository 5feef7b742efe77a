//! The rules of a grant.

use chrono::{DateTime, Utc};

use crate::operation::consume::NewEntry;
use crate::{
    Account, Allowance, Amount, Attempt, Credits, Direction, Effect, EntryId, Extras, Guard, LOTS_ALIKE_MAX,
    LOTS_MAX, Lot, LotId, Move, Operation, Posting, Refusal, Service, Source,
};

/// A grant of credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Their source.
    pub source: Source,
    /// The number of credits.
    pub amount: Amount,
    /// They pay only for debits of this service.
    pub service: Option<Service>,
    /// The instant of expiry.
    pub expires_at: Option<DateTime<Utc>>,
    /// What the grant results from.
    pub origin: GrantOrigin,
}

/// What a grant results from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantOrigin {
    /// A purchase: `credit.purchase`.
    Purchase,
    /// An operator's grant: `credit.grant`.
    Operator,
    /// An operator's adjustment: `credit.adjustment`.
    Adjustment,
}

/// Decides a grant. It opens a lot of its own; with [`LOTS_ALIKE_MAX`] lots on the same terms, or [`LOTS_MAX`]
/// in all, it joins the youngest lot with its terms. Plain purchased credits first settle outstanding credits
/// (contract, rule 9).
///
/// # Errors
/// [`Refusal::NothingToHold`], [`Refusal::ExpiresInThePast`], [`Refusal::PurchasedNeverExpire`],
/// [`Refusal::SubscriptionTerms`], [`Refusal::UnlimitedPlan`], [`Refusal::TooManyLots`],
/// [`Refusal::BalanceLimit`], in this order.
pub fn grant(account: &Account, request: &Grant, attempt: &Attempt) -> Result<Posting, Refusal> {
    may_stand(account, request, attempt.now)?;
    let amount = Credits::from(request.amount);
    if !fits(account, amount) {
        return Err(Refusal::BalanceLimit);
    }
    let settled = if settles(request) { account.post_paid.outstanding.min(amount) } else { Credits::ZERO };
    let (mut moves, mut guards) =
        (vec![], vec![Guard::Revision(account.revision), Guard::FenceBelow(attempt.id)]);
    let mut effects: Vec<_> = account.empty_lots().map(Effect::Drop).collect();
    if settles(request) {
        // All outstanding credits, so that none are left beside credits that could have settled them.
        guards.push(Guard::Owing(account.post_paid.outstanding));
    }
    if !settled.is_zero() {
        moves.push(Move::into(LotId::PostPaid, Source::PostPaid, settled));
        effects.push(Effect::Repay(settled));
    }
    if let Some(rest) = amount.less(settled).filter(|rest| !rest.is_zero()) {
        let lot = match request.source {
            Source::Subscription => account.subscription_lot(),
            Source::Purchased | Source::Bonus | Source::PostPaid => {
                let id = place(account, request, attempt.id)?;
                if id != attempt.id {
                    // A concurrent debit that empties one of them makes room for a separate lot.
                    let status = account.lots.iter().filter(|(_, lot)| !lot.left.is_zero());
                    guards.extend(status.map(|(id, _)| crate::operation::place::exists(*id)));
                }
                LotId::Granted(id)
            }
        };
        moves.push(Move::into(lot, request.source, rest).on(lot_of(request).terms()));
        if let LotId::Subscription(_) = lot {
            let extras = account.extras();
            let left = extras.left.plus(rest).ok_or(Refusal::BalanceLimit)?;
            effects.push(Effect::Extras(Extras { left, ..extras }));
            guards.extend(account.extras_stand());
        }
        effects.push(match lot {
            LotId::Granted(id) if id == attempt.id => Effect::Open(id, Lot { left: rest, ..lot_of(request) }),
            LotId::Granted(_)
            | LotId::Subscription(_)
            | LotId::PostPaid
            | LotId::Unlimited(_)
            | LotId::Disputed(_) => Effect::Give(lot, rest),
        });
    }
    let operation = Operation::own(match request.origin {
        GrantOrigin::Purchase => "credit.purchase",
        GrantOrigin::Operator => "credit.grant",
        GrantOrigin::Adjustment => "credit.adjustment",
    });
    let entry = attempt.entry(account, NewEntry { operation, direction: Direction::Credit, amount, moves });
    Ok(Posting { entry, guards, effects })
}

fn may_stand(account: &Account, request: &Grant, now: DateTime<Utc>) -> Result<(), Refusal> {
    let Grant { source, service, expires_at, .. } = request;
    if *source == Source::PostPaid {
        return Err(Refusal::NothingToHold);
    }
    if expires_at.is_some_and(|end| end <= now) {
        return Err(Refusal::ExpiresInThePast);
    }
    match source {
        Source::Purchased if expires_at.is_some() && service.is_none() => Err(Refusal::PurchasedNeverExpire),
        Source::Subscription if expires_at.is_some() || service.is_some() => Err(Refusal::SubscriptionTerms),
        Source::Subscription if account.allowance == Allowance::Unlimited => Err(Refusal::UnlimitedPlan),
        Source::Subscription | Source::Purchased | Source::Bonus | Source::PostPaid => Ok(()),
    }
}

/// Whether the credits first settle outstanding credits: purchased credits without a service, whatever the
/// grant results from (decision 10).
fn settles(request: &Grant) -> bool {
    request.source == Source::Purchased && request.service.is_none()
}

/// Checks that the account has a lot for a grant.
///
/// # Errors
/// [`Refusal::TooManyLots`].
pub(crate) fn has_lot(account: &Account, request: &Grant) -> Result<(), Refusal> {
    place(account, request, account.floor().next()).map(|_| ())
}

/// The lot that receives the credits: a new one, or the youngest one with the same terms when there are enough.
fn place(account: &Account, request: &Grant, id: EntryId) -> Result<EntryId, Refusal> {
    let wanted = lot_of(request);
    let status = || account.lots.iter().filter(|(_, lot)| !lot.left.is_zero());
    let alike = || status().filter(|(_, lot)| lot.is_like(&wanted));
    let youngest = alike().map(|(id, _)| *id).next_back();
    let paid_for = request.source == Source::Purchased && request.service.is_none();
    match youngest {
        Some(youngest) if status().count() >= LOTS_MAX || alike().count() >= LOTS_ALIKE_MAX => Ok(youngest),
        None if status().count() >= LOTS_MAX && !paid_for => Err(Refusal::TooManyLots),
        Some(_) | None => Ok(id),
    }
}

fn lot_of(request: &Grant) -> Lot {
    Lot {
        source: request.source,
        left: request.amount.into(),
        service: request.service,
        expires_at: request.expires_at,
    }
}

/// Whether all credits together, spendable or not, stay within [`Credits::MAX`]. Held and disputed credits
/// count, so that they can always be returned.
pub(crate) fn fits(account: &Account, amount: Credits) -> bool {
    let lots = account.lots.values().map(|lot| lot.left);
    let aside = account.disputes.values().map(|dispute| dispute.aside);
    let others = [account.subscription.left, account.held];
    lots.chain(aside).chain(others).try_fold(amount, Credits::plus).is_some()
}
