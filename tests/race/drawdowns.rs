//! Simultaneous refunds and captures of one transaction, and simultaneous deduplicated charges: all parts together
//! never exceed the transaction, and one of several ends of a hold wins.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Amount, Attempt, ClaimKey, Consume, Credits, Details, DrawdownReason, Fingerprint,
    HoldStatus, IdempotencyKey, Operation, Receipt, Reference, RefundReason, Refusal, Remainder, consume,
    hold, set_frozen,
};
use futures_util::future::join_all;
use store::{
    Claim, DedupeKey, DedupeRequest, DrawdownRequest, DrawdownResult, Ledger, Refund, RefundAuthority,
    Unsettled,
};
use tests::{TestLedger, WriteFault, keyed, moment, settle};

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn end() -> DateTime<Utc> {
    start() + Duration::seconds(60)
}

fn key(name: &str) -> ClaimKey {
    ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap())
}

fn charge(count: u64) -> Consume {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    Consume { operation, amount: Credits::try_from(count).unwrap(), service: None }
}

async fn debit(fixture: &TestLedger, id: AccountId, name: &str, count: u64) -> Receipt {
    let decide = |account: &Account, attempt: &Attempt| consume(account, &charge(count), attempt);
    settle(&fixture.ledger, id, keyed(name, name), moment(start()), decide).await.unwrap().receipt
}

async fn held(fixture: &TestLedger, id: AccountId, name: &str, count: u64) -> Receipt {
    let details = Details { expires_at: Some(end()), ..Details::default() };
    let decide = |account: &Account, attempt: &Attempt| hold(account, &charge(count), attempt);
    let claim = Claim { key: &key(name), fingerprint: &Fingerprint(name.to_owned()), details: &details };
    fixture.ledger.settle(id, claim, moment(start()), decide).await.unwrap().receipt
}

async fn refund(
    ledger: &Ledger,
    id: AccountId,
    (from, name): (&Receipt, &str),
    amount: Option<u64>,
) -> Result<DrawdownResult, Unsettled> {
    let request = Refund {
        transaction: from.entry.id,
        reason: RefundReason::TechnicalFailure,
        amount: amount.map(|amount| Amount::try_from(amount).unwrap()),
        note: None,
        duplicate_of: None,
        by: RefundAuthority::Table,
    };
    let asked = Fingerprint(format!("{} {amount:?}", from.entry.id));
    let (key, details) = (key(name), Details::default());
    let once = || ledger.refund(id, &request, Claim::new(&key, &asked, &details), moment(start()));
    Ok(settled(once).await?.unwrap())
}

/// Repeats a request for as long as another attempt is in progress.
async fn settled<T, F>(send: impl Fn() -> F) -> Result<T, Unsettled>
where
    F: Future<Output = Result<T, Unsettled>>,
{
    loop {
        match send().await {
            Err(Unsettled::InProgress) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            outcomes => return outcomes,
        }
    }
}

/// A capture of some credits or all, or a release, received at a time.
async fn draw_down(
    ledger: &Ledger,
    id: AccountId,
    (from, name): (&Receipt, &str),
    (why, amount): (DrawdownReason, Option<u64>),
    at: DateTime<Utc>,
) -> Result<DrawdownResult, Unsettled> {
    let details = Details::default();
    let asked = Fingerprint(format!("{why:?} {amount:?}"));
    let claim = Claim { key: &key(name), fingerprint: &asked, details: &details };
    let asking = DrawdownRequest { claim, why: &why, moment: moment(at) };
    let decide = |remainder: &Remainder| {
        if why == DrawdownReason::Capture {
            remainder.to_capture(amount.map(|amount| Credits::try_from(amount).unwrap()), at)
        } else {
            remainder.to_release(&why, at)
        }
    };
    ledger.draw_down(id, from, asking, decide).await
}

fn drawn(taken: &[Result<DrawdownResult, Unsettled>]) -> u64 {
    let made = taken.iter().flatten();
    made.map(|taken| taken.settled.receipt.details.drawn.as_ref().unwrap().amount().get()).sum()
}

/// Checks what is true of every account when all requests are done.
async fn is_sound(fixture: &mut TestLedger, id: AccountId) -> Account {
    fixture.project().await;
    let report = fixture.restarted().audit(id, end(), |_| ()).await.unwrap().unwrap();
    assert_eq!((report.findings.as_slice(), report.added_up), ([].as_slice(), true));
    fixture.ledger.account(id).await.unwrap().unwrap()
}

