//! The cost of holds that have ended and are not closed: what a request pays for them is bounded.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Attempt, Batch, BatchItem, ClaimKey, Consume, Credits, Details, Fingerprint,
    IdempotencyKey, Operation, Reference, Refusal, batch, consume, hold,
};
use serde_json::json;
use store::{Claim, Ledger, Settled, Unsettled};
use tests::{TestLedger, UnitMeter, World, moment, unique};

/// The most requests to the table of a process with empty caches, without races. A warm process needs fewer.
const CONSUME_MAX: u64 = 26;
const CATCH_UP_MAX: u64 = 22;
const QUOTE_MAX: u64 = 54;
const BALANCE_MAX: u64 = 76;
const HOLD_MAX: u64 = 12;

const HOLDS: u64 = 220;

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn ended() -> DateTime<Utc> {
    start() + Duration::seconds(61)
}

fn charge(count: u64) -> Consume {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    Consume { operation, amount: Credits::try_from(count).unwrap(), service: None }
}

fn claim(name: &str) -> (ClaimKey, Fingerprint) {
    (ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap()), Fingerprint(name.to_owned()))
}

/// 300 credits, of which 220 ended holds reserve one each.
async fn world() -> (TestLedger, AccountId) {
    let fixture = TestLedger::new().await;
    let id = fixture.open(300, start()).await;
    let details = Details { expires_at: Some(start() + Duration::seconds(60)), ..Details::default() };
    for number in 0..HOLDS {
        let (key, asked) = claim(&format!("hold-{number}"));
        let decide = |account: &Account, attempt: &Attempt| hold(account, &charge(1), attempt);
        fixture.ledger.settle(id, Claim::new(&key, &asked, &details), moment(start()), decide).await.unwrap();
    }
    (fixture, id)
}

async fn spend(ledger: &Ledger, id: AccountId, (name, count): (&str, u64)) -> Result<Settled, Unsettled> {
    let (key, asked) = claim(name);
    let decide = |account: &Account, attempt: &Attempt| consume(account, &charge(count), attempt);
    ledger.spend(id, Claim::new(&key, &asked, &Details::default()), moment(ended()), decide).await
}

async fn spend_batch(
    ledger: &Ledger,
    id: AccountId,
    (name, amounts, atomic): (&str, &[u64], bool),
) -> Result<Settled, Unsettled> {
    let (key, asked) = claim(name);
    let request = Batch { items: amounts.iter().map(|count| Some(charge(*count))).collect(), atomic };
    let items = amounts.iter().map(|count| BatchItem {
        operation: Reference::try_from("verification.standard".to_owned()).unwrap(),
        amount: Credits::try_from(*count).ok(),
        details: Details::default(),
    });
    let details = Details { items: items.collect(), ..Details::default() };
    let decide = |account: &Account, attempt: &Attempt| batch(account, &request, attempt);
    ledger.spend(id, Claim::new(&key, &asked, &details), moment(ended()), decide).await
}

/// A process with empty caches, and its meter.
fn cold(fixture: &TestLedger) -> (Ledger, UnitMeter) {
    fixture.metered()
}

#[track_caller]
fn took(what: &str, meter: &UnitMeter, most: u64) {
    let units = meter.take();
    eprintln!(
        "{what}: {} requests, {} read units, {} write units",
        units.requests, units.read, units.written
    );
    assert!(units.requests <= most, "{what}: {units:?}");
}

