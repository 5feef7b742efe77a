//! Compares the store with the pure model on random histories, on every available DynamoDB.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, Adjustment, Allowance, Amount, Attempt, Batch, ChangePlan, ChangePlanCause, ClaimKey, Consume,
    Credits, Details, Direction, DrawdownReason, Entry, EntryId, Grant, GrantOrigin, IdempotencyKey, LotId,
    Operation, PlanId, Posting, PurchasedCredits, Receipt, RefundReason, Refusal, Restore, RowShards,
    Service, Share, Source, Terms, adjust, batch, capture, change_plan, consume, dispute_lost,
    dispute_opened, dispute_won, due, grant, hold, payment_refunded, restore, set_frozen, set_limit,
};
use store::{Settled, Unsettled};
use tests::{Dice, TestLedger, backends, keyed, moment, settle};

use super::lots::{lots_of, stored_lots};
use super::usage::moved_by_rollups;

/// A random request that moves credits or changes terms.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Consume(Consume),
    Grant(Grant),
    Adjust(Adjustment),
    /// A limit of credits on account.
    Limit(u64),
    Freeze(bool),
    /// A dispute of the oldest purchased lot.
    Dispute,
    /// The end of the oldest dispute, won or lost; and a refund of a part of the payment.
    Close(bool),
    Refunded(u64),
    /// A change of plan.
    Plan(ChangePlan),
    /// A hold, and a capture of some of its credits.
    Hold(Consume),
    Capture(u64),
    /// Some credits return, with the place that they came from and the reason.
    Back(u64, u64, DrawdownReason),
    /// A batch of some items, of one, two, three, … credits.
    Batch(u64, bool),
}

