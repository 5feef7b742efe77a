//! Crashes and lost answers at every write of a debit, then retry and projector: exactly one effect.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Amount, Attempt, ClaimKey, Consume, Credits, Details, Direction, Fingerprint, Grant,
    GrantOrigin, IdempotencyKey, Operation, Posting, Receipt, Reference, Refusal, Source, consume, grant,
};
use store::{Claim, IN_PROGRESS_SECONDS, Ledger, Settled, Unsettled};
use tests::{TestLedger, WriteFault, keyed, moment, settle};

fn now() -> DateTime<Utc> {
    "2024-01-31T23:59:20Z".parse().unwrap()
}

/// A debit of 7 from 5 subscription credits and 20 purchased ones.
fn seven(account: &Account, attempt: &Attempt) -> Result<Posting, Refusal> {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    consume(account, &Consume { operation, amount: Credits::try_from(7).unwrap(), service: None }, attempt)
}

/// What the debit's row says beyond its credits.
fn asked() -> Details {
    Details { resource_id: Reference::try_from("seven".to_owned()).ok(), ..Details::default() }
}

async fn send(ledger: &Ledger, id: AccountId, at: DateTime<Utc>) -> Result<Settled, Unsettled> {
    let key = ClaimKey::Caller(IdempotencyKey::try_from("k1".to_owned()).unwrap());
    let claim = Claim { key: &key, fingerprint: &Fingerprint("seven".to_owned()), details: &asked() };
    ledger.settle(id, claim, moment(at), seven).await
}

async fn world() -> (TestLedger, AccountId) {
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(5, now()).await;
    let gift = Grant {
        source: Source::Purchased,
        amount: Amount::try_from(20).unwrap(),
        service: None,
        expires_at: None,
        origin: GrantOrigin::Operator,
    };
    settle(&fixture.ledger, id, keyed("gift", "gift"), moment(now()), |account, attempt| {
        grant(account, &gift, attempt)
    })
    .await
    .unwrap();
    fixture.project().await;
    (fixture, id)
}

/// What happens after the fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AfterFault {
    RetryFirst,
    ProjectorFirst,
    /// No retry, as when the caller has gone.
    NobodyRetries,
}

/// Every write of one consume that also renews the month is lost before it is made, or is made with its answer
/// lost, in a process that dies or lives; then retries and projector in both orders.
#[tokio::test]
async fn a_debit_has_one_effect_whatever_is_lost() {
    let february = now() + Duration::seconds(45);
    let mut histories = 0;
    for at in [now(), february] {
        let (fixture, id) = world().await;
        let faults = fixture.faults.clone().unwrap();
        faults.arm(usize::MAX, WriteFault::CrashBefore);
        send(&fixture.restarted(), id, at).await.unwrap();
        let writes = faults.writes();
        assert_eq!(writes, if at == february { 5 } else { 3 });
        for number in 0..writes {
            for kind in WriteFault::EACH {
                for then in [AfterFault::RetryFirst, AfterFault::ProjectorFirst, AfterFault::NobodyRetries] {
                    one_history(at, number, kind, then).await;
                    histories += 1;
                }
            }
        }
    }
    assert_eq!(histories, 8 * 6 * 3);
}

