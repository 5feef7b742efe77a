//! The rules of holds, captures and releases.

use chrono::{DateTime, Duration, SubsecRound, Utc};

use crate::ledger::receipt::{CAPTURE, HOLD};
use crate::operation::consume::NewEntry;
use crate::{
    Account, Attempt, Consume, Credits, Direction, DrawOrder, DrawdownKind, DrawdownReason, DrawdownShares,
    Effect, Guard, HoldStatus, Operation, Posting, Refusal, Remainder, Share, consume,
};

/// The default duration of a hold in seconds: an hour.
pub const HOLD_SECONDS: u32 = 3_600;

/// The maximum duration of a hold in seconds: 31 days.
pub const HOLD_SECONDS_MAX: u32 = 31 * 86_400;

impl Operation {
    /// The operation of a hold that names no operation of the price list.
    #[must_use]
    pub fn of_hold() -> Self {
        Self::own(HOLD)
    }
}

/// The end of a hold that begins at `now`, rounded up to a whole second.
#[must_use]
pub fn hold_ends(now: DateTime<Utc>, seconds: u32) -> DateTime<Utc> {
    let wait = Duration::try_seconds(seconds.into()).unwrap_or_default();
    let end = now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let whole = end.trunc_subsecs(0);
    let next = Duration::try_seconds(1).and_then(|second| whole.checked_add_signed(second));
    if whole < end { next.unwrap_or(whole) } else { whole }
}

/// Decides a hold: it sets aside the credits that a debit would take. They are no longer available, and do not
/// count as used.
///
/// # Errors
/// As [`consume`].
pub fn hold(account: &Account, request: &Consume, attempt: &Attempt) -> Result<Posting, Refusal> {
    let mut posting = consume(account, request, attempt)?;
    account.held.plus(request.amount).ok_or(Refusal::BalanceLimit)?;
    for effect in &mut posting.effects {
        if let Effect::Use(amount) = *effect {
            *effect = Effect::Hold(amount);
        }
    }
    posting.entry.operation = Operation::of_hold();
    Ok(posting)
}

/// Decides a capture: held credits are spent. No lot changes, and usage increases.
///
/// # Errors
/// [`Refusal::Frozen`]; [`Refusal::BalanceLimit`] when the month's usage would leave its range, or fewer
/// credits are held.
pub fn capture(account: &Account, shares: &[Share], attempt: &Attempt) -> Result<Posting, Refusal> {
    crate::operation::consume::may_move(account)?;
    let amount = crate::ledger::share::sum(shares);
    account.used.plus(amount).ok_or(Refusal::BalanceLimit)?;
    account.held.less(amount).ok_or(Refusal::BalanceLimit)?;
    let entry = attempt.entry(account, NewEntry::without_moves(CAPTURE, Direction::Debit));
    // The capture counts as this month's usage, and must not be written in the next month or on a frozen account.
    let mut guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(attempt.id)];
    let mut effects = vec![];
    if !amount.is_zero() {
        guards.push(Guard::Held(amount));
        effects.extend([Effect::Unhold(amount), Effect::Use(amount)]);
    }
    Ok(Posting { entry, guards, effects })
}

impl Remainder {
    /// The status of the hold at `now`. A hold past its end is expired even before the expiry is written.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> HoldStatus {
        match self.closed_by() {
            Some(DrawdownKind::Capture) => HoldStatus::Captured,
            Some(DrawdownKind::Release) => HoldStatus::Released,
            Some(DrawdownKind::Expiry | DrawdownKind::Refund(_)) => HoldStatus::Expired,
            None if self.ends.is_some_and(|end| end <= now) => HoldStatus::Expired,
            None => HoldStatus::Held,
        }
    }

    /// The captured credits of a hold.
    #[must_use]
    pub fn captured(&self) -> Credits {
        let made = self.made.iter().map(|made| (Some(made.cause), made.amount));
        let all = made.chain(self.open.iter().map(|open| (open.cause(), open.amount())));
        let captured = all.filter(|(cause, _)| *cause == Some(DrawdownKind::Capture));
        captured.fold(Credits::ZERO, |sum, (_, amount)| sum.plus(amount).unwrap_or(Credits::MAX))
    }

    /// The credits that a capture of `amount` takes. `None` captures everything left, which closes the hold.
    ///
    /// # Errors
    /// [`Refusal::HoldClosed`]; [`Refusal::MoreThanHeld`].
    pub fn to_capture(&self, amount: Option<Credits>, now: DateTime<Utc>) -> Result<DrawdownShares, Refusal> {
        self.must_be_open(now)?;
        let left = self.left();
        let amount = amount.unwrap_or(left);
        let shares = self.next(amount, DrawOrder::First);
        let shares = shares.ok_or(Refusal::MoreThanHeld { required: amount, available: left })?;
        Ok(DrawdownShares { shares, closes: amount == left })
    }

    /// The credits that a release or an expiry returns.
    ///
    /// # Errors
    /// [`Refusal::HoldClosed`].
    pub fn to_release(&self, why: &DrawdownReason, now: DateTime<Utc>) -> Result<DrawdownShares, Refusal> {
        match why {
            DrawdownReason::Expiry => {
                self.closed_by().map_or(Ok(()), |_| Err(Refusal::HoldClosed(self.status(now))))
            }
            DrawdownReason::Release | DrawdownReason::Capture | DrawdownReason::Refund { .. } => {
                self.must_be_open(now)
            }
        }?;
        let shares = self.next(self.left(), DrawOrder::First).unwrap_or_default();
        Ok(DrawdownShares { shares, closes: true })
    }

    fn must_be_open(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        let status = self.status(now);
        if status == HoldStatus::Held { Ok(()) } else { Err(Refusal::HoldClosed(status)) }
    }
}
