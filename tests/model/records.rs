//! Every page of the records of random histories, put together, is what the rows and purchases say.

use chrono::{DateTime, Duration, Utc};
use domain::{
    AccountId, Amount, Currency, Decline, EntryId, Money, Offer, Purchase, PurchaseId, PurchaseStatus,
    Receipt, RecordFilter, RecordKind, Reference, RowShards,
};
use store::{FoundRecord, Ledger, RecordsQuery};
use tests::{Dice, TestLedger, keyed, moment, settle};

use super::ledger::Request;

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A record of the model: the id of its transaction or purchase.
type Id = EntryId;

/// A purchase that is not in the ledger, and how many rows the account had when it was made.
struct Unbooked {
    id: Id,
    after: u64,
    is_pending: bool,
}

/// A random history and what it must yield.
struct History {
    fixture: TestLedger,
    id: AccountId,
    now: DateTime<Utc>,
    unbooked: Vec<Unbooked>,
    dice: Dice,
}

/// Every filter that a request can have.
fn filters() -> Vec<RecordFilter> {
    let bits = |number: u8| [0, 1, 2, 3, 4].map(|bit| number & (1 << bit) != 0);
    let filter = |[purchases, usage, post_paid, pending, failed]: [bool; 5]| RecordFilter {
        purchases,
        usage,
        post_paid,
        pending,
        failed,
    };
    [0b11111, 0b11001, 0b00110, 0b00011, 0b00100, 0b01000, 0b10000, 0b00001, 0b00010, 0]
        .map(bits)
        .map(filter)
        .into()
}

impl History {
    async fn new(seed: u64, shards: u8) -> Self {
        let fixture = TestLedger::new().await;
        let id = fixture.open_spread(40, start(), RowShards::try_from(shards).unwrap()).await;
        Self { fixture, id, now: start(), unbooked: vec![], dice: Dice(seed) }
    }

    async fn sequence(&self) -> u64 {
        self.fixture.ledger.account(self.id).await.unwrap().unwrap().sequence
    }

    /// Makes requests until the account has this number of rows. One in a while is a purchase, which is granted, fails, or stays
    /// pending.
    async fn grow(&mut self, rows: u64, projects: bool) {
        for step in 0.. {
            if self.sequence().await >= rows {
                return;
            }
            if self.dice.roll(6) == 0 {
                self.now += Duration::hours(i64::try_from(self.dice.roll(9)).unwrap());
            }
            if self.dice.roll(9) == 0 {
                self.purchase().await;
            } else {
                let request = Request::roll(&mut self.dice, self.now);
                let key = format!("k{rows}-{step}");
                let decide = |account: &_, attempt: &_| request.decide(account, attempt);
                settle(&self.fixture.ledger, self.id, keyed(&key, "x"), moment(self.now), decide).await.ok();
            }
            if projects && self.dice.roll(4) == 0 {
                self.fixture.project().await;
            }
        }
    }

    async fn purchase(&mut self) {
        let random = u128::from(self.dice.roll(u64::MAX));
        let id = PurchaseId { account: self.id, transaction: EntryId::new(self.now, random) };
        let (credits, price) = (Amount::try_from(5).unwrap(), Money::new(49, Currency::GBP).unwrap());
        let offer = Offer { credits, price, service: None, package: None, version: 1 };
        let method = Reference::try_from("card_1".to_owned()).unwrap();
        let purchase = Purchase::begun(id, offer, method, self.now);
        let after = self.sequence().await;
        assert_eq!(self.fixture.ledger.begin_purchase(&purchase).await.unwrap(), None);
        let outcome = self.dice.roll(3);
        let status = match outcome {
            0 => PurchaseStatus::Pending(Some("https://example.com".to_owned())),
            1 => PurchaseStatus::Failed(Decline::plain("card_declined")),
            _ => {
                let wanted = purchase.grant();
                let key = format!("buy-{random}");
                let decide = |account: &_, attempt: &_| domain::grant(account, &wanted, attempt);
                let granted =
                    settle(&self.fixture.ledger, self.id, keyed(&key, "x"), moment(self.now), decide).await;
                match granted {
                    Ok(settled) => PurchaseStatus::Approved(settled.receipt.entry.id),
                    Err(_) => PurchaseStatus::Failed(Decline::plain("not granted")),
                }
            }
        };
        let is_unbooked = !matches!(status, PurchaseStatus::Approved(_));
        let is_pending = matches!(status, PurchaseStatus::Pending(_));
        let saved = Purchase { status, ..purchase };
        assert!(self.fixture.ledger.save_purchase(&saved).await.unwrap().is_some());
        if is_unbooked {
            self.unbooked.push(Unbooked { id: id.transaction, after, is_pending });
        }
    }

