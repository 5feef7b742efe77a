//! Tests of changes of plan.

use proptest::prelude::*;

use super::*;

/// The limited plans.
const COUNTED: [&str; 3] = ["free", "basic", "professional"];

/// The seed's plans.
fn plan(name: &str) -> ChangePlan {
    let allowance = match name {
        "free" => Allowance::Monthly(credits(100)),
        "basic" => Allowance::Monthly(credits(1_000)),
        "professional" => Allowance::Monthly(credits(5_000)),
        "enterprise" => Allowance::Unlimited,
        other => panic!("{other}"),
    };
    ChangePlan { plan: PlanId(name.to_owned()), allowance, cause: ChangePlanCause::Owner }
}

/// An account on a plan in January, with its first renewal.
fn on(name: &str) -> Account {
    let request = plan(name);
    let org = OrgId::new(at("2024-01-01T00:00:00Z"), 1);
    let account =
        Account::open(AccountId { org, mode: Mode::Live }, request.plan, request.allowance, at(NOW));
    let renewal = due(&account, at(NOW)).unwrap();
    account.apply(&renewal).unwrap()
}

fn spend(account: Account, amount: u64, number: u64) -> Account {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: credits(amount), service: None };
    let posting = consume(&account, &request, &attempt(number, at(NOW))).unwrap();
    account.apply(&posting).unwrap()
}

fn switch(account: Account, name: &str, number: u64) -> (Account, Posting) {
    let posting = change_plan(&account, &plan(name), &attempt(number, at(NOW))).unwrap();
    (account.apply(&posting).unwrap(), posting)
}

/// The contract's rule 4 in steps: each line is a change of plan or a debit, and the credits left after it.
#[test]
fn a_downgrade_and_an_upgrade_refill_nothing() {
    for (start, steps) in [
        (
            "basic",
            vec![("use 600", 400), ("free", 0), ("professional", 4_400), ("basic", 400), ("use 400", 0)],
        ),
        ("free", vec![("use 100", 0), ("basic", 900), ("free", 0), ("basic", 900)]),
        ("professional", vec![("basic", 1_000), ("use 1000", 0), ("free", 0), ("professional", 4_000)]),
        // Credits spent on an unlimited plan count as spent.
        (
            "enterprise",
            vec![("use 700", 0), ("basic", 300), ("enterprise", 0), ("use 250", 0), ("basic", 50)],
        ),
        ("enterprise", vec![("use 7000", 0), ("professional", 0), ("use 0", 0), ("free", 0)]),
    ] {
        let mut account = on(start);
        for (number, (step, left)) in (10..).zip(&steps) {
            account = match step.strip_prefix("use ") {
                Some(amount) => spend(account, amount.parse().unwrap(), number),
                None => switch(account, step, number).0,
            };
            assert_eq!(account.subscription.left.get(), *left, "{start} {steps:?} at {step}");
        }
    }
}

#[test]
fn a_change_of_plan_shows_its_moves() {
    for (from, used, to, expected) in [
        ("basic", 600, "free", "DEBIT 400: sub 400"),
        ("basic", 950, "free", "DEBIT 50: sub 50"),
        ("basic", 0, "free", "DEBIT 900: sub 900"),
        ("free", 40, "basic", "CREDIT 900: sub 900"),
        ("basic", 600, "enterprise", "DEBIT 400: sub 400"),
        ("enterprise", 600, "basic", "CREDIT 400: sub 400"),
        ("enterprise", 6_000, "basic", "CREDIT 0: "),
    ] {
        let account = spend(on(from), used, 10);
        let (after, posting) = switch(account.clone(), to, 11);
        let direction = serde_json::to_value(posting.entry.direction).unwrap();
        let summary =
            format!("{} {}: {}", direction.as_str().unwrap(), posting.entry.amount.get(), moves(&posting));
        assert_eq!(summary, expected, "{from} {used} {to}");
        let switch = posting.entry.switch.clone().unwrap();
        assert_eq!((switch.from.0.as_str(), switch.to.0.as_str()), (from, to));
        let moving = posting.effects.iter().filter(|it| matches!(it, Effect::Give(..) | Effect::Withdraw(_)));
        assert_eq!(moving.count(), posting.entry.moves.len(), "{from} {used} {to}");
        // Used credits stay used, and purchased and bonus credits stay.
        assert_eq!((after.used, &after.lots), (account.used, &account.lots));
        assert_eq!((after.plan, after.since), (PlanId(to.to_owned()), after.revision));
    }
}

#[test]
fn the_next_month_grants_the_new_allowance() {
    let (account, _) = switch(spend(on("basic"), 600, 10), "professional", 11);
    let renewal = due(&account, at("2024-02-01T00:00:00Z")).unwrap();
    assert_eq!(moves(&renewal), "sub 4400, sub 5000");
    let (account, _) = switch(account, "enterprise", 12);
    let account = account.clone().apply(&due(&account, at("2024-02-01T00:00:00Z")).unwrap()).unwrap();
    assert_eq!((account.subscription, account.used), (SubscriptionCredits::default(), Credits::ZERO));
}

