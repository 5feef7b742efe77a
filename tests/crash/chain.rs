//! The chain, the events, the rollups and the records of lots are byte for byte the same, however the stream is delivered and wherever
//! the projector dies.

use chrono::{DateTime, Utc};
use domain::{AccountId, RowShards};
use jobs::projection::Record;
use tests::{TableItem, TestLedger, WriteFault, backends, keyed, moment, settle, ways_in_turn};

use crate::crash::tampering::history_spread;
use crate::model::ledger::Request;

/// Everything that the projector wrote for an account.
pub(crate) async fn made(fixture: &TestLedger, id: AccountId) -> Vec<TableItem> {
    let mut made = Vec::new();
    for partition in ["MARK", "CHAIN", "CHECK", "RECS"] {
        made.extend(fixture.items(&format!("{partition}#{id}")).await);
    }
    for item in &mut made {
        // How often it was written, and the alert state, depend on how the records are divided.
        item.remove("rev");
        item.remove("al");
    }
    made
}

/// The events of an account, without their expiry; and its rollups and the records of its lots.
pub(crate) async fn emitted(fixture: &TestLedger, id: AccountId) -> [Vec<TableItem>; 2] {
    let mut events = fixture.items(&format!("EVENTS#{id}")).await;
    events.extend(fixture.items(&format!("EVENTHEAD#{id}")).await);
    for event in &mut events {
        event.remove("ttl");
    }
    let mut rollups = fixture.activity_items(&format!("USE#{id}")).await;
    for (month, kind) in MONTHS.iter().flat_map(|month| [(month, 'c'), (month, 'm')]) {
        rollups.extend(fixture.activity_items(&format!("USE#{id}#{month}#{kind}")).await);
        for shard in 1..SHARDS {
            rollups.extend(fixture.activity_items(&format!("USE#{id}#{month}#{kind}#{shard:x}")).await);
        }
    }
    rollups.extend(fixture.activity_items(&format!("LOTS#{id}")).await);
    [events, rollups]
}

/// The shards of the rows of a projected ledger.
const SHARDS: u8 = 4;

const MONTHS: [&str; 5] = ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"];

async fn rows(fixture: &TestLedger, id: AccountId) -> Vec<TableItem> {
    let mut rows = Vec::new();
    for month in MONTHS {
        rows.extend(fixture.items(&format!("TXN#{id}#{month}")).await);
        for shard in 1..SHARDS {
            rows.extend(fixture.items(&format!("TXN#{id}#{month}#{shard:x}")).await);
        }
    }
    rows
}

/// Restores the table to the state before projection, and removes the rows of some requests that then died before
/// they wrote them.
async fn undo(fixture: &TestLedger, made: &[TableItem], rows: &[TableItem]) {
    for item in made.iter().chain(rows.iter().step_by(5)) {
        fixture.delete(item).await;
    }
}

/// The records of accounts, as Lambda's filter passes them.
pub(crate) async fn records(fixture: &TestLedger) -> Vec<Record> {
    let of_account = |record: &Record| {
        let pk = record.image.clone().map(TableItem::from).and_then(|image| image["pk"].as_s().ok().cloned());
        pk.is_some_and(|pk| pk.starts_with("ACCT#"))
    };
    fixture.records().await.into_iter().filter(of_account).collect()
}

/// A ledger that was projected completely, and what it was projected from.
pub(crate) struct ProjectedLedger {
    pub(crate) fixture: TestLedger,
    pub(crate) id: AccountId,
    pub(crate) now: DateTime<Utc>,
    pub(crate) made: Vec<TableItem>,
    pub(crate) events: [Vec<TableItem>; 2],
    pub(crate) rows: Vec<TableItem>,
    pub(crate) records: Vec<Record>,
}

pub(crate) async fn ledgers(backend: Option<&str>, entries: u64) -> ProjectedLedger {
    let mut fixture = TestLedger::on(backend).await;
    let shards = RowShards::try_from(SHARDS).unwrap();
    let (id, now) = history_spread(&mut fixture, 2, entries, shards).await;
    let ledgers = ProjectedLedger::of(fixture, id, now).await;
    assert!(ledgers.rows.len() as u64 >= entries && ledgers.records.len() > 18);
    let is_spread = |row: &TableItem| row["pk"].as_s().is_ok_and(|pk| pk.matches('#').count() == 4);
    assert!(ledgers.rows.iter().any(is_spread), "all rows are in one shard");
    let [events, rollups] = &ledgers.events;
    assert!(events.len() > 2 && !rollups.is_empty(), "{:?}", ledgers.events);
    ledgers
}

impl ProjectedLedger {
    pub(crate) async fn of(fixture: TestLedger, id: AccountId, now: DateTime<Utc>) -> Self {
        let (made, events, rows) =
            (made(&fixture, id).await, emitted(&fixture, id).await, rows(&fixture, id).await);
        Self { made, events, rows, records: records(&fixture).await, fixture, id, now }
    }

    /// Restores the state before projection, in which every request had written its row.
    pub(crate) async fn begin_with_rows(&self) {
        self.begin().await;
        for row in &self.rows {
            self.fixture.write(row).await;
        }
    }

    pub(crate) async fn begin(&self) {
        undo(&self.fixture, &self.made, &self.rows).await;
        let [events, rollups] = emitted(&self.fixture, self.id).await;
        for item in events.iter().chain(&self.fixture.items(&format!("WATCH#{}", self.id)).await) {
            self.fixture.delete(item).await;
        }
        for item in &rollups {
            self.fixture.delete_activity(item).await;
        }
        assert!(made(&self.fixture, self.id).await.is_empty());
        assert!(emitted(&self.fixture, self.id).await.iter().all(Vec::is_empty));
    }

