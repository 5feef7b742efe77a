//! Laws that hold for every sequence of operations.

use proptest::prelude::*;

use super::*;

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Consume {
        amount: u64,
        service: Option<Service>,
    },
    Grant(Grant),
    Adjust(Adjustment),
    Limit(u64),
    /// A change to a plan with this allowance.
    Plan(u64),
    /// A dispute of the oldest purchased lot, lost or won.
    Dispute {
        lost: bool,
    },
    Pass {
        hours: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let service = || proptest::option::of(proptest::sample::select(Service::ALL.to_vec()));
    let consume = (0u64..30, service()).prop_map(|(amount, service)| Step::Consume { amount, service });
    let source = proptest::sample::select(vec![Source::Subscription, Source::Purchased, Source::Bonus]);
    let grant = (source, 1u64..40, service(), proptest::option::of(1i64..60)).prop_map(
        |(source, amount, service, days)| {
            Step::Grant(Grant {
                source,
                amount: Amount::try_from(amount).unwrap(),
                service,
                expires_at: days.map(|days| at(NOW) + chrono::Duration::days(days)),
                origin: GrantOrigin::Operator,
            })
        },
    );
    let pass = (1i64..400).prop_map(|hours| Step::Pass { hours });
    let direction = proptest::sample::select(vec![Direction::Debit, Direction::Credit]);
    let source = proptest::option::of(proptest::sample::select(vec![Source::PostPaid, Source::Purchased]));
    let adjust = (direction, 1u64..30, source).prop_map(|(direction, amount, source)| {
        Step::Adjust(Adjustment { direction, amount: Amount::try_from(amount).unwrap(), source })
    });
    let limit = (0u64..50).prop_map(Step::Limit);
    let dispute = proptest::bool::ANY.prop_map(|lost| Step::Dispute { lost });
    let plan = (0u64..60).prop_map(Step::Plan);
    let steps =
        prop_oneof![8 => consume, 4 => grant, 2 => adjust, 1 => limit, 1 => plan, 1 => dispute, 2 => pass];
    proptest::collection::vec(steps, 1..80)
}