#[test]
fn the_same_plan_and_a_frozen_account_are_refused() {
    let refused = |account: &Account, request: &ChangePlan| {
        change_plan(account, request, &attempt(20, at(NOW))).unwrap_err().to_string()
    };
    let mut account = on("basic");
    assert_eq!(refused(&account, &plan("basic")), Refusal::SamePlan.to_string());
    account.frozen = true;
    assert_eq!(refused(&account, &plan("free")), Refusal::Frozen.to_string());
}

/// An operator may also change what the plan brings; the owner takes the plan as it is sold.
#[test]
fn only_an_operator_changes_the_allowance_of_a_plan_that_is_there() {
    let account = on("basic");
    for (cause, allowance, may) in [
        (ChangePlanCause::Owner, 1_000, false),
        (ChangePlanCause::Owner, 1_500, false),
        (ChangePlanCause::Operator, 1_000, false),
        (ChangePlanCause::Operator, 1_500, true),
    ] {
        let request =
            ChangePlan { allowance: Allowance::Monthly(credits(allowance)), cause, ..plan("basic") };
        let decided = change_plan(&account, &request, &attempt(20, at(NOW)));
        let expected = if may { None } else { Some(Refusal::SamePlan) };
        assert_eq!(decided.err(), expected, "{cause:?} {allowance}");
    }
}

/// Credits that an operator adds and takes were not spent, and a change of plan does not count them as spent.
#[test]
fn an_adjustment_does_not_count_as_spent() {
    let adjusted = |account: Account, direction, amount, number| {
        let amount = Amount::try_from(amount).unwrap();
        let request = Adjustment { direction, amount, source: Some(Source::Subscription) };
        account.clone().apply(&adjust(&account, &request, &attempt(number, at(NOW))).unwrap()).unwrap()
    };
    let account = spend(on("basic"), 600, 10);
    let account = adjusted(account, Direction::Credit, 100, 11);
    let account = adjusted(account, Direction::Debit, 100, 12);
    assert_eq!((account.subscription.left, account.subscription.spent()), (credits(400), credits(600)));
    assert_eq!(switch(account, "professional", 13).0.subscription.left, credits(4_400));
}

/// A test ledger copies the live ledger's changes in order, however late it receives them, and keeps its own
/// changes in between.
#[test]
fn a_test_ledger_copies_changes_in_order() {
    let follow = |account: &Account, name: &str, since: u64, number: u64| {
        let request = ChangePlan { cause: ChangePlanCause::Follows(since), ..plan(name) };
        change_plan(account, &request, &attempt(number, at(NOW)))
    };
    let mut account = on("basic");
    (account.frozen, account.id.mode) = (true, Mode::Test);
    let account = account.clone().apply(&follow(&account, "free", 20, 30).unwrap()).unwrap();
    assert_eq!(account.since, 20, "also while it is frozen");
    assert_eq!(follow(&account, "free", 20, 31), Err(Refusal::SamePlan));
    assert_eq!(follow(&account, "professional", 19, 32), Err(Refusal::SamePlan));
    let mut account = account.clone().apply(&follow(&account, "professional", 21, 33).unwrap()).unwrap();
    account.frozen = false;
    // Its own changes are not undone by a change that it has already copied.
    let (account, _) = switch(account, "basic", 40);
    assert_eq!((account.since, follow(&account, "professional", 21, 41)), (21, Err(Refusal::SamePlan)));
    assert!(follow(&account, "enterprise", 22, 42).is_ok());
}

