//! Budgets: periods, limits, which spending they count, and what their counters say.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{
    Amount, BadBudget, Budget, BudgetAction, BudgetBook, BudgetChange, BudgetCharge, BudgetCounter,
    BudgetFilter, BudgetId, BudgetLevel, BudgetPeriod, BudgetSubject, CounterStep, Credits, Details, EntryId,
    OPEN_MAX, OpenCharge, Operation, PriceCategory, RaiseEnd, Reference, Service, Spending, SubjectBudgets,
    TeamId,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn credits(count: u64) -> Credits {
    Credits::try_from(count).unwrap()
}

fn name(text: &str) -> Reference {
    Reference::try_from(text.to_owned()).unwrap()
}

fn budget(number: u128, subject: BudgetSubject, limit: u64) -> Budget {
    Budget {
        id: BudgetId::new(at("2024-01-15T10:30:00Z"), number),
        subject,
        only: None,
        limit: credits(limit),
        period: BudgetPeriod::Day,
        action: BudgetAction::Block,
        alert_at: vec![],
        raises: vec![],
        created_at: at("2024-01-15T10:30:00Z"),
    }
}

fn spending(amount: u64) -> Spending {
    Spending {
        amount: credits(amount),
        operation: Operation::try_from("aml.basic".to_owned()).ok(),
        category: Some(PriceCategory::Aml),
        member: Some(name("jo")),
        key: None,
        customer: Some(name("Caf\u{e9}")),
        service: Some(Service::Api),
        item: None,
    }
}

/// period; instant => start, end
#[test]
fn periods_are_days_weeks_and_months_in_utc() {
    for (period, now, start, end) in [
        (BudgetPeriod::Day, "2024-02-29T23:59:59Z", "2024-02-29T00:00:00Z", Some("2024-03-01T00:00:00Z")),
        (BudgetPeriod::Day, "2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z", Some("2024-03-02T00:00:00Z")),
        (BudgetPeriod::Week, "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", Some("2024-01-08T00:00:00Z")),
        (BudgetPeriod::Week, "2023-12-31T23:59:59Z", "2023-12-25T00:00:00Z", Some("2024-01-01T00:00:00Z")),
        (BudgetPeriod::Month, "2024-12-31T23:59:59Z", "2024-12-01T00:00:00Z", Some("2025-01-01T00:00:00Z")),
        (BudgetPeriod::Once, "2024-12-31T23:59:59Z", "1970-01-01T00:00:00Z", None),
    ] {
        let time = period.at(at(now));
        assert_eq!((time.start, time.end), (at(start), end.map(at)), "{period:?} {now}");
    }
}

#[test]
fn a_raise_ends_by_itself() {
    let now = at("2024-01-15T10:30:00Z");
    let budget = budget(1, BudgetSubject::ORGANISATION, 100);
    for (until, ends, next_day, for_good) in [
        (RaiseEnd::Day, Some("2024-01-16T10:30:00Z"), 105, 100),
        (RaiseEnd::Reset, Some("2024-01-16T00:00:00Z"), 100, 100),
        (RaiseEnd::Never, None, 105, 105),
    ] {
        let end = until.of(BudgetPeriod::Day, now);
        assert_eq!(end, ends.map(at));
        let raised = budget.clone().raised(credits(5), end, now).unwrap();
        assert_eq!(raised.limit_at(now), credits(105));
        assert_eq!(raised.limit_at(at("2024-01-16T00:00:00Z")), credits(next_day), "{until:?}");
        assert_eq!(raised.limit_at(at("2024-01-16T10:30:00Z")), credits(for_good), "{until:?}");
    }
    // What lasts for good has no next period.
    assert_eq!(RaiseEnd::Reset.of(BudgetPeriod::Once, now), None);
}

#[test]
fn raises_are_bounded_and_ended_ones_make_room() {
    let now = at("2024-01-15T10:30:00Z");
    let end = at("2024-01-16T00:00:00Z");
    let mut budget = budget(1, BudgetSubject::ORGANISATION, 100);
    for _ in 0..10 {
        budget = budget.raised(credits(1), Some(end), now).unwrap();
    }
    assert_eq!(budget.limit_at(now), credits(110));
    assert_eq!(budget.clone().raised(credits(1), Some(end), now), Err(BadBudget::Raises));
    assert_eq!(budget.clone().raised(credits(1), None, now).unwrap().limit, credits(101));
    let next = budget.raised(credits(1), Some(at("2024-01-17T00:00:00Z")), end).unwrap();
    assert_eq!((next.raises.len(), next.limit_at(end)), (1, credits(101)));
    // No raise makes a limit that a change could not set.
    let most = Budget { limit: credits(Amount::MAX - 1), raises: vec![], ..next };
    for until in [None, Some(end)] {
        assert_eq!(most.clone().raised(credits(1), until, now).unwrap().limit_at(now), credits(Amount::MAX));
        assert_eq!(most.clone().raised(credits(2), until, now), Err(BadBudget::Limit));
    }
}

