//! However the stream is delivered and whoever dies over it, the chain, the events and the counters are as if
//! once, to the byte.

use chrono::{DateTime, Utc};
use domain::AccountId;
use projector::Record;
use tests::{Books, Item, Kind, backends, moment, settle};

use crate::crash::tampering::history;
use crate::model::ledger::Request;

/// All that the projector has made of an account's records.
pub(crate) async fn made(books: &Books, id: AccountId) -> Vec<Item> {
    let mut made = Vec::new();
    for partition in ["MARK", "CHAIN", "CHECK"] {
        made.extend(books.items(&format!("{partition}#{id}")).await);
    }
    made
}

/// What owners were told of them, but for how long it is kept, and what was counted.
pub(crate) async fn told(books: &Books, id: AccountId) -> [Vec<Item>; 2] {
    let mut events = books.items(&format!("EVENTS#{id}")).await;
    events.extend(books.items(&format!("EVENTHEAD#{id}")).await);
    for event in &mut events {
        event.remove("ttl");
    }
    let mut usage = Vec::new();
    for month in MONTHS {
        for shard in 0..16 {
            usage.extend(books.activity_items(&format!("USE#{id}#{month}#{shard:x}")).await);
        }
    }
    [events, usage]
}

const MONTHS: [&str; 5] = ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05"];

async fn rows(books: &Books, id: AccountId) -> Vec<Item> {
    let mut rows = Vec::new();
    for month in MONTHS {
        rows.extend(books.items(&format!("TXN#{id}#{month}")).await);
    }
    rows
}

/// The table as if nobody had projected anything, and some who posted had died before they recorded.
async fn undo(books: &Books, made: &[Item], rows: &[Item]) {
    for item in made.iter().chain(rows.iter().step_by(5)) {
        books.delete(item).await;
    }
}

/// The records of accounts alone, as Lambda's filter lets them through.
async fn records(books: &Books) -> Vec<Record> {
    let of_account = |record: &Record| {
        let pk = record.image.clone().map(Item::from).and_then(|image| image["pk"].as_s().ok().cloned());
        pk.is_some_and(|pk| pk.starts_with("ACCT#"))
    };
    books.records().await.into_iter().filter(of_account).collect()
}

/// Books of which all was projected, as they are, and what they are made from.
pub(crate) struct Ledgers {
    pub(crate) books: Books,
    pub(crate) id: AccountId,
    pub(crate) now: DateTime<Utc>,
    pub(crate) made: Vec<Item>,
    pub(crate) told: [Vec<Item>; 2],
    pub(crate) rows: Vec<Item>,
    pub(crate) records: Vec<Record>,
}

pub(crate) async fn ledgers(backend: Option<&str>, entries: u64) -> Ledgers {
    let mut books = Books::on(backend).await;
    let (id, now) = history(&mut books, 2, entries).await;
    let ledgers = Ledgers::of(books, id, now).await;
    assert!(ledgers.records.len() as u64 >= entries);
    assert!(ledgers.told.iter().all(|items| items.len() > 2), "{:?}", ledgers.told);
    ledgers
}

impl Ledgers {
    pub(crate) async fn of(books: Books, id: AccountId, now: DateTime<Utc>) -> Self {
        let (made, told, rows) = (made(&books, id).await, told(&books, id).await, rows(&books, id).await);
        Self { made, told, rows, records: records(&books).await, books, id, now }
    }

    /// As if nobody had projected anything, and everybody had recorded what they posted.
    pub(crate) async fn begin_with_rows(&self) {
        self.begin().await;
        for row in &self.rows {
            self.books.write(row).await;
        }
    }

    pub(crate) async fn begin(&self) {
        undo(&self.books, &self.made, &self.rows).await;
        let [events, usage] = told(&self.books, self.id).await;
        for item in events.iter().chain(&self.books.items(&format!("ALERT#{}", self.id)).await) {
            self.books.delete(item).await;
        }
        for item in &usage {
            self.books.delete_activity(item).await;
        }
        assert!(made(&self.books, self.id).await.is_empty());
        assert!(told(&self.books, self.id).await.iter().all(Vec::is_empty));
    }

    /// The chain, and all that was told and counted.
    pub(crate) async fn is_wholly_as_if_once(&self, when: &str) {
        assert_eq!(told(&self.books, self.id).await, self.told, "{when}");
        self.is_as_if_once(when).await;
    }

