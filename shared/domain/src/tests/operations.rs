//! The list of all operations, and of account states on which the tests run them.

use super::*;
use crate::operation::consume::NewEntry;

/// An operation with its rule.
pub(super) struct NamedOperation {
    pub(super) name: String,
    pub(super) decide: Decide,
}

type Decide = Box<dyn Fn(&Account, &Attempt) -> Result<Posting, Refusal>>;

fn named(
    name: impl Into<String>,
    decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + 'static,
) -> NamedOperation {
    NamedOperation { name: name.into(), decide: Box::new(decide) }
}

fn request(amount: u64, service: Option<Service>) -> Consume {
    Consume { operation: Operation::try_from("x".to_owned()).unwrap(), amount: credits(amount), service }
}

/// The list of all operations. A rule that is missing fails `every_rule_is_in_the_list`.
pub(super) fn operations() -> Vec<NamedOperation> {
    [spending(), returning(), returning_on_terms(), arriving(), changing_terms(), of_payments()]
        .into_iter()
        .flatten()
        .collect()
}

fn spending() -> Vec<NamedOperation> {
    let mut all = vec![];
    for amount in [0, 1, 4, 9] {
        for service in [None, Some(Service::Api)] {
            all.push(named(format!("consume {amount} {service:?}"), move |account, attempt| {
                consume(account, &request(amount, service), attempt)
            }));
        }
        all.push(named(format!("hold {amount}"), move |account, attempt| {
            hold(account, &request(amount, None), attempt)
        }));
    }
    for atomic in [true, false] {
        all.push(named(format!("batch, atomic {atomic}"), move |account, attempt| {
            let items = [Some(request(2, None)), None, Some(request(5, Some(Service::Api)))];
            let items = items.into_iter().filter(|item| !atomic || item.is_some()).collect();
            batch(account, &Batch { items, atomic }, attempt)
        }));
    }
    all
}

fn returning() -> Vec<NamedOperation> {
    let mut all = vec![];
    let shares = "sub 2; old 2; lot2 2 purchased; lot3 2; lot7 2 purchased; owed 2; unlimited 2; unlimited-old 2; sub 1, lot2 1 purchased";
    for line in shares.split("; ") {
        all.push(named(format!("capture {line}"), move |account, attempt| {
            capture(account, &restore::shares(line), attempt)
        }));
        for why in [restore::refund(), DrawdownReason::Release, DrawdownReason::Expiry] {
            all.push(named(format!("give back {line} {why:?}"), move |account, attempt| {
                let request =
                    Restore { shares: restore::shares(line), why: why.clone(), month: account.period };
                super::super::restore(account, &request, attempt)
            }));
        }
    }
    all
}

fn returning_on_terms() -> Vec<NamedOperation> {
    let mut all = vec![];
    // Removed lots, with terms for which there may be no lot left.
    let until = |text: &str| Some(at(&format!("{text}T00:00:00Z")));
    for (line, terms) in [
        ("old 2, lot2 2", Terms::default()),
        ("lot700 2", Terms { service: None, expires_at: until("2024-01-21") }),
        ("lot700 2", Terms { service: None, expires_at: until("2024-06-01") }),
        ("lot700 2", Terms { service: Some(Service::Api), expires_at: None }),
        (
            "lot700 2 purchased, lot2 1",
            Terms { service: Some(Service::Biometric), expires_at: until("2024-06-01") },
        ),
        ("pool 2 purchased", Terms::default()),
    ] {
        for why in [restore::refund(), DrawdownReason::Release] {
            all.push(named(format!("give back {line} on {terms:?} {why:?}"), move |account, attempt| {
                let mut shares = restore::shares(line);
                let gone = LotId::Granted(id(700));
                shares.iter_mut().filter(|share| share.lot == gone).for_each(|share| share.terms = terms);
                let request = Restore { shares, why: why.clone(), month: account.period };
                super::super::restore(account, &request, attempt)
            }));
        }
    }
    all
}

fn arriving() -> Vec<NamedOperation> {
    let mut all = vec![];
    for line in ["sub 3", "purchased 3", "bonus 3", "bonus 3 api until 2024-01-20", "purchased 3 api"] {
        for origin in [GrantOrigin::Purchase, GrantOrigin::Operator, GrantOrigin::Adjustment] {
            all.push(named(format!("grant {line} {origin:?}"), move |account, attempt| {
                grant(account, &Grant { origin, ..grant::request(line) }, attempt)
            }));
        }
    }
    for direction in [Direction::Debit, Direction::Credit] {
        for source in [None, Some(Source::Subscription), Some(Source::Purchased), Some(Source::PostPaid)] {
            all.push(named(format!("adjust {direction:?} {source:?}"), move |account, attempt| {
                let request = Adjustment { direction, amount: Amount::try_from(2).unwrap(), source };
                adjust(account, &request, attempt)
            }));
        }
    }
    all
}