#[test]
fn thresholds_are_in_order_and_within_one_to_a_hundred() {
    for (asked, expected) in [
        (vec![100, 50, 50, 1], Ok(vec![1, 50, 100])),
        (vec![], Ok(vec![])),
        (vec![0], Err(BadBudget::Thresholds)),
        (vec![101], Err(BadBudget::Thresholds)),
        ((1..=11).collect(), Err(BadBudget::Thresholds)),
    ] {
        assert_eq!(Budget::thresholds(asked.clone()), expected, "{asked:?}");
    }
    let change = BudgetChange { alert_at: Some(vec![90, 10]), ..BudgetChange::default() };
    let changed = budget(1, BudgetSubject::ORGANISATION, 5).changed(change).unwrap();
    assert_eq!((changed.alert_at, changed.limit), (vec![10, 90], credits(5)));
    for (limit, used, expected) in [
        (100, 49, None),
        (100, 50, Some(50)),
        (100, 99, Some(80)),
        (100, 100, Some(100)),
        (100, 900, Some(100)),
        (3, 1, None),
        (3, 2, Some(50)),
        (0, 0, Some(100)),
    ] {
        assert_eq!(
            Budget::reached(&[50, 80, 100], credits(limit), credits(used)),
            expected,
            "{used} of {limit}"
        );
    }
}

#[test]
fn a_filter_counts_a_part_of_the_spending() {
    let only = |filter| Budget { only: Some(filter), ..budget(1, BudgetSubject::ORGANISATION, 5) };
    let operation = |text: &str| Operation::try_from(text.to_owned()).unwrap();
    for (filter, expected) in [
        (BudgetFilter::Operation(operation("aml.basic")), true),
        (BudgetFilter::Operation(operation("aml.pep")), false),
        (BudgetFilter::Category(PriceCategory::Aml), true),
        (BudgetFilter::Category(PriceCategory::Other), false),
        (BudgetFilter::Customer(name("Cafe\u{301}")), true),
        (BudgetFilter::Customer(name("Cafe")), false),
        (BudgetFilter::Service(Service::Api), true),
        (BudgetFilter::Service(Service::Biometric), false),
    ] {
        assert_eq!(only(filter.clone()).counts(&spending(1)), expected, "{filter:?}");
    }
    let nothing = Spending { operation: None, category: None, customer: None, service: None, ..spending(1) };
    for filter in
        [BudgetFilter::Operation(operation("aml.basic")), BudgetFilter::Category(PriceCategory::Other)]
    {
        assert!(!only(filter.clone()).counts(&nothing), "{filter:?}");
    }
}

#[test]
fn a_request_is_added_up_for_each_budget_in_the_order_of_levels() {
    let team = TeamId::new(at("2024-01-15T10:30:00Z"), 9);
    let team_subject = BudgetSubject::part(BudgetLevel::Team, &name(&team.to_string()));
    let member = BudgetSubject::part(BudgetLevel::Member, &name("jo"));
    let customer = BudgetSubject::part(BudgetLevel::Customer, &name("Cafe\u{301}"));
    let mut book = BudgetBook::default();
    let all = budget(4, BudgetSubject::ORGANISATION, 40);
    let of_team = budget(3, team_subject.clone(), 30);
    let own = budget(2, member.clone(), 20);
    let alert = Budget { action: BudgetAction::Alert, ..budget(1, customer.clone(), 10) };
    let of = |budgets: &[&Budget]| SubjectBudgets {
        budgets: budgets.iter().map(|budget| (*budget).clone()).collect(),
        team: None,
    };
    book.add(BudgetSubject::ORGANISATION, of(&[&all]));
    book.add(member, SubjectBudgets { team: Some(team), ..of(&[&own]) });
    book.add(team_subject, of(&[&of_team]));
    book.add(customer, of(&[&alert]));
    let now = at("2024-01-15T10:30:00Z");
    let kim = Spending { member: Some(name("kim")), customer: None, item: Some(2), ..spending(7) };
    let spendings =
        [Spending { item: Some(0), ..spending(2) }, kim, Spending { item: Some(1), ..spending(0) }];
    let charges = book.charges(&spendings, now);
    let sums: Vec<_> =
        charges.charges.iter().map(|charge| (charge.budget.id, charge.amount.get(), charge.limit)).collect();
    assert_eq!(
        sums,
        [
            (all.id, 9, Some(credits(40))),
            (of_team.id, 2, Some(credits(30))),
            (own.id, 2, Some(credits(20))),
            (alert.id, 2, None)
        ]
    );
    let items = vec![item(Details::default()); 3];
    let batch = Details { items, ..Details::default() };
    let noted = charges.noted(&batch);
    let ids: Vec<_> = noted.items.iter().map(|item| item.details.budgets.len()).collect();
    assert_eq!((noted.budgets.len(), ids, noted.all_budgets().len()), (0, vec![4, 0, 1], 4));
}