/// A concurrent debit is never lost: the change is decided again, or is still valid.
#[test]
fn a_concurrent_debit_is_counted() {
    for (from, to) in
        [("basic", "free"), ("basic", "professional"), ("basic", "enterprise"), ("enterprise", "basic")]
    {
        for (used, rival) in [(0, 50), (850, 150), (0, 1_000), (600, 400)] {
            let seen = spend(on(from), used, 10);
            let decided = change_plan(&seen, &plan(to), &attempt(12, at(NOW))).unwrap();
            let now = spend(seen, rival, 11);
            let after = now.clone().apply(&decided).unwrap_or_else(|| switch(now, to, 13).0);
            let left = match plan(to).allowance {
                Allowance::Monthly(allowance) => allowance.get().saturating_sub(used + rival),
                Allowance::Unlimited => 0,
            };
            assert_eq!(after.subscription.left.get(), left, "{from} {to} {used} {rival}");
            assert_eq!(after.subscription.spent().get(), used + rival, "{from} {to} {used} {rival}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// However often the plan changes, a month never grants more subscription credits than its largest
    /// allowance: spent on limited plans, and remaining.
    #[test]
    fn no_sequence_of_changes_yields_more_than_the_largest_allowance(
        start in 0usize..3,
        steps in proptest::collection::vec((0usize..3, 0u64..3_000), 1..40),
    ) {
        let mut account = on(COUNTED[start]);
        let mut largest = account.allowance.monthly().get();
        let mut spent = 0;
        for (number, (choice, amount)) in (10u64..).step_by(2).zip(steps) {
            if let Ok(posting) = change_plan(&account, &plan(COUNTED[choice]), &attempt(number, at(NOW))) {
                account = account.apply(&posting).unwrap();
                largest = largest.max(account.allowance.monthly().get());
            }
            let amount = amount.min(account.subscription.left.get());
            account = spend(account, amount, number + 1);
            spent += amount;
            prop_assert!(spent + account.subscription.left.get() <= largest);
            prop_assert_eq!(account.subscription.spent().get(), spent);
        }
    }
}

/// Credits that an operator added stay through changes of plan, even if more was spent than the allowance.
#[test]
fn credits_an_operator_added_stay_beyond_the_plan() {
    let (account, _) = switch(spend(on("basic"), 900, 10), "free", 11);
    assert_eq!((account.subscription.left.get(), account.beyond_plan().get()), (0, 800));
    let amount = Amount::try_from(50).unwrap();
    let request = Adjustment { direction: Direction::Credit, amount, source: Some(Source::Subscription) };
    let mut account =
        account.clone().apply(&adjust(&account, &request, &attempt(12, at(NOW))).unwrap()).unwrap();
    for (number, (plan, left, over)) in
        (13..).zip([("basic", 150, 0), ("free", 50, 800), ("basic", 150, 0), ("free", 50, 800)])
    {
        account = switch(account, plan, number).0;
        assert_eq!((account.subscription.left.get(), account.beyond_plan().get()), (left, over), "{plan}");
    }
}

/// The subscription credits left after 669 were spent on the plan `basic`, a change to `free`, and these steps.
fn left_after(steps: &[&str]) -> u64 {
    let mut account = switch(spend(on("basic"), 669, 10), "free", 11).0;
    let mut number = 11;
    for step in steps {
        number += 1;
        let (attempt, (what, amount)) = (attempt(number, at(NOW)), step.split_once(' ').unwrap());
        let amount = || amount.parse::<u64>().unwrap();
        let change = |direction| Adjustment {
            direction,
            amount: Amount::try_from(amount()).unwrap(),
            source: Some(Source::Subscription),
        };
        let back = |why| Restore {
            shares: super::restore::shares(step.split_once(' ').unwrap().1),
            why,
            month: account.period,
        };
        let posting = match what {
            "add" => adjust(&account, &change(Direction::Credit), &attempt),
            "take" => adjust(&account, &change(Direction::Debit), &attempt),
            "use" => {
                account = spend(account, amount(), number);
                continue;
            }
            "hold" => {
                let operation = Operation::try_from("x".to_owned()).unwrap();
                let request = Consume { operation, amount: credits(amount()), service: None };
                hold(&account, &request, &attempt)
            }
            "release" => restore(&account, &back(DrawdownReason::Release), &attempt),
            "refund" => restore(&account, &back(super::restore::refund()), &attempt),
            _ => {
                account = switch(account, what, number).0;
                continue;
            }
        };
        account = account.clone().apply(&posting.unwrap()).unwrap();
    }
    account.subscription.left.get()
}

/// Credits that operators add are spent last and returned first, and no change of plan refills them.
#[test]
fn credits_operators_add_are_spent_once() {
    for (steps, left) in [
        (vec!["add 15"], 15),
        (vec!["add 15", "hold 15", "release sub 15"], 15),
        (vec!["add 15", "use 15", "refund sub 15"], 15),
        (vec!["add 15", "use 15", "refund sub 20"], 15),
        (vec!["add 15", "use 15", "professional x", "free x"], 0),
        (vec!["add 15", "use 15", "professional x", "free x", "refund sub 15"], 15),
        (vec!["add 15", "use 5", "enterprise x", "use 400", "free x"], 10),
        (vec!["add 15", "take 5", "basic x", "free x"], 10),
        (vec!["add 15", "take 10", "basic x"], 336),
        // Credits spent and taken beyond a smaller plan are made up for first.
        (vec!["basic x", "take 300", "free x", "refund sub 600"], 0),
        (vec!["add 15", "use 15", "enterprise x", "refund sub 15", "free x"], 15),
        (vec!["add 15", "hold 15", "enterprise x", "release sub 15", "free x"], 15),
        // Credits taken beyond the smaller plan are taken from the added ones, and from the larger plan again.
        (vec!["basic x", "take 300", "add 315", "free x"], 15),
        (vec!["basic x", "take 300", "add 315", "free x", "basic x"], 346),
        (vec!["basic x", "take 300", "add 15", "free x"], 0),
        (vec!["basic x", "take 300", "add 15", "free x", "add 9", "basic x"], 55),
        (vec!["basic x", "take 300", "add 15", "free x", "basic x"], 46),
        (vec!["basic x", "add 15", "use 340", "refund sub 340"], 346),
        (vec!["basic x", "add 15", "use 340", "free x", "refund sub 340"], 15),
    ] {
        assert_eq!(left_after(&steps), left, "{steps:?}");
    }
}