#[tokio::test]
async fn simultaneous_refunds_never_exceed_the_debit() {
    for amount in [None, Some(3), Some(10)] {
        for round in 0..6 {
            let mut fixture = TestLedger::new().await;
            let id = fixture.open(25, start()).await;
            let from = debit(&fixture, id, "debit", 10).await;
            let processes: Vec<_> = (0..16).map(|_| fixture.restarted()).collect();
            let names: Vec<_> = (0..16).map(|n| format!("refund-{n}")).collect();
            let all = processes
                .iter()
                .zip(&names)
                .map(|(process, name)| refund(process, id, (&from, name), amount));
            let outcomes = join_all(all).await;
            let won = outcomes.iter().flatten().count();
            assert_eq!(won, if amount == Some(3) { 3 } else { 1 }, "{amount:?}, round {round}");
            assert_eq!(drawn(&outcomes), if amount == Some(3) { 9 } else { 10 });
            for refused in outcomes.iter().filter_map(|outcomes| outcomes.as_ref().err()) {
                let is_right = match amount {
                    Some(3) => matches!(refused, Unsettled::Refused(Refusal::MoreThanDebited { refundable })
                        if refundable.get() == 1),
                    Some(_) | None => matches!(refused, Unsettled::Refused(Refusal::AlreadyRefunded)),
                };
                assert!(is_right, "{amount:?}: {refused:?}");
            }
            let account = is_sound(&mut fixture, id).await;
            let back = drawn(&outcomes);
            assert_eq!((account.used.get(), account.subscription.left.get()), (10 - back, 15 + back));
        }
    }
}

#[tokio::test]
async fn one_refund_sent_many_times_simultaneously_is_one() {
    for _ in 0..6 {
        let mut fixture = TestLedger::new().await;
        let id = fixture.open(25, start()).await;
        let from = debit(&fixture, id, "debit", 10).await;
        let processes: Vec<_> = (0..16).map(|_| fixture.restarted()).collect();
        let outcomes =
            join_all(processes.iter().map(|process| refund(process, id, (&from, "same"), Some(4)))).await;
        let receipts: Vec<_> = outcomes.iter().flatten().map(|taken| taken.settled.receipt.clone()).collect();
        assert!(!receipts.is_empty() && receipts.iter().all(|receipt| *receipt == receipts[0]));
        for late in outcomes.into_iter().filter_map(Result::err) {
            assert!(matches!(late, Unsettled::InProgress), "{late:?}");
        }
        let again = refund(&fixture.restarted(), id, (&from, "same"), Some(4)).await.unwrap();
        assert_eq!((again.settled.replayed, &again.settled.receipt), (true, &receipts[0]));
        assert_eq!(is_sound(&mut fixture, id).await.used.get(), 6);
    }
}

/// A capture and a release that were received in time, and a job that finds that the hold has ended.
#[tokio::test]
async fn one_of_several_ends_of_a_hold_wins() {
    let mut winners = BTreeSet::new();
    for round in 0..40 {
        let mut fixture = TestLedger::new().await;
        let id = fixture.open(25, start()).await;
        let from = held(&fixture, id, "hold", 8).await;
        let [one, other, third] = [fixture.restarted(), fixture.restarted(), fixture.restarted()];
        let in_time = end() - Duration::seconds(1);
        let capture = async {
            pause(round, 0).await;
            draw_down(&one, id, (&from, "capture"), (DrawdownReason::Capture, None), in_time).await
        };
        let release = async {
            pause(round, 1).await;
            draw_down(&other, id, (&from, "release"), (DrawdownReason::Release, None), in_time).await
        };
        let expiry = async {
            pause(round, 2).await;
            third.expire(id, &from, moment(end())).await
        };
        // In the first two rounds one request finishes before the others start, so that each kind wins at least
        // once.
        let (captured, released, expired) = match round {
            0 => {
                let captured = capture.await;
                let (released, expired) = tokio::join!(release, expiry);
                (captured, released, expired)
            }
            1 => {
                let released = release.await;
                let (captured, expired) = tokio::join!(capture, expiry);
                (captured, released, expired)
            }
            _ => tokio::join!(capture, release, expiry),
        };
        expired.unwrap();
        let remainder = fixture.ledger.remainder(id, from.entry.id).await.unwrap().unwrap();
        assert_eq!(remainder.parts(), 1, "round {round}");
        let status = remainder.status(end());
        winners.insert(status.as_str());
        for (outcomes, mine) in [(captured, HoldStatus::Captured), (released, HoldStatus::Released)] {
            match outcomes {
                Ok(_) => assert_eq!(status, mine, "round {round}"),
                Err(Unsettled::Refused(Refusal::HoldClosed(outcomes))) => {
                    assert_eq!(outcomes, status, "round {round}")
                }
                other => panic!("round {round}: {other:?}"),
            }
        }
        let account = is_sound(&mut fixture, id).await;
        let used = if status == HoldStatus::Captured { 8 } else { 0 };
        assert_eq!((account.held.get(), account.used.get()), (0, used), "round {round}");
        assert_eq!(account.subscription.left.get(), 25 - used, "round {round}");
    }
    assert!(winners.len() > 1, "every kind of end must win once: {winners:?}");
}

