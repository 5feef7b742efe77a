//! What keys spend is counted once, however the stream is delivered; a key that is found is paused and announced once, whatever
//! crashes.

use chrono::{DateTime, Duration, Utc};
use domain::{
    AccountId, ApiKeySecret, BurnRates, ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey,
    KeyId, KeySpending, Operation, RunawayAction, SwitchesChange, consume,
};
use jobs::projection::Record;
use serde_json::json;
use store::{Claim, account_of};
use tests::{TestProcess, WriteFault, count, moment, runs_in_turn};

fn begin() -> DateTime<Utc> {
    "2024-01-02T08:00:00Z".parse().unwrap()
}

/// A customer's key: ten credits now and then for nine days, then 450 in an hour.
struct Customer {
    account: AccountId,
    key: KeyId,
    secret: ApiKeySecret,
}

async fn customer(process: &TestProcess) -> Customer {
    let (account, secret) = process.customer(10_000).await;
    let secret = ApiKeySecret::parse(&secret).unwrap();
    let settings = process.fixture.settings();
    let key = settings.find_key(&secret, moment(begin())).await.unwrap().unwrap().key.key_id;
    let pause = SwitchesChange { runaway_keys: Some(RunawayAction::Pause), ..SwitchesChange::default() };
    settings.change_switches(account.org, pause).await.unwrap();
    let usual = (0..8).map(|number| (number * 30 * 60, 10));
    let details = Details { key_id: Some(key), ..Details::default() };
    for (number, (minutes, credits)) in usual.chain((0..3).map(|more| (225 * 60 + more, 150))).enumerate() {
        let name = ClaimKey::Caller(IdempotencyKey::try_from(format!("k{number}")).unwrap());
        let print = Fingerprint(format!("debit {number}"));
        let claim = Claim::new(&name, &print, &details);
        let operation = Operation::try_from("aml.pep".to_owned()).unwrap();
        let request = Consume { operation, amount: Credits::try_from(credits).unwrap(), service: None };
        let decide = |account: &_, attempt: &_| consume(account, &request, attempt);
        let at = begin() + Duration::minutes(minutes);
        process.fixture.ledger.settle(account, claim, moment(at), decide).await.unwrap();
    }
    Customer { account, key, secret }
}

/// The rates that follow from the rows.
async fn expected_rates(process: &TestProcess, account: AccountId) -> BurnRates {
    let mut rows = process.fixture.rows(account, process.now()).await;
    rows.sort_by_key(|row| row.sequence);
    let mut rates = BurnRates::default();
    rows.iter().filter_map(KeySpending::of).for_each(|spending| {
        rates.add(&spending);
    });
    rates
}

impl Customer {
    /// The records of the account, oldest first.
    fn records(&self, all: &[Record]) -> Vec<Record> {
        let is_own = |record: &&Record| record.image.as_ref().and_then(account_of) == Some(self.account);
        all.iter().filter(is_own).cloned().collect()
    }

    /// The key is paused and announced once, and each transaction is counted once.
    async fn is_right(&self, process: &TestProcess, case: &str) {
        let known = process.fixture.settings().find_key(&self.secret, moment(process.now())).await.unwrap();
        assert!(known.unwrap().key.paused_at.is_some(), "{case}");
        let (events, _) = process.fixture.ledger.events(self.account, 0, 100).await.unwrap();
        let found: Vec<_> = events.iter().filter(|event| event.name == "key.runaway").collect();
        assert_eq!(found.len(), 1, "{case}: {events:?}");
        let data = &found[0].data;
        assert_eq!((&data["keyId"], &data["action"]), (&json!(self.key), &json!("paused")), "{case}");
        assert_eq!((&data["spent"], &data["busiest"]), (&json!(300), &json!(10)), "{case}");
        let watermark = process.fixture.ledger.projected_through(self.account).await.unwrap();
        assert_eq!(watermark.notified().rates, expected_rates(process, self.account).await, "{case}");
        assert_eq!(watermark.notified_through(), 12, "{case}");
    }
}

/// Records that come in any parts, again and late change nothing.
#[tokio::test]
async fn a_transaction_is_counted_once_however_the_stream_is_delivered() {
    let process = TestProcess::open(begin()).await;
    let mut customers = vec![];
    for _ in 0..6 {
        customers.push(customer(&process).await);
    }
    process.pass(226 * 3_600);
    let all = process.fixture.records().await;
    for (number, customer) in customers.iter().enumerate() {
        let records = customer.records(&all);
        match number {
            0 => assert_eq!(process.project_records(&records).await, None),
            1 => {
                for record in &records {
                    assert_eq!(process.project_records(std::slice::from_ref(record)).await, None);
                }
            }
            // Each record again with the ones before it.
            2 => {
                for last in 1..=records.len() {
                    assert_eq!(process.project_records(&records[..last]).await, None);
                }
            }
            // The newest first: the ones before are found by their rows.
            3 => {
                for record in records.iter().rev() {
                    assert_eq!(process.project_records(std::slice::from_ref(record)).await, None);
                }
            }
            // The stream has lost some.
            4 => {
                let some: Vec<_> = records.iter().step_by(3).chain(records.last()).cloned().collect();
                assert_eq!(process.project_records(&some).await, None);
            }
            // Two functions at once.
            _ => {
                let both = tokio::join!(process.project_records(&records), process.project_records(&records));
                assert_eq!(both, (None, None));
            }
        }
        for again in 0..2 {
            customer.is_right(&process, &format!("way {number}, {again}")).await;
            assert_eq!(process.project_records(&records).await, None);
        }
    }
}

#[tokio::test]
async fn a_key_is_paused_and_announced_once_whatever_crashes() {
    let process = TestProcess::open(begin()).await;
    let (mut customers, mut cases) = (vec![], vec![]);
    customers.push(customer(&process).await);
    process.clear_faults();
    let first = customers[0].records(&process.fixture.records().await);
    let times = Duration::hours(226);
    process.pass(times.num_seconds());
    assert_eq!(process.project_records(&first).await, None);
    let writes = process.steps().0;
    assert!(writes >= 8, "{writes}");
    customers[0].is_right(&process, "no fault").await;
    process.pass(-times.num_seconds());
    for number in 0..writes {
        for (place, kind) in WriteFault::EACH.into_iter().enumerate() {
            if runs_in_turn(number + place) {
                cases.push((number, kind, customer(&process).await));
            }
        }
    }
    process.pass(times.num_seconds());
    let all = process.fixture.records().await;
    for (number, kind, customer) in &cases {
        let (case, records) = (format!("{kind:?} from write {number} on"), customer.records(&all));
        // Until the SDK gives up.
        process.faults.arm_all(*number..number + 3, *kind);
        process.project_records(&records).await;
        process.clear_faults();
        // Lambda delivers them again, in other parts.
        let (one, other) = records.split_at(number % records.len());
        for part in [one, other, &records] {
            assert_eq!(process.project_records(part).await, None, "{case}");
        }
        customer.is_right(&process, &case).await;
    }
    count(&format!("runaway keys: {} histories with a fault", cases.len()));
}
