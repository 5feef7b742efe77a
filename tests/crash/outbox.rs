//! Events and the items that they follow from: whatever write fails, and whatever else is emitted, each event is emitted once
//! and numbers have no gap.

use chrono::{DateTime, Utc};
use domain::{
    AccountId, BalanceLevel, Credits, EntryId, EventName, Lot, MonitorKey, Notification, Period, Source,
    SuspensionReason,
};
use serde_json::json;
use store::{AccountChange, Ledger, MonitorEvent};
use tests::{TestLedger, WriteFault, moment};

use crate::crash::debit::AfterFault;
use crate::model::schedule::monitor;

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// The notification that one lot expires.
fn expiring(number: u64) -> Notification {
    let left = Credits::try_from(number).unwrap();
    let terms = Lot { source: Source::Bonus, left, service: None, expires_at: Some(now()) };
    Notification::Expiring { lot: EntryId::new(now(), number.into()), terms }
}

/// What emits events.
#[derive(Clone, Copy, Debug)]
enum Emitter {
    /// A notification by itself.
    Notification,
    /// A monitor that is suspended.
    Monitor,
    /// Two changes of the account, each with an event.
    Changes,
}

impl Emitter {
    const ALL: [Self; 3] = [Self::Notification, Self::Monitor, Self::Changes];

    /// The names of its events.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Notification => &["credits.expiring"],
            Self::Monitor => &["monitor.suspended"],
            Self::Changes => &["credits.purchased", "credits.granted"],
        }
    }

    /// Emits its events, or what is missing of them after a crash.
    async fn emit(self, ledger: &Ledger, id: AccountId) -> bool {
        match self {
            Self::Notification => ledger.emit(id, &expiring(1), moment(now())).await.is_ok(),
            Self::Monitor => suspend(ledger, id).await,
            Self::Changes => ledger.emit_changes(id, &changes(), None, moment(now())).await.is_ok(),
        }
    }
}

/// Two changes of an account: a purchase and a grant.
fn changes() -> [AccountChange; 2] {
    let change = |sequence: u64, name| {
        let spendable = Credits::try_from(1_000).unwrap();
        let level = BalanceLevel { sequence, spendable, by_service: None, unlimited: false, at: now() };
        let entry = EntryId::new(now(), sequence.into());
        let notification = Some(Notification::Booked { name, entry, data: json!({ "amount": sequence }) });
        AccountChange { level, notification }
    };
    [change(1, EventName::CreditsPurchased), change(2, EventName::CreditsGranted)]
}

/// Suspends the monitor as a job does that is repeated until it succeeds.
async fn suspend(ledger: &Ledger, id: AccountId) -> bool {
    let key = MonitorKey { account: id, monitor: monitor(7).id };
    let Ok(Some(known)) = ledger.monitor(key).await else { return false };
    if known.waits_for().is_some() {
        return ledger.emit_about_monitor(key, moment(now())).await.is_ok();
    }
    let event = MonitorEvent { notification: Notification::MonitorSuspended, moment: moment(now()) };
    let suspended = known.suspended(SuspensionReason::Frozen, now());
    matches!(ledger.save_monitor_and_emit(id, &suspended, event).await, Ok(Some(_)))
}

/// An account with a monitor and one event.
async fn account() -> (TestLedger, AccountId) {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, now()).await;
    let paid = monitor(7).charged(Period::of(now()), EntryId::new(now(), 5));
    fixture.ledger.begin_monitor(id, &paid).await.unwrap();
    fixture.ledger.emit(id, &expiring(90), moment(now())).await.unwrap();
    (fixture, id)
}

/// The names of the account's events; their numbers are 1, 2, 3, …, and all but the last one expire.
async fn names(fixture: &TestLedger, id: AccountId, case: &str) -> Vec<String> {
    let items = fixture.items(&format!("EVENTS#{id}")).await;
    let expire: Vec<_> = items.iter().map(|item| item.contains_key("ttl")).collect();
    let expected: Vec<_> = (1..=items.len()).map(|place| place < items.len()).collect();
    assert_eq!(expire, expected, "{case}");
    let (events, _) = fixture.restarted().events(id, 0, 100).await.unwrap();
    let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=u64::try_from(events.len()).unwrap()).collect::<Vec<_>>(), "{case}");
    events.into_iter().map(|event| event.name).collect()
}