    /// The records of a list, from the rows and purchases themselves.
    async fn expected(&self, rows: &[Receipt], filter: RecordFilter) -> Vec<Id> {
        let mut unbooked: Vec<_> = self.unbooked.iter().collect();
        unbooked.retain(|one| if one.is_pending { filter.pending } else { filter.failed });
        unbooked.sort_by_key(|one| (one.after, one.id));
        let mut expected = Vec::new();
        for row in rows {
            while unbooked.last().is_some_and(|one| row.sequence <= one.after) {
                expected.extend(unbooked.pop().map(|one| one.id));
            }
            if filter.has(RecordKind::of(row)) {
                expected.push(row.entry.id);
            }
        }
        unbooked.reverse();
        expected.extend(unbooked.into_iter().map(|one| one.id));
        expected
    }

    /// Checks all pages of all lists, of several sizes.
    async fn check(&self, when: &str) {
        let ledger = self.fixture.ledger_of("credits");
        let rows = self.fixture.rows(self.id, self.now).await;
        assert_eq!(rows.len() as u64, self.sequence().await);
        for filter in filters() {
            let expected = self.expected(&rows, filter).await;
            for limit in [1_u16, 7, 100] {
                // Small pages are many requests; some of them do.
                let step = match limit {
                    1 => 41,
                    7 => 3,
                    _ => 1,
                };
                for page in (0..=expected.len() / usize::from(limit)).step_by(step) {
                    let query = RecordsQuery { filter, offset: page as u64 * u64::from(limit), limit };
                    let (found, total) = found(&ledger, self.id, query, self.now).await;
                    let own = expected.iter().skip(page * usize::from(limit)).take(limit.into());
                    assert_eq!(total, expected.len() as u64, "{when} {filter:?}");
                    assert_eq!(
                        found,
                        own.copied().collect::<Vec<_>>(),
                        "{when} {filter:?} page {page} of {limit}"
                    );
                }
            }
        }
    }
}

async fn found(ledger: &Ledger, id: AccountId, query: RecordsQuery, now: DateTime<Utc>) -> (Vec<Id>, u64) {
    let page = ledger.records(id, query, now).await.unwrap().unwrap();
    let id = |record: &FoundRecord| match record {
        FoundRecord::Booked(receipt) => receipt.entry.id,
        FoundRecord::Unbooked(purchase) => purchase.id.transaction,
    };
    (page.records.iter().map(id).collect(), page.total)
}

#[tokio::test]
async fn pages_put_together_are_what_the_rows_say() {
    for (seed, shards) in [(1, 1), (2, 4)] {
        let mut history = History::new(seed, shards).await;
        for rows in [60, 130, 300] {
            history.grow(rows, true).await;
            history.fixture.project().await;
            history.check(&format!("seed {seed}, {rows} rows, projected")).await;
        }
        // While the projector is behind, its rows are read instead.
        let behind = history.sequence().await + 90;
        history.grow(behind, false).await;
        history.check(&format!("seed {seed}, behind")).await;
    }
}