    /// Checks the chain, the events, the rollups and the records of lots.
    pub(crate) async fn is_wholly_as_if_once(&self, when: &str) {
        assert_eq!(emitted(&self.fixture, self.id).await, self.events, "{when}");
        self.is_as_if_once(when).await;
    }

    pub(crate) async fn is_as_if_once(&self, case: &str) {
        assert_eq!(made(&self.fixture, self.id).await, self.made, "{case}");
        assert_eq!(rows(&self.fixture, self.id).await, self.rows, "{case}");
        let report = self.fixture.restarted().audit(self.id, self.now, |_| ()).await.unwrap().unwrap();
        assert!(report.findings.is_empty() && report.added_up, "{case}: {report:?}");
    }
}

#[tokio::test]
async fn records_delivered_again_and_in_other_pieces_make_the_same() {
    for backend in backends() {
        let ledgers = ledgers(backend.as_deref(), 45).await;
        let (fixture, records) = (&ledgers.fixture, &ledgers.records);
        for size in [1, 7, 100] {
            for times in 1..=3 {
                ledgers.begin().await;
                for batch in records.chunks(size) {
                    for _ in 0..times {
                        assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), batch).await, None);
                    }
                }
                ledgers.is_wholly_as_if_once(&format!("{times} times in batches of {size}")).await;
            }
        }
        for batch in records.chunks(10) {
            assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), batch).await, None);
        }
        ledgers.is_wholly_as_if_once("again").await;
    }
}

/// What happens to a write of the projector.
const FAULTS: [WriteFault; 4] =
    [WriteFault::CrashBefore, WriteFault::AnswerLost, WriteFault::CrashAfter, WriteFault::ServerError];

/// The projector dies at every write, before and after it, and runs again; or the answer is lost.
#[tokio::test]
async fn a_projector_that_is_killed_at_any_write_leaves_the_same() {
    kill_at_every_write(&ledgers(None, 19).await, &[1, 7, 100], 2).await;
}

/// The same, where a block of records becomes full.
#[tokio::test]
async fn a_projector_that_is_killed_leaves_the_same_blocks_of_records() {
    let ledgers = ledgers(None, 70).await;
    let is_block = |item: &&TableItem| item["pk"].as_s().is_ok_and(|pk| pk.starts_with("RECS#"));
    assert_eq!(ledgers.made.iter().filter(is_block).count(), 1);
    kill_at_every_write(&ledgers, &[100], 1).await;
}

/// Kills the projector at each write, in some of the ways in turn.
async fn kill_at_every_write(ledgers: &ProjectedLedger, sizes: &[usize], ways: usize) {
    let (fixture, records) = (&ledgers.fixture, &ledgers.records);
    let faults = fixture.faults.clone().unwrap();
    for size in sizes.iter().copied() {
        ledgers.begin().await;
        faults.arm(usize::MAX, WriteFault::CrashBefore);
        for batch in records.chunks(size) {
            assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), batch).await, None);
        }
        let writes = faults.writes();
        assert!(writes > 6, "{writes}");
        for number in 0..writes {
            for kind in ways_in_turn(&FAULTS, ways, number) {
                let case = format!("batches of {size}, write {number}, {kind:?}");
                faults.arm(usize::MAX, kind);
                ledgers.begin().await;
                faults.arm(number, kind);
                let mut failed = 0;
                for batch in records.chunks(size) {
                    while fixture.deliver(&fixture.ledger_of("projector"), batch).await.is_some() {
                        failed += 1;
                        faults.arm(usize::MAX, kind);
                        assert!(failed < 3, "{case}");
                    }
                }
                assert!(
                    failed == 1 || matches!(kind, WriteFault::AnswerLost | WriteFault::ServerError),
                    "{case}"
                );
                faults.arm(usize::MAX, kind);
                ledgers.is_wholly_as_if_once(&case).await;
            }
        }
    }
}

/// Two projectors at the same records, out of step, as when Lambda times out a function that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn two_projectors_at_once_make_the_same() {
    for backend in backends() {
        let ledgers = ledgers(backend.as_deref(), 45).await;
        for (one, other) in [(1, 1), (1, 7), (7, 100), (16, 5)] {
            ledgers.begin().await;
            let run = async |size: usize| {
                let process = ledgers.fixture.ledger_of("projector");
                for batch in ledgers.records.chunks(size) {
                    while ledgers.fixture.deliver(&process, batch).await.is_some() {}
                }
            };
            tokio::join!(run(one), run(other));
            ledgers.is_wholly_as_if_once(&format!("batches of {one} and {other}")).await;
        }
    }
}

/// Requests that overtake each other are chained by number.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_requests_are_chained_by_number() {
    let mut fixture = TestLedger::new().await;
    let now = crate::crash::tampering::start();
    let id = fixture.open(1_000, now).await;
    let ledger = std::sync::Arc::new(fixture.restarted());
    let callers = (0..150).map(|n| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let request = Request::Freeze(false);
            let key = format!("c{n}");
            let decide = |account: &_, attempt: &_| request.decide(account, attempt);
            settle(&ledger, id, keyed(&key, "x"), moment(now), decide).await.is_ok()
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut landed = 1;
    for caller in callers {
        landed += u64::from(caller.await.unwrap());
    }
    fixture.project().await;
    let before = made(&fixture, id).await;
    let report = fixture.ledger.audit(id, now, |_| ()).await.unwrap().unwrap();
    assert_eq!((report.findings.as_slice(), report.chained.0), ([].as_slice(), landed));
    for item in &before {
        fixture.delete(item).await;
    }
    let records = records(&fixture).await;
    assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), &records[records.len() - 1..]).await, None);
    assert_eq!(made(&fixture, id).await, before);
}