/// Each write of each emitter fails in each way; then another event is emitted before or after the repetition, or the
/// emitter is repeated alone.
#[tokio::test]
async fn an_event_is_emitted_once_whatever_fails_meanwhile() {
    let mut histories = 0;
    for emitter in Emitter::ALL {
        let (fixture, id) = account().await;
        let faults = fixture.faults.clone().unwrap();
        faults.arm(usize::MAX, WriteFault::CrashBefore);
        assert!(emitter.emit(&fixture.restarted(), id).await);
        let writes = faults.writes();
        assert_eq!(writes, if matches!(emitter, Emitter::Changes) { 6 } else { 4 }, "{emitter:?}");
        for number in 0..writes {
            for kind in WriteFault::EACH {
                for then in [AfterFault::RetryFirst, AfterFault::ProjectorFirst, AfterFault::NobodyRetries] {
                    history(emitter, number, kind, then).await;
                    histories += 1;
                }
            }
        }
    }
    assert_eq!(histories, 14 * 6 * 3);
}

async fn history(emitter: Emitter, number: usize, kind: WriteFault, then: AfterFault) {
    let case = format!("{emitter:?}, write {number}, {kind:?}, {then:?}");
    let (fixture, id) = account().await;
    let faults = fixture.faults.clone().unwrap();
    faults.arm(number, kind);
    emitter.emit(&fixture.restarted(), id).await;
    faults.arm(usize::MAX, kind);
    // Without the last event, numbers would begin again.
    let last = fixture.items(&format!("EVENTS#{id}")).await.pop().unwrap();
    assert!(!last.contains_key("ttl"), "{case}");
    let (process, rival) = (fixture.restarted(), fixture.restarted());
    if matches!(then, AfterFault::ProjectorFirst) {
        rival.emit(id, &expiring(91), moment(now())).await.unwrap();
    }
    assert!(emitter.emit(&process, id).await, "{case}");
    if matches!(then, AfterFault::RetryFirst) {
        rival.emit(id, &expiring(91), moment(now())).await.unwrap();
    }
    // Repetitions emit nothing more.
    emitter.emit(&process, id).await;
    let mut found = names(&fixture, id, &case).await;
    let mut expected = vec!["credits.expiring"];
    expected.extend(emitter.names());
    if !matches!(then, AfterFault::NobodyRetries) {
        expected.push("credits.expiring");
    }
    found.sort();
    expected.sort_unstable();
    assert_eq!(found, expected, "{case}");
}

/// A process stands still with a write that claims or takes a number; another process does its work and a third emits
/// another event. The late write changes nothing.
#[tokio::test]
async fn a_late_write_emits_nothing_twice() {
    for emitter in Emitter::ALL {
        for number in 0..6 {
            let case = format!("{emitter:?}, write {number}");
            let (fixture, id) = account().await;
            let faults = fixture.faults.clone().unwrap();
            faults.arm(number, WriteFault::Late);
            let late = fixture.restarted();
            let still = tokio::spawn(async move { emitter.emit(&late, id).await });
            while faults.writes() <= number && !still.is_finished() {
                tokio::task::yield_now().await;
            }
            faults.arm(usize::MAX, WriteFault::Late);
            let process = fixture.restarted();
            emitter.emit(&process, id).await;
            process.emit(id, &expiring(91), moment(now())).await.unwrap();
            faults.let_through();
            still.await.unwrap();
            emitter.emit(&process, id).await;
            let mut expected = vec!["credits.expiring"];
            expected.extend(emitter.names());
            expected.push("credits.expiring");
            expected.sort_unstable();
            let mut found = names(&fixture, id, &case).await;
            found.sort();
            assert_eq!(found, expected, "{case}");
        }
    }
}

