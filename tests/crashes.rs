//! Crashes and lost answers at every write, then retry and projector: exactly one effect.

use chrono::{DateTime, Duration, Utc};
use shared::domain::{
    Account, AccountId, Amount, ClaimKey, Consume, Credits, Details, Direction, Fingerprint, Grant, Head,
    IdempotencyKey, Operation, Origin, Posting, Reference, Refusal, Source, consume, grant,
};
use shared::store::{IN_PROGRESS_SECONDS, Ledger, Settled, Unsettled};
use tests::{Books, Kind, moment, settle};

pub(crate) const KINDS: [Kind; 6] = [
    Kind::CrashBefore,
    Kind::CrashAfter,
    Kind::AnswerLost,
    Kind::RequestLost,
    Kind::Throttled,
    Kind::ServerError,
];

fn now() -> DateTime<Utc> {
    "2024-01-31T23:59:50Z".parse().unwrap()
}

/// A debit of 7 from 5 subscription credits and 20 purchased ones.
fn seven(account: &Account, head: &Head) -> Result<Posting, Refusal> {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    consume(account, &Consume { operation, amount: Credits::try_from(7).unwrap(), service: None }, head)
}

/// What the debit's row says beyond its credits.
fn asked() -> Details {
    Details { resource_id: Reference::try_from("seven".to_owned()).ok(), ..Details::default() }
}

async fn send(ledger: &Ledger, id: AccountId, at: DateTime<Utc>) -> Result<Settled, Unsettled> {
    let key = ClaimKey::Caller(IdempotencyKey::try_from("k1".to_owned()).unwrap());
    let fingerprint = Fingerprint("seven".to_owned());
    ledger.settle(id, (&key, &fingerprint, &asked()), moment(at), seven).await
}

async fn world() -> (Books, AccountId) {
    let mut books = Books::new().await;
    let id = books.open(5, now()).await;
    let gift = Grant {
        source: Source::Purchased,
        amount: Amount::try_from(20).unwrap(),
        service: None,
        expires_at: None,
        origin: Origin::Operator,
    };
    settle(&books.ledger, id, ("gift", "gift"), moment(now()), |account, head| grant(account, &gift, head))
        .await
        .unwrap();
    books.project().await;
    (books, id)
}

/// How a history goes on after the fault.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    RetryFirst,
    ProjectorFirst,
    /// Nobody retries, as when the caller has gone.
    NobodyRetries,
}

/// Every write of one consume, with the renewal of a month on its way: each of them lost before it
/// is made, or made with its answer lost, with the process dead from then on or alive; then retries
/// and projector in both orders.
#[tokio::test]
async fn whatever_is_lost_a_debit_has_one_effect() {
    let february = now() + Duration::seconds(15);
    let mut histories = 0;
    for at in [now(), february] {
        let (books, id) = world().await;
        let faults = books.faults.clone().unwrap();
        faults.arm(usize::MAX, Kind::CrashBefore);
        send(&books.restarted(), id, at).await.unwrap();
        let writes = faults.writes();
        assert_eq!(writes, if at == february { 5 } else { 3 });
        for number in 0..writes {
            for kind in KINDS {
                for then in [Then::RetryFirst, Then::ProjectorFirst, Then::NobodyRetries] {
                    one_history(at, number, kind, then).await;
                    histories += 1;
                }
            }
        }
    }
    assert_eq!(histories, 8 * 6 * 3);
}

async fn one_history(at: DateTime<Utc>, number: usize, kind: Kind, then: Then) {
    let told = format!("write {number}, {kind:?}, {then:?}, {at}");
    let (mut books, id) = world().await;
    let faults = books.faults.clone().unwrap();
    let started = books.ledger.account(id).await.unwrap().unwrap().sequence;
    // A fresh process, so that nothing is remembered from setting up.
    let mut process = books.restarted();
    faults.arm(number, kind);
    let first = send(&process, id, at).await;
    // What was throttled was not made: it is simply made again.
    assert!(kind != Kind::Throttled || first.is_ok(), "{told}: {first:?}");
    let dead = matches!(kind, Kind::CrashBefore | Kind::CrashAfter);
    faults.arm(usize::MAX, kind);
    if dead {
        process = books.restarted();
    }
    let mut answered = first.ok();
    if matches!(then, Then::ProjectorFirst) {
        books.project().await;
    }
    if !matches!(then, Then::NobodyRetries) {
        // The caller waits as told, and sends the same request again.
        for attempt in 0..3 {
            let later = at + Duration::seconds(5 * (attempt + 1));
            match send(&process, id, later).await {
                Ok(settled) => {
                    if let Some(before) = &answered {
                        assert_eq!(settled.receipt, before.receipt, "{told}");
                    }
                    answered = Some(settled);
                    break;
                }
                Err(Unsettled::InProgress | Unsettled::Failed(_)) => books.project().await,
                Err(other) => panic!("{told}: {other:?}"),
            }
        }
        assert!(answered.is_some(), "{told}: three retries did not settle it");
    }
    books.project().await;
    let account = books.ledger.account(id).await.unwrap().unwrap();
    let rows = books.rows(id, at + Duration::minutes(1)).await;
    let debits: Vec<_> =
        rows.iter().filter(|row| row.entry.operation.as_str() == "verification.standard").collect();
    assert!(debits.len() <= 1, "{told}: {} debits", debits.len());
    assert!(debits.iter().all(|row| row.details == asked()), "{told}: the row says what was asked");
    if let Some(settled) = &answered {
        assert_eq!(debits.len(), 1, "{told}");
        assert_eq!(&settled.receipt, debits[0], "{told}");
    }
    let taken = 7 * u64::try_from(debits.len()).unwrap();
    let held = account.subscription.left.get() + account.lots.values().map(|lot| lot.left.get()).sum::<u64>();
    let moved = |direction| {
        let parts = rows.iter().flat_map(|row| &row.entry.moves);
        parts.filter(|part| part.direction == direction).map(|part| part.amount.get()).sum::<u64>()
    };
    assert_eq!(held + moved(Direction::Debit), moved(Direction::Credit), "{told}");
    assert_eq!(account.used.get(), taken, "{told}");
    let numbers: Vec<_> = rows.iter().rev().map(|row| row.sequence).collect();
    assert_eq!(numbers, (1..=account.sequence).collect::<Vec<_>>(), "{told}");
    assert!(account.sequence <= started + 3, "{told}: one renewal, one fence and one debit at most");
    assert_eq!(books.ledger.watermark(id).await.unwrap(), account.sequence, "{told}");
}