/// Delays another client in each round.
async fn pause(round: u32, who: u32) {
    for _ in 0..(round / 3 + who * 7 + round * who) % 9 {
        tokio::task::yield_now().await;
    }
    if round % 3 != who {
        tokio::time::sleep(std::time::Duration::from_millis(u64::from(round % 4))).await;
    }
}

#[tokio::test]
async fn simultaneous_captures_never_exceed_the_hold() {
    for _ in 0..6 {
        let mut fixture = TestLedger::new().await;
        let id = fixture.open(25, start()).await;
        let from = held(&fixture, id, "hold", 10).await;
        let processes: Vec<_> = (0..12).map(|_| fixture.restarted()).collect();
        let names: Vec<_> = (0..12).map(|n| format!("capture-{n}")).collect();
        let all = processes.iter().zip(&names).map(|(process, name)| {
            settled(|| draw_down(process, id, (&from, name), (DrawdownReason::Capture, Some(3)), start()))
        });
        let outcomes = join_all(all).await;
        assert_eq!((outcomes.iter().flatten().count(), drawn(&outcomes)), (3, 9));
        for refused in outcomes.into_iter().filter_map(Result::err) {
            let short = Refusal::MoreThanHeld {
                required: Credits::try_from(3).unwrap(),
                available: Credits::try_from(1).unwrap(),
            };
            assert!(matches!(&refused, Unsettled::Refused(refusal) if *refusal == short), "{refused:?}");
        }
        let account = is_sound(&mut fixture, id).await;
        assert_eq!((account.held.get(), account.used.get()), (1, 9));
    }
}

/// Two requests under one key at the same time have one effect at most, and reserve nothing.
#[tokio::test]
async fn one_key_for_two_simultaneous_requests_serves_one() {
    for round in 0..12 {
        let mut fixture = TestLedger::new().await;
        let id = fixture.open(25, start()).await;
        let (first, second) = (debit(&fixture, id, "one", 5).await, debit(&fixture, id, "two", 6).await);
        let [one, other] = [fixture.restarted(), fixture.restarted()];
        let (mine, theirs) = tokio::join!(
            refund(&one, id, (&first, "same"), None),
            refund(&other, id, (&second, "same"), None),
        );
        let won = [&mine, &theirs].into_iter().filter(|outcomes| outcomes.is_ok()).count();
        assert_eq!(won, 1, "round {round}: {mine:?} {theirs:?}");
        for outcomes in [mine, theirs].into_iter().filter_map(Result::err) {
            assert!(matches!(outcomes, Unsettled::KeyReused), "{outcomes:?}");
        }
        for (debit, whole) in [(&first, 5), (&second, 6)] {
            let remainder = fixture.ledger.remainder(id, debit.entry.id).await.unwrap();
            let kept = remainder.map_or(0, |remainder| whole - remainder.left().get());
            let rows = fixture.rows(id, start()).await;
            let of =
                |row: &&Receipt| row.details.drawn.as_ref().is_some_and(|drawn| drawn.of == debit.entry.id);
            assert_eq!(kept, rows.iter().filter(of).map(|row| row.entry.amount.get()).sum::<u64>());
        }
        is_sound(&mut fixture, id).await;
    }
}