/// An account whose rows are older than the index is read from its rows, if they are few, and can be indexed.
#[tokio::test]
async fn rows_that_are_older_than_the_index_are_indexed() {
    let mut history = History::new(3, 1).await;
    history.grow(260, true).await;
    history.fixture.project().await;
    let blocks = history.fixture.items(&format!("RECS#{}", history.id)).await;
    assert_eq!(blocks.len() as u64, history.sequence().await / 64);
    let mut watermark = history.fixture.items(&format!("MARK#{}", history.id)).await.remove(0);
    let purchases = history.fixture.items(&format!("UNPAID#{}", history.id)).await;
    assert!(!purchases.is_empty());
    for item in &blocks {
        history.fixture.delete(item).await;
    }
    watermark.remove("k");
    history.fixture.write(&watermark).await;
    history.check("without an index").await;
    for item in &purchases {
        history.fixture.delete(item).await;
    }
    let ledger = history.fixture.restarted();
    let mut progress = Vec::new();
    let indexed = ledger.index_records(history.id, history.now, |rows| progress.push(rows)).await.unwrap();
    let full = blocks.len() as u64;
    assert_eq!((indexed.blocks, indexed.full), (full, full));
    assert_eq!(indexed.purchases, purchases.len() as u64);
    assert_eq!(progress.last(), Some(&(full * 64)));
    assert_eq!(history.fixture.items(&format!("RECS#{}", history.id)).await, blocks);
    let again = ledger.index_records(history.id, history.now, |_| ()).await.unwrap();
    assert_eq!((again.blocks, again.purchases), (0, 0));
    // Half an index is completed, also by the projector.
    for item in blocks.iter().skip(3) {
        history.fixture.delete(item).await;
    }
    let indexed = ledger.index_records(history.id, history.now, |_| ()).await.unwrap();
    assert_eq!(indexed.blocks, full - 3);
    assert_eq!(history.fixture.items(&format!("RECS#{}", history.id)).await, blocks);
    for item in &blocks {
        history.fixture.delete(item).await;
    }
    let more = history.sequence().await + 70;
    history.grow(more, true).await;
    history.fixture.project().await;
    let made = history.fixture.items(&format!("RECS#{}", history.id)).await;
    assert_eq!(made[..blocks.len()], blocks);
    assert_eq!(made.len() as u64, history.sequence().await / 64);
}

/// An account with more rows is refused until it is indexed, and its projector does not make an index with a gap.
#[tokio::test]
async fn a_large_account_without_an_index_is_refused_until_it_is_indexed() {
    let fixture = TestLedger::new().await;
    let id = tests::records_without_index(&fixture, 1_200, 100).await;
    tests::project_all(&fixture, id).await;
    let blocks = fixture.items(&format!("RECS#{id}")).await;
    assert_eq!(blocks.len(), 18);
    for item in &blocks {
        fixture.delete(item).await;
    }
    let query = RecordsQuery { filter: RecordFilter::ALL, offset: 0, limit: 20 };
    assert!(fixture.ledger.records(id, query, start()).await.unwrap().is_none());
    // Rows that fill another block make none.
    tests::debits_of(&fixture, id, 2_000..2_070).await;
    assert_eq!(tests::project_all(&fixture, id).await, 1_271);
    assert!(fixture.items(&format!("RECS#{id}")).await.is_empty());
    assert!(fixture.ledger.records(id, query, start()).await.unwrap().is_none());
    let indexed = fixture.restarted().index_records(id, start(), |_| ()).await.unwrap();
    assert_eq!(indexed.blocks, 19);
    assert_eq!(fixture.items(&format!("RECS#{id}")).await[..18], blocks);
    assert_eq!(fixture.ledger.records(id, query, start()).await.unwrap().unwrap().total, 1_271);
}

/// A record that arrives between two pages moves the others: one is seen twice, and none is missed.
#[tokio::test]
async fn a_record_that_arrives_between_pages_hides_none() {
    let mut history = History::new(4, 1).await;
    history.grow(60, true).await;
    let ledger = history.fixture.ledger_of("credits");
    let first_ten = RecordsQuery { filter: RecordFilter::ALL, offset: 0, limit: 10 };
    let (first, _) = found(&ledger, history.id, first_ten, history.now).await;
    let before =
        history.expected(&history.fixture.rows(history.id, history.now).await, RecordFilter::ALL).await;
    history.purchase().await;
    let (second, _) = found(&ledger, history.id, RecordsQuery { offset: 10, ..first_ten }, history.now).await;
    assert_eq!(second[0], first[9]);
    assert_eq!(second[1..], before[10..19]);
}