impl Request {
    /// Like [`Request::roll`], with effects of payments and of an unlimited plan.
    fn roll_any(dice: &mut Dice, now: DateTime<Utc>) -> Self {
        match dice.roll(20) {
            0 => Self::Close(dice.roll(2) == 0),
            1 => Self::Refunded(dice.roll(9) + 1),
            2 => Self::Plan(ChangePlan {
                plan: PlanId("enterprise".into()),
                allowance: Allowance::Unlimited,
                cause: ChangePlanCause::Owner,
            }),
            _ => Self::roll(dice, now),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one list of requests")]
    pub(crate) fn roll(dice: &mut Dice, now: DateTime<Utc>) -> Self {
        let service = [None, None, Some(Service::Smartcheck), Some(Service::Api)]
            [usize::try_from(dice.roll(4)).unwrap()];
        match dice.roll(28) {
            20 | 21 => {
                let amount = Credits::try_from(dice.roll(12)).unwrap();
                let operation = Operation::try_from("x".to_owned()).unwrap();
                return Self::Hold(Consume { operation, amount, service });
            }
            22 | 23 => return Self::Capture(dice.roll(8)),
            24 => return Self::Back(dice.roll(4), dice.roll(9) + 1, DrawdownReason::Release),
            25 => {
                let why =
                    DrawdownReason::Refund { reason: RefundReason::TechnicalFailure, note: None, twin: None };
                return Self::Back(dice.roll(4), dice.roll(9) + 1, why);
            }
            26 | 27 => return Self::Batch(dice.roll(6) + 1, dice.roll(2) == 0),
            0 => return Self::Limit(dice.roll(60)),
            1 => return Self::Freeze(true),
            2 | 3 => return Self::Freeze(false),
            4 => return Self::Dispute,
            7 => {
                let (name, allowance) =
                    [("free", 10), ("basic", 40), ("professional", 90), ("enterprise", 0)]
                        [usize::try_from(dice.roll(4)).unwrap()];
                let allowance = match allowance {
                    0 => Allowance::Unlimited,
                    credits => Allowance::Monthly(Credits::try_from(credits).unwrap()),
                };
                return Self::Plan(ChangePlan {
                    plan: PlanId(name.into()),
                    allowance,
                    cause: ChangePlanCause::Owner,
                });
            }
            5 | 6 => {
                let source = [None, Some(Source::PostPaid), Some(Source::Purchased)];
                return Self::Adjust(Adjustment {
                    direction: if dice.roll(2) == 0 { Direction::Debit } else { Direction::Credit },
                    amount: Amount::try_from(dice.roll(20) + 1).unwrap(),
                    source: source[usize::try_from(dice.roll(3)).unwrap()],
                });
            }
            _ => (),
        }
        if dice.roll(4) > 0 {
            let amount = Credits::try_from(dice.roll(30)).unwrap();
            return Self::Consume(Consume {
                operation: Operation::try_from("x".to_owned()).unwrap(),
                amount,
                service,
            });
        }
        let source =
            [Source::Subscription, Source::Purchased, Source::Bonus][usize::try_from(dice.roll(3)).unwrap()];
        let days = i64::try_from(dice.roll(40)).unwrap();
        Self::Grant(Grant {
            source,
            amount: Amount::try_from(dice.roll(50) + 1).unwrap(),
            service: service.filter(|_| source != Source::Subscription),
            expires_at: (source == Source::Bonus && days > 10).then(|| now + Duration::days(days)),
            origin: GrantOrigin::Operator,
        })
    }

    pub(crate) fn decide(&self, account: &Account, attempt: &Attempt) -> Result<Posting, Refusal> {
        match self {
            Self::Consume(request) => consume(account, request, attempt),
            Self::Grant(request) => grant(account, request, attempt),
            Self::Adjust(request) => adjust(account, request, attempt),
            Self::Limit(limit) => Ok(set_limit(account, Credits::try_from(*limit).unwrap(), attempt)),
            Self::Freeze(frozen) => Ok(set_frozen(account, *frozen, attempt)),
            Self::Plan(request) => change_plan(account, request, attempt),
            Self::Hold(request) => hold(account, request, attempt),
            Self::Capture(amount) => capture(account, &[share(account, 0, *amount)], attempt),
            Self::Back(place, amount, why) => {
                let shares = vec![share(account, *place, *amount)];
                let month = account.period;
                restore(account, &Restore { shares, why: why.clone(), month }, attempt)
            }
            Self::Batch(items, atomic) => {
                let item = |amount| {
                    let operation = Operation::try_from("x".to_owned()).unwrap();
                    let amount = Credits::try_from(amount).unwrap();
                    Some(Consume {
                        operation,
                        amount,
                        service: Some(Service::Api).filter(|_| amount.get() == 2),
                    })
                };
                batch(account, &Batch { items: (1..=*items).map(item).collect(), atomic: *atomic }, attempt)
            }
            Self::Close(won) => {
                let opened = opened(account, attempt);
                let bought = PurchasedCredits {
                    credits: Credits::try_from(9).unwrap(),
                    lot: None,
                    terms: Terms::default(),
                };
                if *won {
                    dispute_won(account, &bought, &opened, attempt)
                } else {
                    dispute_lost(account, &bought, &opened, attempt)
                }
            }
            Self::Refunded(amount) => {
                let lot = account.lots.iter().find(|(_, lot)| lot.is_plain_purchase());
                let lot = lot.map(|(id, lot)| (*id, lot.left));
                let bought = PurchasedCredits {
                    credits: Credits::try_from(*amount).unwrap(),
                    lot,
                    terms: Terms::default(),
                };
                payment_refunded(account, &bought, attempt)
            }
            Self::Dispute => {
                let lot = account.lots.iter().find(|(_, lot)| lot.is_plain_purchase());
                let lot = lot.map(|(id, _)| (*id, Credits::try_from(7).unwrap()));
                let bought =
                    PurchasedCredits { credits: Credits::try_from(9).unwrap(), lot, terms: Terms::default() };
                dispute_opened(account, &bought, attempt)
            }
        }
    }
}

/// The entry that opened the oldest dispute, or one that the account does not have.
fn opened(account: &Account, attempt: &Attempt) -> Entry {
    let id = account.disputes.keys().next().copied().unwrap_or(EntryId::FIRST);
    let frozen = set_frozen(account, false, attempt);
    Entry { id, ..frozen.entry }
}

/// Credits of this month, of the month before, of the first lot, of a lot that is gone, or owed.
fn share(account: &Account, place: u64, amount: u64) -> Share {
    let (lot, source) = match place {
        0 => (account.subscription_lot(), Source::Subscription),
        1 if account.allowance == Allowance::Unlimited => {
            (LotId::Unlimited(account.period), Source::Subscription)
        }
        1 => (LotId::Subscription(account.period.previous()), Source::Subscription),
        2 => {
            let first = account.lots.iter().next().map(|(id, lot)| (LotId::Granted(*id), lot.source));
            first.unwrap_or((LotId::Granted(EntryId::FIRST.next()), Source::Bonus))
        }
        _ => (LotId::PostPaid, Source::PostPaid),
    };
    Share { lot, source, amount: Credits::try_from(amount).unwrap(), terms: Terms::default() }
}

/// Random histories of debits, grants, passing time and repeated requests. After each step the table equals what
/// `Account::apply` says; at the end its rows are the receipts, in order, and add up to the account. Because of
/// this, other tests of rules need no table.
#[tokio::test]
async fn the_table_agrees_with_the_model() {
    for backend in backends() {
        for seed in 0..12 {
            let mut fixture = TestLedger::on(backend.as_deref()).await;
            history(&mut fixture, seed, false).await;
        }
    }
}

/// The same histories with an older version of the account in each request's cache: no answer, entry or account
/// differs.
#[tokio::test]
async fn a_stale_cache_changes_nothing() {
    for seed in 0..24 {
        let mut fixture = TestLedger::new().await;
        history(&mut fixture, seed, true).await;
    }
}

#[expect(clippy::too_many_lines, reason = "one history from beginning to end")]
async fn history(fixture: &mut TestLedger, seed: u64, stale: bool) {
    let (mut dice, mut versions, mut hints) = (Dice(seed), Vec::new(), Dice(seed + 1_000));
    let mut now: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    // Half of the accounts are spread, each over another number of shards.
    let shards = RowShards::try_from([1, 2, 1, 4, 1, 16][usize::try_from(seed % 6).unwrap()]).unwrap();
    let id = fixture.open_spread(40, now, shards).await;
    let mut model = fixture.ledger.account(id).await.unwrap().unwrap();
    let mut answer: HashMap<String, (String, Vec<Receipt>, DateTime<Utc>)> = HashMap::new();
    let mut steps = 0;
    for step in 0..60 {
        if dice.roll(8) == 0 {
            now += Duration::hours(i64::try_from(dice.roll(600)).unwrap());
        }
        let key = format!("k{}", if dice.roll(5) == 0 { dice.roll(60) } else { step });
        let request = Request::roll_any(&mut dice, now);
        // A key is forgotten after 31 days.
        answer.retain(|_, (_, _, until)| now < *until);
        let body = match answer.get(&key) {
            Some((body, _, _)) if dice.roll(2) == 0 => body.clone(),
            Some(_) | None => format!("{request:?}"),
        };
        if let Some(earlier) = versions.len().checked_sub(1).filter(|_| stale) {
            let version = usize::try_from(hints.roll(u64::try_from(earlier).unwrap() + 1)).unwrap();
            fixture.ledger.cache_account(&versions[version]);
        }
        let settled = settle(&fixture.ledger, id, keyed(&key, &body), moment(now), |account, attempt| {
            request.decide(account, attempt)
        })
        .await;
        let known = answer.get(&key);
        while let Some(renewal) = due(&model, now).filter(|_| known.is_none()) {
            model = model.apply(&renewal).unwrap();
        }
        match (settled, known) {
            (Ok(settled), Some((first, receipts, _))) => {
                assert!(settled.replayed && body == *first, "seed {seed}, step {step}");
                assert_eq!(&lines(settled), receipts, "seed {seed}, step {step}");
            }
            (Err(Unsettled::KeyReused), Some((first, _, _))) => {
                assert_ne!(&body, first, "seed {seed}, step {step}")
            }
            // The store looks up a key only if the request could be paid, so a refusal never hides an
            // earlier success.
            (Ok(settled), None) => {
                let claim = ClaimKey::Caller(IdempotencyKey::try_from(key.clone()).unwrap());
                let attempt = Attempt { id: settled.receipt.entry.id, now, claim };
                let posting = request.decide(&model, &attempt).unwrap();
                model = model.apply(&posting).unwrap();
                assert!(!settled.replayed);
                let lines = lines(settled);
                assert_eq!(lines, model.receipts(Details::default()));
                assert_eq!(lines.last().unwrap().sequence, model.sequence);
                assert_eq!(lines.last().unwrap().balance, model.balance(posting.entry.at));
                answer.insert(key, (body, lines, now + Duration::days(31)));
            }
            (Err(Unsettled::Refused(refusal)), None) => {
                let claim = ClaimKey::Caller(IdempotencyKey::try_from(key).unwrap());
                let attempt = Attempt { id: model.floor().next(), now, claim };
                assert_eq!(request.decide(&model, &attempt), Err(refusal), "seed {seed}, step {step}");
            }
            (other, known) => panic!("seed {seed}, step {step}: {other:?} for {known:?}"),
        }
        let seen = fixture.ledger.account(id).await.unwrap().unwrap();
        if caught_up(&seen, &model, now) {
            model = seen.clone();
        }
        assert_eq!(seen, model, "seed {seed}, step {step}");
        versions.push(seen);
        steps += 1;
    }
    assert_eq!(steps, 60);
    adds_up(fixture, &model, now, seed).await;
}

fn lines(settled: Settled) -> Vec<Receipt> {
    std::iter::once(settled.receipt).chain(settled.more).collect()
}

/// A repeated request may book what time has done before it answers.
fn caught_up(seen: &Account, model: &Account, now: DateTime<Utc>) -> bool {
    let mut later = model.clone();
    while later.sequence < seen.sequence {
        let Some(posting) = due(&later, now) else { return false };
        later = later.apply(&posting).unwrap();
    }
    later == *seen && seen != model
}

/// Checks that the rows are newest first, without a gap, and add up to the account.
async fn adds_up(fixture: &mut TestLedger, model: &Account, now: DateTime<Utc>, seed: u64) {
    fixture.project().await;
    let rows = fixture.rows(model.id, now).await;
    let numbers: Vec<_> = rows.iter().map(|row| row.sequence).collect();
    assert_eq!(numbers, (1..=model.sequence).rev().collect::<Vec<_>>(), "seed {seed}");
    let mut held: HashMap<String, i64> = HashMap::new();
    let moves = rows.iter().flat_map(|row| &row.entry.moves);
    for part in moves.filter(|part| !matches!(part.lot, LotId::Unlimited(_))) {
        let amount = i64::try_from(part.amount.get()).unwrap();
        *held.entry(part.lot.to_string()).or_default() +=
            if part.direction == Direction::Credit { amount } else { -amount };
    }
    held.retain(|_, amount| *amount != 0);
    assert_eq!(moved_by_rollups(fixture, model.id, now).await, held, "seed {seed}");
    assert_eq!(stored_lots(fixture, model.id).await, lots_of(&rows), "seed {seed}");
    let lots = model.lots.iter().map(|(id, lot)| (format!("credit_{}", id.bare()), lot.left.get()));
    let lots = lots.chain([(model.subscription_lot().to_string(), model.subscription.left.get())]);
    let disputes = model.disputes.iter();
    let lots =
        lots.chain(disputes.map(|(id, dispute)| (format!("disputed_{}", id.bare()), dispute.aside.get())));
    let lots = lots.map(|(lot, left)| (lot, i64::try_from(left).unwrap()));
    // Debt was spent without having been granted.
    let owed = -i64::try_from(model.post_paid.outstanding.get()).unwrap();
    let lots: HashMap<_, _> =
        lots.chain([("post_paid".to_owned(), owed)]).filter(|(_, left)| *left != 0).collect();
    assert_eq!(held, lots, "seed {seed}");
    assert_eq!(fixture.ledger.watermark(model.id).await.unwrap(), model.sequence, "seed {seed}");
}