fn changing_terms() -> Vec<NamedOperation> {
    let mut all = vec![];
    for limit in [0, 8] {
        all.push(named(format!("limit {limit}"), move |account, attempt| {
            Ok(set_limit(account, credits(limit), attempt))
        }));
    }
    all.push(named("cap", |account, attempt| Ok(set_cap(account, credits(PLAN_CAP_MAX), attempt))));
    for frozen in [true, false] {
        all.push(named(format!("freeze {frozen}"), move |account, attempt| {
            Ok(set_frozen(account, frozen, attempt))
        }));
    }
    let plans = [
        ("free", Allowance::Monthly(credits(3))),
        ("basic", Allowance::Monthly(credits(10))),
        ("enterprise", Allowance::Unlimited),
    ];
    for (plan, allowance) in plans {
        for cause in [ChangePlanCause::Owner, ChangePlanCause::Operator, ChangePlanCause::Follows(9)] {
            all.push(named(format!("plan {plan} {cause:?}"), move |account, attempt| {
                change_plan(account, &ChangePlan { plan: PlanId(plan.to_owned()), allowance, cause }, attempt)
            }));
        }
    }
    all
}

fn of_payments() -> Vec<NamedOperation> {
    let mut all = vec![];
    for part in [4, 9] {
        let bought = PurchasedCredits {
            credits: credits(part),
            lot: Some((id(2), credits(9))),
            terms: Terms::default(),
        };
        all.push(named(format!("dispute {part}"), move |account, attempt| {
            dispute_opened(account, &bought, attempt)
        }));
        all.push(named(format!("dispute lost {part}"), move |account, attempt| {
            dispute_lost(account, &bought, &opened(account), attempt)
        }));
        all.push(named(format!("payment refunded {part}"), move |account, attempt| {
            payment_refunded(account, &bought, attempt)
        }));
    }
    for lot in [Some((id(2), credits(9))), None] {
        let bought = PurchasedCredits { credits: credits(4), lot, terms: Terms::default() };
        all.push(named(format!("payment restored {lot:?}"), move |account, attempt| {
            payment_restored(account, &bought, attempt)
        }));
    }
    let bought = PurchasedCredits { credits: credits(9), lot: None, terms: Terms::default() };
    all.push(named("dispute won", move |account, attempt| {
        dispute_won(account, &bought, &opened(account), attempt)
    }));
    for now in ["2024-01-25T00:00:00Z", "2024-02-01T00:00:00Z"] {
        all.push(named(format!("due at {now}"), move |account, _| {
            due(account, at(now)).ok_or(Refusal::MonthOver)
        }));
    }
    all.push(named("fence", |account, attempt| Ok(fence(account, id(850), attempt.id, attempt.now))));
    all
}

/// The entry that opened the account's dispute, or an unknown one.
fn opened(account: &Account) -> Entry {
    let known = account.disputes.keys().next().copied().unwrap_or(id(77));
    let attempt = Attempt { id: known, ..attempt(77, at(NOW)) };
    attempt.entry(account, NewEntry::without_moves("credit.dispute", Direction::Debit))
}

/// Accounts in states that matter to the rules.
pub(super) fn states() -> Vec<(String, Account)> {
    let lines = [
        "",
        "sub 5",
        "sub 5, purchased 9, bonus 2",
        "sub 5, purchased 9, bonus 2 api until 2024-01-20, limit 6",
        "sub 0, purchased 2, bonus 2 until 2024-01-20, limit 6",
        "sub 0, bonus 1, bonus 3 api, limit 6, owed 4",
        "sub 5, owed 4",
        "sub 5, purchased 9 api, owed 4, limit 6",
        "sub 5, purchased 9, frozen",
        "unlimited, purchased 9",
        "unlimited, limit 6, owed 4",
        // A batch uses nearly all of the post-paid limit, and no lot shows a concurrent debit.
        "limit 8",
        "sub 5, purchased 1, purchased 1, purchased 1, purchased 1, bonus 1",
    ];
    let mut states: Vec<_> = lines
        .into_iter()
        .map(|line| {
            let mut account = account(line);
            (account.used, account.held) = (credits(30), credits(20));
            account.subscription.granted = account.subscription.left.plus(credits(8)).unwrap();
            brings_what_it_had(&mut account);
            (line.to_owned(), account)
        })
        .collect();
    let plain = states.iter().find(|(known, _)| known == "sub 5").unwrap().1.clone();
    states.extend(with_disputes(&plain));
    states.extend(with_extras(&plain));
    states.extend(with_many_lots());
    states.extend(at_the_limits());
    states
}

fn with_disputes(plain: &Account) -> Vec<(String, Account)> {
    let disputed = |line: &str| {
        let mut account = plain.clone();
        account.lots = super::account(line).lots;
        account.post_paid = super::account(line).post_paid;
        let bought =
            PurchasedCredits { credits: credits(9), lot: Some((id(2), credits(9))), terms: Terms::default() };
        let opened = dispute_opened(&account, &bought, &attempt(80, at(NOW))).unwrap();
        account.apply(&opened).unwrap()
    };
    let spent = disputed("sub 0, purchased 2, limit 6");
    let mut pooled = spent.clone();
    pooled.lots = super::account("sub 0, purchased 3").lots;
    pooled.lots.insert(
        EntryId::FIRST,
        Lot { source: Source::Purchased, left: credits(5), service: None, expires_at: None },
    );
    let states = [
        ("disputed", disputed("sub 5, purchased 9")),
        ("disputed and spent", spent),
        ("with a pool", pooled),
    ];
    states.into_iter().map(|(name, account)| (name.to_owned(), account)).collect()
}