/// The claim, the debit and the row of one consume each go wrong in turn, and the retry is hit too.
#[tokio::test]
async fn two_faults_in_a_row_are_no_worse() {
    for first in 0..3 {
        for second in 0..4 {
            for kind in [Kind::CrashBefore, Kind::CrashAfter] {
                let told = format!("writes {first} and {second}, {kind:?}");
                let (mut books, id) = world().await;
                let faults = books.faults.clone().unwrap();
                faults.arm(first, kind);
                assert!(send(&books.restarted(), id, now()).await.is_err() || first == 2, "{told}");
                faults.arm(second, kind);
                let retried = send(&books.restarted(), id, now() + Duration::seconds(3)).await.ok();
                faults.arm(usize::MAX, kind);
                books.project().await;
                let settled = send(&books.restarted(), id, now() + Duration::seconds(6)).await.unwrap();
                assert!(retried.is_none_or(|before| before.receipt == settled.receipt), "{told}");
                books.project().await;
                let rows = books.rows(id, now() + Duration::minutes(1)).await;
                let debits =
                    rows.iter().filter(|row| row.entry.operation.as_str() == "verification.standard");
                assert_eq!(debits.count(), 1, "{told}");
                assert_eq!(books.ledger.account(id).await.unwrap().unwrap().used.get(), 7, "{told}");
            }
        }
    }
}

/// A key that was claimed and never used does not wait for anybody: while its holder may be at work
/// the answer is "in progress", and from then on the next sending takes it over, as soon as the
/// projector has seen that nothing landed before the fence.
#[tokio::test]
async fn an_abandoned_claim_is_taken_over() {
    for projected in [true, false] {
        let (mut books, id) = world().await;
        let faults = books.faults.clone().unwrap();
        if !projected {
            let other = settle(&books.ledger, id, ("k0", "seven"), moment(now()), seven).await;
            assert!(other.is_ok());
        }
        faults.arm(0, Kind::CrashAfter);
        send(&books.restarted(), id, now()).await.unwrap_err();
        faults.arm(usize::MAX, Kind::CrashAfter);
        let soon = send(&books.restarted(), id, now() + Duration::seconds(1)).await;
        assert!(matches!(soon, Err(Unsettled::InProgress)), "{soon:?}");
        let given_up = Duration::seconds(IN_PROGRESS_SECONDS);
        let mut later = send(&books.restarted(), id, now() + given_up).await;
        if !projected {
            assert!(matches!(later, Err(Unsettled::InProgress)), "{later:?}");
            books.project().await;
            later = send(&books.restarted(), id, now() + Duration::seconds(5)).await;
        }
        assert!(!later.unwrap().replayed);
        let rows = books.rows(id, now() + Duration::minutes(1)).await;
        let operations: Vec<_> = rows.iter().map(|row| row.entry.operation.as_str()).take(2).collect();
        assert_eq!(operations, ["verification.standard", "ledger.fence"]);
    }
}

/// An attempt that is only slow finds itself fenced off, and goes on under another id or leaves the
/// key to whoever took it: one effect either way.
#[tokio::test]
async fn an_attempt_that_was_taken_for_dead_has_no_second_effect() {
    let (mut books, id) = world().await;
    let faults = books.faults.clone().unwrap();
    // Its debit is lost on the way: it is fenced off while the caller waits, and the answer is to
    // send again.
    faults.arm(1, Kind::RequestLost);
    let slow = send(&books.restarted(), id, now()).await;
    assert!(matches!(slow, Err(Unsettled::InProgress | Unsettled::Failed(_))), "{slow:?}");
    books.project().await;
    let again = send(&books.restarted(), id, now() + Duration::seconds(3)).await.unwrap();
    let same = send(&books.restarted(), id, now() + Duration::seconds(4)).await.unwrap();
    assert_eq!((again.receipt, true), (same.receipt, same.replayed));
    assert_eq!(books.ledger.account(id).await.unwrap().unwrap().used.get(), 7);
}

/// The projector sees every record again, and again in pieces: nothing changes.
#[tokio::test]
async fn records_that_come_again_change_nothing() {
    let (mut books, id) = world().await;
    send(&books.ledger, id, now()).await.unwrap();
    books.project().await;
    let before = books.rows(id, now() + Duration::minutes(1)).await;
    let mark = books.ledger.watermark(id).await.unwrap();
    for _ in 0..3 {
        let records = books.records().await;
        assert_eq!(books.deliver(&books.restarted(), &records).await, None);
    }
    assert_eq!(books.rows(id, now() + Duration::minutes(1)).await, before);
    assert_eq!(books.ledger.watermark(id).await.unwrap(), mark);
}