async fn one_history(at: DateTime<Utc>, number: usize, kind: WriteFault, then: AfterFault) {
    let case = format!("write {number}, {kind:?}, {then:?}, {at}");
    let (mut fixture, id) = world().await;
    let faults = fixture.faults.clone().unwrap();
    let started = fixture.ledger.account(id).await.unwrap().unwrap().sequence;
    // A new process, so that nothing is cached.
    let mut process = fixture.restarted();
    faults.arm(number, kind);
    let first = send(&process, id, at).await;
    // A throttled write was not made, so the SDK makes it again.
    assert!(kind != WriteFault::Throttled || first.is_ok(), "{case}: {first:?}");
    let dead = matches!(kind, WriteFault::CrashBefore | WriteFault::CrashAfter);
    faults.arm(usize::MAX, kind);
    if dead {
        process = fixture.restarted();
    }
    let is_failed = matches!(first, Err(Unsettled::Failed(_)));
    let mut answered = first.ok();
    if matches!(then, AfterFault::ProjectorFirst) {
        fixture.project().await;
    }
    if !matches!(then, AfterFault::NobodyRetries) {
        for attempt in 0..3 {
            let later = at + Duration::seconds(IN_PROGRESS_SECONDS * (attempt + 1));
            match send(&process, id, later).await {
                Ok(settled) => {
                    if let Some(before) = &answered {
                        assert_eq!(settled.receipt, before.receipt, "{case}");
                    }
                    answered = Some(settled);
                    break;
                }
                Err(Unsettled::InProgress | Unsettled::Failed(_)) => fixture.project().await,
                Err(other) => panic!("{case}: {other:?}"),
            }
        }
        assert!(answered.is_some(), "{case}: three retries did not settle it");
    }
    fixture.project().await;
    let account = fixture.ledger.account(id).await.unwrap().unwrap();
    let rows = fixture.rows(id, at + Duration::minutes(1)).await;
    let debits: Vec<_> =
        rows.iter().filter(|row| row.entry.operation.as_str() == "verification.standard").collect();
    assert!(debits.len() <= 1, "{case}: {} debits", debits.len());
    if is_failed && matches!(then, AfterFault::NobodyRetries) {
        assert_eq!(debits.len(), 0, "{case}: the answer said that no credits moved");
    }
    assert!(debits.iter().all(|row| row.details == asked()), "{case}: the row has the request's details");
    if let Some(settled) = &answered {
        assert_eq!(debits.len(), 1, "{case}");
        assert_eq!(&settled.receipt, debits[0], "{case}");
    }
    let taken = 7 * u64::try_from(debits.len()).unwrap();
    add_up(&account, &rows, &case);
    assert_eq!(account.used.get(), taken, "{case}");
    let numbers: Vec<_> = rows.iter().rev().map(|row| row.sequence).collect();
    assert_eq!(numbers, (1..=account.sequence).collect::<Vec<_>>(), "{case}");
    assert!(account.sequence <= started + 3, "{case}: one renewal, one fence and one debit at most");
    assert_eq!(fixture.ledger.watermark(id).await.unwrap(), account.sequence, "{case}");
}

/// Checks that an account holds what its rows say.
fn add_up(account: &Account, rows: &[Receipt], case: &str) {
    let held = account.subscription.left.get() + account.lots.values().map(|lot| lot.left.get()).sum::<u64>();
    let moved = |direction| {
        let parts = rows.iter().flat_map(|row| &row.entry.moves);
        parts.filter(|part| part.direction == direction).map(|part| part.amount.get()).sum::<u64>()
    };
    assert_eq!(held + moved(Direction::Debit), moved(Direction::Credit), "{case}");
}

/// The claim, the debit and the row of one consume fail in turn, and the retry fails too.
#[tokio::test]
async fn two_faults_in_a_row_are_handled() {
    for first in 0..3 {
        for second in 0..4 {
            for kind in [WriteFault::CrashBefore, WriteFault::CrashAfter] {
                let case = format!("writes {first} and {second}, {kind:?}");
                let (mut fixture, id) = world().await;
                let faults = fixture.faults.clone().unwrap();
                faults.arm(first, kind);
                assert!(send(&fixture.restarted(), id, now()).await.is_err() || first == 2, "{case}");
                faults.arm(second, kind);
                let later = now() + Duration::seconds(IN_PROGRESS_SECONDS + 1);
                let retried = send(&fixture.restarted(), id, later).await.ok();
                faults.arm(usize::MAX, kind);
                fixture.project().await;
                let later = now() + Duration::seconds(2 * IN_PROGRESS_SECONDS + 2);
                let settled = send(&fixture.restarted(), id, later).await.unwrap();
                assert!(retried.is_none_or(|before| before.receipt == settled.receipt), "{case}");
                fixture.project().await;
                let rows = fixture.rows(id, now() + Duration::minutes(1)).await;
                let debits =
                    rows.iter().filter(|row| row.entry.operation.as_str() == "verification.standard");
                assert_eq!(debits.count(), 1, "{case}");
                assert_eq!(fixture.ledger.account(id).await.unwrap().unwrap().used.get(), 7, "{case}");
            }
        }
    }
}

