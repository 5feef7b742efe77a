//! What it costs to watch how fast keys spend: nothing but the bytes of the watermark.

use chrono::{DateTime, Duration, Utc};
use domain::{ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey, KeyId, Operation, consume};
use store::{Claim, account_of};
use tests::{TestLedger, moment};

const DEBITS: i64 = 160;

/// The write units and requests of the projector to the ledger table for debits that are projected one by one, with this
/// many keys in turn.
async fn projected(keys: u32) -> (f64, u64) {
    let begin: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    let fixture = TestLedger::new().await;
    let id = fixture.open(100_000, begin).await;
    for number in 0..DEBITS {
        let now = begin + Duration::seconds(number * 60);
        let key = u32::try_from(number).unwrap().checked_rem(keys);
        let key_id = key.map(|key| KeyId::new(begin, u128::from(key)));
        let details = Details { key_id, ..Details::default() };
        let name = ClaimKey::Caller(IdempotencyKey::try_from(format!("k{number}")).unwrap());
        let print = Fingerprint(format!("debit {number}"));
        let claim = Claim::new(&name, &print, &details);
        let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
        let request = Consume { operation, amount: Credits::ONE, service: None };
        let decide = |account: &_, attempt: &_| consume(account, &request, attempt);
        fixture.ledger.settle(id, claim, moment(now), decide).await.unwrap();
    }
    let records = fixture.records().await;
    let own = records.iter().filter(|record| record.image.as_ref().and_then(account_of) == Some(id));
    let (ledger, meter) = fixture.metered();
    for record in own {
        assert_eq!(fixture.deliver(&ledger, std::slice::from_ref(record)).await, None);
    }
    let used = meter.take();
    (used.written, used.requests)
}

/// A debit with a key is projected with the same requests as one without. Its watermark is larger by some 20 bytes for each key
/// of the account, so that a part of its writes takes a second unit.
#[tokio::test]
async fn watching_keys_costs_no_request_and_few_units() {
    let (without, requests) = projected(0).await;
    let mut more = vec![];
    for keys in [1, 4, 16, 64] {
        let (with, same) = projected(keys).await;
        assert_eq!(same, requests, "{keys} keys");
        more.push((keys, with - without));
    }
    assert_eq!(more, [(1, 0.0), (4, 2.0), (16, 45.0), (64, 132.0)], "of {without}");
}