fn item(details: Details) -> crate::BatchItem {
    crate::BatchItem { operation: name("aml.basic"), amount: None, details }
}

fn charge(amount: u64, limit: Option<u64>, day: &str) -> BudgetCharge {
    let now = at(day);
    BudgetCharge {
        budget: budget(1, BudgetSubject::ORGANISATION, 10),
        amount: credits(amount),
        time: BudgetPeriod::Day.at(now),
        counted_at: now,
        limit: limit.map(credits),
    }
}

/// used, of which open; fence; limit; amount => step
#[test]
fn a_counter_says_what_to_do_with_a_charge() {
    let today = "2024-01-15T10:30:00Z";
    let id = |number: u128| EntryId::new(at(today), number);
    let open = |amount: u64| OpenCharge { amount: credits(amount), wall: at(today) };
    let counter = |used: u64, open_amount: u64| BudgetCounter {
        period: Some(at("2024-01-15T00:00:00Z")),
        used: credits(used),
        open: (0 < open_amount).then(|| (id(5), open(open_amount))).into_iter().collect(),
        fence: id(3),
    };
    for (used, open, limit, amount, expected) in [
        (7, 0, Some(10), 3, CounterStep::Again),
        (7, 0, Some(10), 4, CounterStep::Full),
        (9, 2, Some(10), 2, CounterStep::Waits),
        (9, 2, Some(10), 4, CounterStep::Full),
        (9, 2, Some(10), 1, CounterStep::Again),
        (900, 0, None, 900, CounterStep::Again),
        (Credits::MAX.get(), 0, None, 1, CounterStep::Full),
    ] {
        let step = counter(used, open).step(&charge(amount, limit, today), id(7));
        assert_eq!(step, expected, "{used} {open} {limit:?} {amount}");
    }
    let fits = charge(1, Some(10), today);
    assert_eq!(counter(5, 5).step(&fits, id(5)), CounterStep::Charged);
    assert_eq!(counter(5, 0).step(&fits, id(3)), CounterStep::Fenced);
    assert_eq!(counter(5, 0).step(&fits, id(4)), CounterStep::Again);
    let crowd: BTreeMap<_, _> = (0..OPEN_MAX).map(|place| (id(100 + place as u128), open(0))).collect();
    let crowded = BudgetCounter { open: crowd, ..counter(5, 0) };
    assert_eq!(crowded.step(&fits, id(7)), CounterStep::Crowded);
    // Another period.
    let tomorrow = charge(10, Some(10), "2024-01-16T00:00:00Z");
    assert_eq!(counter(10, 0).step(&tomorrow, id(7)), CounterStep::Again);
    assert_eq!(counter(0, 0).step(&charge(11, Some(10), "2024-01-16T00:00:00Z"), id(7)), CounterStep::Full);
    let yesterday = charge(1, Some(10), "2024-01-14T23:59:59Z");
    assert_eq!(counter(0, 0).step(&yesterday, id(7)), CounterStep::Later(at("2024-01-15T00:00:00Z")));
    assert_eq!(counter(9, 0).used_in(at("2024-01-16T00:00:00Z")), Credits::ZERO);
    assert_eq!(counter(9, 0).used_in(at("2024-01-15T00:00:00Z")), credits(9));
}

/// limit, required, resets => what the caller is told to do
#[test]
fn a_refusal_says_whether_waiting_helps() {
    for (limit, required, resets, expected) in [
        (10, 4, true, "wait until 2024-01-16T00:00:00Z, or ask for more"),
        (3, 4, true, "no period has so much; ask for more"),
        (10, 4, false, "it does not reset; ask for more"),
    ] {
        let refused = crate::BudgetExceeded {
            budget: BudgetId::new(at("2024-01-15T10:30:00Z"), 1),
            level: BudgetLevel::Member,
            id: Some(name("jo")),
            only: None,
            period: "day",
            usage: crate::BudgetUse {
                limit: credits(limit),
                used: credits(8),
                resets_at: resets.then(|| at("2024-01-16T00:00:00Z")),
            },
            required: credits(required),
        };
        let text = refused.to_string();
        assert!(
            text.starts_with(&format!(
                "a budget of the member `jo` allows {limit} credits a day, 8 are used"
            )),
            "{text}"
        );
        let aml = BudgetFilter::Category(PriceCategory::Aml).words();
        let text = crate::BudgetExceeded { only: Some(aml), period: "once", ..refused.clone() }.to_string();
        assert!(text.starts_with("a budget of the member `jo` for the category `aml` allows"), "{text}");
        assert!(text.contains(" credits in all, 8 are used"), "{text}");
        assert!(text.contains(expected), "{text}");
        assert_eq!(refused.passes_later(), expected.starts_with("wait"), "{text}");
    }
}