/// A claim that was never used does not block its key: while its holder may be running, the answer is "in
/// progress"; after that the next request takes it over, once the projector has seen that nothing was committed
/// before the fence.
#[tokio::test]
async fn an_abandoned_claim_is_taken_over() {
    for projected in [true, false] {
        let (mut fixture, id) = world().await;
        let faults = fixture.faults.clone().unwrap();
        if !projected {
            let other = settle(&fixture.ledger, id, keyed("k0", "seven"), moment(now()), seven).await;
            assert!(other.is_ok());
        }
        faults.arm(0, WriteFault::CrashAfter);
        send(&fixture.restarted(), id, now()).await.unwrap_err();
        faults.arm(usize::MAX, WriteFault::CrashAfter);
        let soon = send(&fixture.restarted(), id, now() + Duration::seconds(IN_PROGRESS_SECONDS - 1)).await;
        assert!(matches!(soon, Err(Unsettled::InProgress)), "{soon:?}");
        let abandoned = Duration::seconds(IN_PROGRESS_SECONDS);
        let mut later = send(&fixture.restarted(), id, now() + abandoned).await;
        if !projected {
            assert!(matches!(later, Err(Unsettled::InProgress)), "{later:?}");
            fixture.project().await;
            later = send(&fixture.restarted(), id, now() + abandoned + Duration::seconds(1)).await;
        }
        assert!(!later.unwrap().replayed);
        let rows = fixture.rows(id, now() + Duration::minutes(1)).await;
        let operations: Vec<_> = rows.iter().map(|row| row.entry.operation.as_str()).take(2).collect();
        assert_eq!(operations, ["verification.standard", "ledger.fence"]);
    }
}

/// The process dies after the debit, before its row. While the debit is the account's last entry, the next sending has
/// its answer at once. Once another debit has followed, the key is in progress for ten seconds, and then settled as soon
/// as the projector has written the row.
#[tokio::test]
async fn a_debit_without_a_row_is_settled_at_once_while_it_is_the_last_entry() {
    for followed in [false, true] {
        let (mut fixture, id) = world().await;
        let faults = fixture.faults.clone().unwrap();
        faults.arm(1, WriteFault::CrashAfter);
        send(&fixture.restarted(), id, now()).await.unwrap_err();
        faults.arm(usize::MAX, WriteFault::CrashAfter);
        if followed {
            settle(&fixture.restarted(), id, keyed("k0", "seven"), moment(now()), seven).await.unwrap();
        }
        let mut sent = send(&fixture.restarted(), id, now() + Duration::seconds(1)).await;
        if followed {
            assert!(matches!(sent, Err(Unsettled::InProgress)), "{sent:?}");
            let later = now() + Duration::seconds(IN_PROGRESS_SECONDS);
            sent = send(&fixture.restarted(), id, later).await;
            assert!(matches!(sent, Err(Unsettled::InProgress)), "{sent:?}");
            fixture.project().await;
            sent = send(&fixture.restarted(), id, later + Duration::seconds(1)).await;
        }
        let sent = sent.unwrap();
        assert_eq!((sent.replayed, sent.receipt.details), (true, asked()));
        fixture.project().await;
        let rows = fixture.rows(id, now() + Duration::minutes(1)).await;
        let debits = rows.iter().filter(|row| row.entry.operation.as_str() == "verification.standard");
        assert_eq!(debits.count(), if followed { 2 } else { 1 });
    }
}

/// A slow attempt that was fenced off goes on under another id, or leaves the key to the request that took it: one
/// effect either way.
#[tokio::test]
async fn a_slow_attempt_has_no_second_effect() {
    let (mut fixture, id) = world().await;
    let faults = fixture.faults.clone().unwrap();
    // The debit is lost: the retry fences it off while the caller waits, and the answer is to send the request
    // again.
    faults.arm(1, WriteFault::RequestLost);
    let slow = send(&fixture.restarted(), id, now()).await;
    assert!(matches!(slow, Err(Unsettled::InProgress | Unsettled::Failed(_))), "{slow:?}");
    fixture.project().await;
    let abandoned = now() + Duration::seconds(IN_PROGRESS_SECONDS);
    let again = send(&fixture.restarted(), id, abandoned).await.unwrap();
    let same = send(&fixture.restarted(), id, abandoned + Duration::seconds(1)).await.unwrap();
    assert_eq!((again.receipt, true), (same.receipt, same.replayed));
    assert_eq!(fixture.ledger.account(id).await.unwrap().unwrap().used.get(), 7);
}

/// The projector gets every record again, also in smaller batches: nothing changes.
#[tokio::test]
async fn repeated_records_change_nothing() {
    let (mut fixture, id) = world().await;
    send(&fixture.ledger, id, now()).await.unwrap();
    fixture.project().await;
    let before = fixture.rows(id, now() + Duration::minutes(1)).await;
    let watermark = fixture.ledger.watermark(id).await.unwrap();
    for _ in 0..3 {
        let records = fixture.records().await;
        assert_eq!(fixture.deliver(&fixture.restarted(), &records).await, None);
    }
    assert_eq!(fixture.rows(id, now() + Duration::minutes(1)).await, before);
    assert_eq!(fixture.ledger.watermark(id).await.unwrap(), watermark);
}