/// A process stands still before it writes the event of a monitor; another one writes it, changes the monitor again under the
/// same number, and dies. What the first one does then leaves the second event alone.
#[tokio::test]
async fn a_late_writer_empties_no_other_outbox() {
    for number in [1, 3] {
        let (fixture, id) = account().await;
        let faults = fixture.faults.clone().unwrap();
        let key = MonitorKey { account: id, monitor: monitor(7).id };
        faults.arm(number, WriteFault::Late);
        let late = fixture.restarted();
        let still = tokio::spawn(async move { suspend(&late, id).await });
        while faults.writes() <= number {
            tokio::task::yield_now().await;
        }
        // It dies before it writes its own event.
        faults.arm(5, WriteFault::CrashBefore);
        let process = fixture.restarted();
        let suspended = process.monitor(key).await.unwrap().unwrap();
        let resumed = suspended.charged(Period::of(now()).next(), EntryId::new(now(), 6));
        let event = MonitorEvent { notification: Notification::MonitorResumed, moment: moment(now()) };
        assert!(process.save_monitor_and_emit(id, &resumed, event).await.is_err(), "{number}");
        faults.arm(usize::MAX, WriteFault::Late);
        faults.let_through();
        still.await.unwrap();
        fixture.restarted().emit_about_monitor(key, moment(now())).await.unwrap();
        let found = names(&fixture, id, "at last").await;
        assert_eq!(found, ["credits.expiring", "monitor.suspended", "monitor.resumed"], "{number}");
    }
}

/// A monitor is not saved over an event that is not emitted yet: that event is emitted first.
#[tokio::test]
async fn the_next_change_of_a_monitor_emits_the_event_before() {
    let (fixture, id) = account().await;
    let faults = fixture.faults.clone().unwrap();
    let key = MonitorKey { account: id, monitor: monitor(7).id };
    faults.arm(1, WriteFault::CrashBefore);
    assert!(!suspend(&fixture.restarted(), id).await);
    faults.arm(usize::MAX, WriteFault::CrashBefore);
    let ledger = fixture.restarted();
    let suspended = ledger.monitor(key).await.unwrap().unwrap();
    assert_eq!(suspended.waits_for(), Some(SuspensionReason::Frozen));
    assert_eq!(ledger.monitors(id, None, 10).await.unwrap().pending, [key.monitor]);
    assert_eq!(names(&fixture, id, "died").await, ["credits.expiring"]);
    let ended = ledger.save_monitor(id, &suspended.ended(now()), moment(now())).await.unwrap();
    assert_eq!(ended.map(|ended| ended.revision), Some(2));
    assert_eq!(names(&fixture, id, "ended").await, ["credits.expiring", "monitor.suspended"]);
    assert!(ledger.monitors(id, None, 10).await.unwrap().pending.is_empty());
}

/// A claim that another process made first is followed, also where this process has claimed another number.
#[tokio::test]
async fn the_first_claim_of_a_number_counts() {
    let (fixture, id) = account().await;
    let faults = fixture.faults.clone().unwrap();
    faults.arm(0, WriteFault::Late);
    let late = fixture.restarted();
    let second = tokio::spawn(async move { Emitter::Notification.emit(&late, id).await });
    while faults.writes() == 0 {
        tokio::task::yield_now().await;
    }
    faults.arm(1, WriteFault::CrashBefore);
    assert!(!Emitter::Notification.emit(&fixture.restarted(), id).await);
    faults.arm(usize::MAX, WriteFault::Late);
    let rival = fixture.restarted();
    rival.emit(id, &expiring(91), moment(now())).await.unwrap();
    faults.let_through();
    assert!(second.await.unwrap());
    assert!(Emitter::Notification.emit(&rival, id).await);
    assert_eq!(names(&fixture, id, "both").await, ["credits.expiring"; 3]);
    assert!(rival.was_emitted(id, &expiring(1)).await.unwrap());
}

/// An event is emitted only once its number is its own: what is claimed is not yet emitted.
#[tokio::test]
async fn a_claimed_number_is_no_emission() {
    let (fixture, id) = account().await;
    let faults = fixture.faults.clone().unwrap();
    let ledger = fixture.restarted();
    assert!(!ledger.was_emitted(id, &expiring(1)).await.unwrap());
    faults.arm(1, WriteFault::CrashBefore);
    assert!(!Emitter::Notification.emit(&fixture.restarted(), id).await);
    faults.arm(usize::MAX, WriteFault::CrashBefore);
    assert!(!ledger.was_emitted(id, &expiring(1)).await.unwrap());
    assert!(Emitter::Notification.emit(&ledger, id).await);
    assert!(ledger.was_emitted(id, &expiring(1)).await.unwrap());
}