#[tokio::test]
async fn a_consume_closes_at_most_two_ended_holds() {
    let (fixture, id) = world().await;
    let held = async || fixture.ledger.account(id).await.unwrap().unwrap().held.get();
    let (ledger, meter) = cold(&fixture);
    spend(&ledger, id, ("few", 1)).await.unwrap();
    took("consume that needs no hold, cold", &meter, 4);
    spend(&ledger, id, ("few-again", 1)).await.unwrap();
    took("consume that needs no hold", &meter, 3);
    assert_eq!(held().await, 220);
    let refused = spend(&ledger, id, ("beyond", 1_000)).await;
    assert!(matches!(refused, Err(Unsettled::Refused(Refusal::InsufficientCredits { .. }))), "{refused:?}");
    took("consume beyond all holds", &meter, 2);
    assert_eq!(held().await, 220);
    let (ledger, meter) = cold(&fixture);
    spend(&ledger, id, ("two", 80)).await.unwrap();
    took("consume that needs two holds", &meter, CONSUME_MAX);
    assert_eq!(held().await, 218);
    // Two ended holds are not enough: the request is to be repeated, and each repeat closes two more.
    let mut asked = 0;
    loop {
        let (ledger, meter) = cold(&fixture);
        let answer = spend(&ledger, id, ("ten", 10)).await;
        took("consume that needs ten holds", &meter, CONSUME_MAX);
        asked += 1;
        match answer {
            Ok(settled) => break assert_eq!(settled.receipt.entry.amount.get(), 10),
            Err(Unsettled::HoldsEnded) => assert_eq!(held().await, 218 - 2 * asked),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((asked, held().await), (5, 208));
}

#[tokio::test]
async fn a_batch_closes_at_most_two_ended_holds() {
    for atomic in [true, false] {
        let (fixture, id) = world().await;
        let held = async || fixture.ledger.account(id).await.unwrap().unwrap().held.get();
        let (ledger, meter) = cold(&fixture);
        let settled = spend_batch(&ledger, id, ("two", &[80, 1, 1], atomic)).await.unwrap();
        took("batch that needs two holds", &meter, CONSUME_MAX + 2);
        assert_eq!((settled.more.len(), held().await), (2, 218), "{atomic}");
        let (ledger, meter) = cold(&fixture);
        let answer = spend_batch(&ledger, id, ("ten", &[9, 1], atomic)).await;
        assert!(matches!(answer, Err(Unsettled::HoldsEnded)), "{atomic}: {answer:?}");
        took("batch that needs ten holds", &meter, CONSUME_MAX);
        // Where closing a hold cannot help, a partial batch skips items and an atomic batch is refused.
        let answer = spend_batch(&ledger, id, ("beyond", &[1, 10_000], atomic)).await;
        took("batch beyond all holds", &meter, CONSUME_MAX);
        match answer {
            Ok(settled) => assert!(!atomic && settled.more.is_empty()),
            Err(Unsettled::Refused(refusal)) => assert!(atomic && refusal.wants_credits()),
            Err(other) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_read_closes_at_most_two_ended_holds() {
    let (fixture, id) = world().await;
    let (ledger, meter) = cold(&fixture);
    let account = ledger.catch_up(id, moment(ended())).await.unwrap();
    took("catch_up", &meter, CATCH_UP_MAX);
    assert_eq!(account.held.get(), 218);
    let (ledger, meter) = cold(&fixture);
    let (account, foreseen) = ledger.catch_up_and_project(id, moment(ended())).await.unwrap();
    took("balance", &meter, BALANCE_MAX);
    assert_eq!((account.held.get(), foreseen.held.get()), (216, 191));
    let (ledger, meter) = cold(&fixture);
    let rule = |account: &Account, attempt: &Attempt| consume(account, &charge(100), attempt);
    let foreseen = ledger.projected_account(id, moment(ended()), rule).await.unwrap();
    took("quote", &meter, QUOTE_MAX);
    assert_eq!((foreseen.held.get(), ledger.account(id).await.unwrap().unwrap().held.get()), (191, 216));
    let rows = fixture.rows(id, ended()).await;
    let last = rows.iter().find(|row| row.is_hold()).unwrap();
    let (ledger, meter) = cold(&fixture);
    ledger.finish_drawdown(id, last.entry.id, moment(ended())).await.unwrap();
    took("a look at one hold", &meter, HOLD_MAX);
    assert_eq!(ledger.account(id).await.unwrap().unwrap().held.get(), 215);
}

/// The scheduled job of a hold's end closes all of them.
#[tokio::test]
async fn the_scheduler_closes_all_of_them() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(60).await;
    for _ in 0..60 {
        let body = json!({ "amount": 1, "expiresInSeconds": 60 });
        world.post("/api/v3/credits/holds", &org.key, &unique(), &body).await.created();
    }
    world.post_plain("/_local/clock", &json!({ "now": "2024-01-15T10:31:00Z" })).await.data();
    let body = json!({ "operation": "verification.standard", "quantity": 60 });
    world.consume(&org.key, &unique(), &body).await.created();
    let balance = world.balance(&org.key).await;
    assert_eq!((&balance["available"], &balance["heldCredits"]), (&json!(0), &json!(0)));
}