    pub(crate) async fn is_as_if_once(&self, told: &str) {
        assert_eq!(made(&self.books, self.id).await, self.made, "{told}");
        assert_eq!(rows(&self.books, self.id).await, self.rows, "{told}");
        let report = self.books.restarted().audit(self.id, self.now, |_| ()).await.unwrap().unwrap();
        assert!(report.findings.is_empty() && report.added_up, "{told}: {report:?}");
    }
}

#[tokio::test]
async fn records_delivered_again_and_in_other_pieces_make_the_same() {
    for backend in backends() {
        let ledgers = ledgers(backend.as_deref(), 45).await;
        let (books, records) = (&ledgers.books, &ledgers.records);
        for size in [1, 7, 100] {
            for times in 1..=3 {
                ledgers.begin().await;
                for batch in records.chunks(size) {
                    for _ in 0..times {
                        assert_eq!(books.deliver(&books.restarted(), batch).await, None);
                    }
                }
                ledgers.is_wholly_as_if_once(&format!("{times} times in batches of {size}")).await;
            }
        }
        for batch in records.chunks(10) {
            assert_eq!(books.deliver(&books.restarted(), batch).await, None);
        }
        ledgers.is_wholly_as_if_once("again").await;
    }
}

/// The projector dies at every write, before and after it, and comes again; or its answer is lost.
#[tokio::test]
async fn a_projector_that_is_killed_at_any_write_leaves_the_same() {
    let ledgers = ledgers(None, 19).await;
    let (books, records) = (&ledgers.books, &ledgers.records);
    let faults = books.faults.clone().unwrap();
    for size in [1, 7, 100] {
        ledgers.begin().await;
        faults.arm(usize::MAX, Kind::CrashBefore);
        for batch in records.chunks(size) {
            assert_eq!(books.deliver(&books.restarted(), batch).await, None);
        }
        let writes = faults.writes();
        assert!(writes > 6, "{writes}");
        for number in 0..writes {
            for kind in [Kind::CrashBefore, Kind::CrashAfter, Kind::AnswerLost, Kind::ServerError] {
                let told = format!("batches of {size}, write {number}, {kind:?}");
                faults.arm(usize::MAX, kind);
                ledgers.begin().await;
                faults.arm(number, kind);
                let mut failed = 0;
                for batch in records.chunks(size) {
                    while books.deliver(&books.restarted(), batch).await.is_some() {
                        failed += 1;
                        faults.arm(usize::MAX, kind);
                        assert!(failed < 3, "{told}");
                    }
                }
                assert!(failed == 1 || matches!(kind, Kind::AnswerLost | Kind::ServerError), "{told}");
                faults.arm(usize::MAX, kind);
                ledgers.is_wholly_as_if_once(&told).await;
            }
        }
    }
}

/// Two at the same records, out of step, as when Lambda gives up one that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn two_projectors_at_once_make_the_same() {
    for backend in backends() {
        let ledgers = ledgers(backend.as_deref(), 45).await;
        for (one, other) in [(1, 1), (1, 7), (7, 100), (16, 5)] {
            ledgers.begin().await;
            let run = async |size: usize| {
                let process = ledgers.books.restarted();
                for batch in ledgers.records.chunks(size) {
                    while ledgers.books.deliver(&process, batch).await.is_some() {}
                }
            };
            tokio::join!(run(one), run(other));
            ledgers.is_wholly_as_if_once(&format!("batches of {one} and {other}")).await;
        }
    }
}

/// Requests that overtake one another are chained by number all the same.
#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_together_are_chained_by_number() {
    let mut books = Books::new().await;
    let now = crate::crash::tampering::start();
    let id = books.open(1_000, now).await;
    let ledger = std::sync::Arc::new(books.restarted());
    let callers = (0..150).map(|n| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            let request = Request::Freeze(false);
            let key = format!("c{n}");
            let decide = |account: &_, head: &_| request.decide(account, head);
            settle(&ledger, id, (&key, "x"), moment(now), decide).await.is_ok()
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut landed = 1;
    for caller in callers {
        landed += u64::from(caller.await.unwrap());
    }
    books.project().await;
    let before = made(&books, id).await;
    let report = books.ledger.audit(id, now, |_| ()).await.unwrap().unwrap();
    assert_eq!((report.findings.as_slice(), report.chained.0), ([].as_slice(), landed));
    for item in &before {
        books.delete(item).await;
    }
    let records = records(&books).await;
    assert_eq!(books.deliver(&books.restarted(), &records[records.len() - 1..]).await, None);
    assert_eq!(made(&books, id).await, before);
}