/// All credits of an account, spendable or not, minus the outstanding ones.
fn held(account: &Account) -> i128 {
    let lots = account.lots.values().map(|lot| lot.left.get()).sum::<u64>() + account.subscription.left.get();
    i128::from(lots) - i128::from(account.post_paid.outstanding.get())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// For any requests in any order: no credit is created or lost, each entry's moves are exactly the changes,
    /// numbers have no gaps, and no debit is refused that could be paid.
    #[test]
    fn credits_are_conserved(steps in steps()) {
        let mut account = account("sub 10");
        let mut now = at(NOW);
        for (number, step) in (1..).zip(steps) {
            while let Some(posting) = due(&account, now) {
                account = book(account, &posting)?;
            }
            let attempt = attempt(1000 + number, now);
            match step {
                Step::Pass { hours } => now += chrono::Duration::hours(hours),
                Step::Grant(request) => if let Ok(posting) = grant(&account, &request, &attempt) {
                    account = book(account, &posting)?;
                },
                Step::Adjust(request) => match adjust(&account, &request, &attempt) {
                    Ok(posting) => account = book(account, &posting)?,
                    Err(Refusal::InsufficientCredits { available, .. }) => {
                        prop_assert!(available < request.amount.into());
                    }
                    Err(_) => (),
                },
                Step::Limit(limit) => account = book(account.clone(), &set_limit(&account, credits(limit), &attempt))?,
                Step::Plan(allowance) => {
                    let plan = PlanId(format!("plan-{allowance}"));
                    let allowance = Allowance::Monthly(credits(allowance));
                    let request = ChangePlan { plan, allowance, cause: ChangePlanCause::Owner };
                    if let Ok(posting) = change_plan(&account, &request, &attempt) {
                        account = book(account, &posting)?;
                    }
                }
                Step::Dispute { lost } => {
                    let lot = account.lots.iter().find(|(_, lot)| lot.source == Source::Purchased && lot.service.is_none());
                    let lot = lot.map(|(id, lot)| (*id, lot.left));
                    let bought = PurchasedCredits { credits: lot.map_or(credits(5), |(_, left)| left), lot, terms: Terms::default() };
                    let opened = dispute_opened(&account, &bought, &attempt).unwrap();
                    account = book(account, &opened)?;
                    let attempt = super::attempt(5000 + number, now);
                    let closed = if lost {
                        dispute_lost(&account, &bought, &opened.entry, &attempt)
                    } else {
                        dispute_won(&account, &bought, &opened.entry, &attempt)
                    };
                    account = book(account, &closed.unwrap())?;
                }
                Step::Consume { amount, service } => {
                    let operation = Operation::try_from("x".to_owned()).unwrap();
                    let request = Consume { operation, amount: credits(amount), service };
                    match consume(&account, &request, &attempt) {
                        Ok(posting) => {
                            in_order(&account, &posting, service, now)?;
                            account = book(account, &posting)?;
                        }
                        Err(Refusal::InsufficientCredits { available, .. }) => {
                            prop_assert!(available.get() < amount);
                            let room = account.post_paid.limit.less(account.post_paid.outstanding).unwrap_or_default();
                            prop_assert_eq!(available.get(), payable(&account, service, now) + room.get());
                        }
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                }
            }
            prop_assert!(account.lots.values().filter(|lot| !lot.left.is_zero()).count() <= LOTS_MAX + 1);
        }
    }
}

fn payable(account: &Account, service: Option<Service>, now: DateTime<Utc>) -> u64 {
    let lots = account.lots.values().filter(|lot| lot.pays_for(service, now)).map(|lot| lot.left.get());
    lots.sum::<u64>() + account.subscription.left.get()
}

/// Applies a posting, and checks that its moves are exactly the changes.
fn book(account: Account, posting: &Posting) -> Result<Account, TestCaseError> {
    let before = held(&account);
    let (sequence, used) = (account.sequence, account.used.get());
    let after =
        account.apply(posting).ok_or_else(|| TestCaseError::fail("a decided posting does not apply"))?;
    let moved = |direction| {
        posting
            .entry
            .moves
            .iter()
            .filter(move |part| part.direction == direction)
            .filter(|part| !matches!(part.lot, LotId::Disputed(_)))
            .map(|part| part.amount.get())
            .sum::<u64>()
    };
    prop_assert_eq!(
        before + i128::from(moved(Direction::Credit)),
        held(&after) + i128::from(moved(Direction::Debit))
    );
    prop_assert_eq!(after.sequence, sequence + 1);
    if posting.entry.direction == Direction::Debit {
        prop_assert_eq!(moved(Direction::Debit), posting.entry.amount.get());
        // The ledger's own debits do not count as usage.
        let own = posting.entry.operation.as_str().starts_with("credit.");
        let more = if own { 0 } else { posting.entry.amount.get() };
        prop_assert_eq!(after.used.get(), used + more);
    }
    Ok(after)
}

/// No lot before a paying one is skipped: the contract's order, restated pair by pair.
fn in_order(
    account: &Account,
    posting: &Posting,
    service: Option<Service>,
    now: DateTime<Utc>,
) -> Result<(), TestCaseError> {
    let taken = |lot: LotId| {
        posting.entry.moves.iter().find(|part| part.lot == lot).map_or(0, |part| part.amount.get())
    };
    let pays = taken(account.subscription_lot());
    let others: u64 = account.lots.keys().map(|id| taken(LotId::Granted(*id))).sum();
    prop_assert!(others == 0 || pays == account.subscription.left.get());
    for (first, one) in &account.lots {
        for (second, other) in &account.lots {
            let rank = |id: &EntryId, lot: &Lot| {
                (
                    lot.source == Source::Bonus,
                    lot.service != service || service.is_none() && lot.service.is_some(),
                    lot.expires_at.map_or(i64::MAX, |end| end.timestamp()),
                    *id,
                )
            };
            if one.pays_for(service, now)
                && rank(first, one) < rank(second, other)
                && taken(LotId::Granted(*second)) > 0
            {
                prop_assert_eq!(taken(LotId::Granted(*first)), one.left.get());
            }
        }
    }
    Ok(())
}