/// Months in which operators added and took credits, and one in which more was spent than the allowance.
fn with_extras(plain: &Account) -> Vec<(String, Account)> {
    let mut states = vec![];
    let mut over = plain.clone();
    over.subscription = SubscriptionCredits { granted: credits(16), ..SubscriptionCredits::default() };
    states.push(("spent beyond the plan".to_owned(), over));
    let mut extra = plain.clone();
    for (name, spent, left, added, brings) in [
        ("more than was added", 8, 5, 3, 9),
        ("what was added", 8, 2, 4, 5),
        ("beyond the plan", 15, 2, 2, 10),
    ] {
        let extras = Extras { left: credits(added), spent: credits(2), taken: credits(1) };
        extra.allowance = Allowance::Monthly(credits(brings));
        extra.subscription =
            SubscriptionCredits { left: credits(left), granted: credits(left + spent), extras };
        states.push((format!("{name} is left"), extra.clone()));
    }
    extra.allowance = Allowance::Unlimited;
    extra.subscription.left = Credits::ZERO;
    states.push(("unlimited, with what was added".to_owned(), extra));
    states
}

fn with_many_lots() -> Vec<(String, Account)> {
    let full = |line: &str| {
        let mut account = super::account(line);
        (account.used, account.held) = (credits(30), credits(20));
        account.subscription.granted = account.subscription.left.plus(credits(8)).unwrap();
        brings_what_it_had(&mut account);
        account
    };
    let promotions: Vec<_> = (1..=16).map(|day| format!("bonus 1 until 2024-02-{day:02}")).collect();
    let mut states = vec![("sixteen lots".to_owned(), full(&format!("sub 5, {}", promotions.join(", "))))];
    let kinds = ["smartcheck", "smartaccess", "smartenroll", "api", "biometric"];
    let eleven: Vec<_> =
        (0..11).map(|n| format!("bonus 1 {} until 2024-03-{:02}", kinds[n % 5], n + 1)).collect();
    for first in ["bonus 5 until 2024-04-05", "bonus 5", "purchased 5"] {
        let account = full(&format!("sub 0, {first}, {}", eleven.join(", ")));
        states.push((format!("twelve lots, {first}"), account));
    }
    states
}

/// Sets an allowance of the remaining and spent credits.
fn brings_what_it_had(account: &mut Account) {
    if account.allowance != Allowance::Unlimited {
        account.allowance = Allowance::Monthly(account.subscription.granted);
    }
}

/// Accounts whose counters are close to the limits of their ranges.
pub(super) fn at_the_limits() -> Vec<(String, Account)> {
    let near = |less: u64| Credits::MAX.less(credits(less)).unwrap();
    let mut used = account("sub 5, purchased 9");
    used.used = near(5);
    let mut held = account("sub 5, purchased 9");
    held.held = near(20);
    let mut owed = account("purchased 1, limit 10");
    (owed.post_paid.outstanding, owed.post_paid.limit) = (near(6), Credits::MAX);
    let mut spent = account("unlimited");
    spent.subscription.granted = credits(PLAN_CAP - 5);
    let mut lots = account("sub 5, purchased 9");
    lots.lots.get_mut(&id(2)).unwrap().left = near(8);
    let mut fences = account("unlimited");
    fences.cap = Some(credits(PLAN_CAP_MAX));
    fences.subscription.granted = credits(PLAN_CAP_MAX - 3);
    // The batch as a whole fits, but not together with a concurrent debit.
    let mut batched = account("unlimited");
    batched.subscription.granted = credits(PLAN_CAP - 9);
    for account in [&mut used, &mut held, &mut lots] {
        account.subscription.granted = credits(13);
        brings_what_it_had(account);
    }
    let mut disputed = account("sub 5, purchased 9");
    disputed.subscription.granted = credits(13);
    brings_what_it_had(&mut disputed);
    let bought =
        PurchasedCredits { credits: credits(9), lot: Some((id(2), credits(9))), terms: Terms::default() };
    let opened = dispute_opened(&disputed, &bought, &attempt(80, at(NOW))).unwrap();
    let mut disputed = disputed.apply(&opened).unwrap();
    let full = Lot { source: Source::Purchased, left: near(9 + 13 + 2), service: None, expires_at: None };
    disputed.lots.insert(id(5), full);
    let names = ["disputed", "used", "held", "owed", "granted", "a lot", "raised", "batched"];
    let accounts = [disputed, used, held, owed, spent, lots, fences, batched];
    names.into_iter().zip(accounts).map(|(name, account)| (format!("{name} at its limit"), account)).collect()
}