#[tokio::test]
async fn simultaneous_deduplicated_charges_are_charged_once() {
    for _ in 0..6 {
        let mut fixture = TestLedger::new().await;
        let id = fixture.open(100, start()).await;
        let processes: Vec<_> = (0..16).map(|_| fixture.restarted()).collect();
        let names: Vec<_> = (0..16).map(|n| format!("once-{n}")).collect();
        let outcomes =
            join_all(processes.iter().zip(&names).map(|(process, name)| once(process, id, name))).await;
        let paid: BTreeSet<_> = outcomes.iter().flatten().map(|(paid, _)| *paid).collect();
        assert_eq!(
            (paid.len(), outcomes.iter().flatten().filter(|(_, is_duplicate)| !is_duplicate).count()),
            (1, 1)
        );
        for late in outcomes.iter().filter_map(|outcomes| outcomes.as_ref().err()) {
            assert!(matches!(late, Unsettled::InProgress), "{late:?}");
        }
        for (name, before) in names.iter().zip(outcomes) {
            let again = once(&fixture.restarted(), id, name).await.unwrap();
            assert!(paid.contains(&again.0));
            assert!(before.is_err() || again == before.unwrap());
        }
        assert_eq!(is_sound(&mut fixture, id).await.used.get(), 7);
        let receipt = fixture.ledger.transaction(id, *paid.first().unwrap()).await.unwrap().unwrap();
        refund(&fixture.ledger, id, (&receipt, "back"), None).await.unwrap();
        let (anew, is_duplicate) = once(&fixture.restarted(), id, "anew").await.unwrap();
        assert!(!is_duplicate && !paid.contains(&anew));
        let (first, _) = once(&fixture.restarted(), id, "once-0").await.unwrap();
        assert!(paid.contains(&first), "an old key gets the old answer");
    }
}

async fn once(ledger: &Ledger, id: AccountId, name: &str) -> Result<(domain::EntryId, bool), Unsettled> {
    let request = charge(7);
    let resource = Reference::try_from("verif_1".to_owned()).unwrap();
    let same =
        DedupeKey { operation: &request.operation, resource: &resource, customer: None, window_seconds: 60 };
    let decide = |account: &Account, attempt: &Attempt| consume(account, &request, attempt);
    let details = Details { resource_id: Some(resource.clone()), ..Details::default() };
    let claim = Claim { key: &key(name), fingerprint: &Fingerprint(name.to_owned()), details: &details };
    let once = ledger
        .settle_deduplicated(id, DedupeRequest { claim, dedupe: same, moment: moment(start()) }, decide)
        .await?;
    Ok((once.settled.receipt.entry.id, once.is_duplicate))
}

/// A part that is returned because the account was frozen is available when the hold ends; and an interrupted
/// drawdown is completed before the next.
#[tokio::test]
async fn a_returned_part_is_not_lost_when_the_hold_ends() {
    for kind in [WriteFault::CrashBefore, WriteFault::CrashAfter] {
        for number in 0..3 {
            let mut fixture = TestLedger::new().await;
            let id = fixture.open(25, start()).await;
            let from = held(&fixture, id, "hold", 10).await;
            let faults = fixture.faults.clone().unwrap();
            faults.arm(number, kind);
            let broken = draw_down(
                &fixture.restarted(),
                id,
                (&from, "one"),
                (DrawdownReason::Capture, Some(4)),
                start(),
            )
            .await;
            assert!(broken.is_err());
            faults.arm(usize::MAX, kind);
            let freeze = |account: &Account, attempt: &Attempt| Ok(set_frozen(account, true, attempt));
            settle(&fixture.ledger, id, keyed("freeze", "freeze"), moment(start()), freeze).await.unwrap();
            fixture.project().await;
            let later = start() + Duration::seconds(30);
            let mut ended =
                draw_down(&fixture.restarted(), id, (&from, "end"), (DrawdownReason::Release, None), later)
                    .await;
            for _ in 0..3 {
                fixture.project().await;
                ended = draw_down(
                    &fixture.restarted(),
                    id,
                    (&from, "end"),
                    (DrawdownReason::Release, None),
                    later,
                )
                .await;
            }
            ended.unwrap();
            let account = is_sound(&mut fixture, id).await;
            let used = account.used.get();
            assert!(used == 0 || used == 4, "{used}");
            assert_eq!(
                (account.held.get(), account.subscription.left.get()),
                (0, 25 - used),
                "{kind:?} {number}"
            );
        }
    }
}
