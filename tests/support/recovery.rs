//! Recovery of an account whose stream records were lost: what it costs.

use std::ops::Range;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    AccountId, Batch, BatchItem, ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey, Operation,
    Reference, batch,
};
use jobs::projection::{MissedProgress, project_missed};
use store::Claim;

use crate::{TestLedger, Units, moment, others};

/// How many debits a batch has at most.
const BATCH: u64 = 100;

/// What recovery cost.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryFigures {
    /// The number of rows that were recovered.
    pub rows: u64,
    /// How many calls it took; each ends after its slice.
    pub calls: u64,
    /// The units of the ledger table.
    pub units: Units,
}

/// When the debits are made.
fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// Makes `count` debits of one account in batches, and projects none of them.
pub async fn debits_without_records(fixture: &TestLedger, count: u64) -> AccountId {
    let id = fixture.open(100_000_000, now()).await;
    debits_of(fixture, id, 0..count).await;
    id
}

/// Makes debits of an account with these numbers in batches, and projects none of them.
pub async fn debits_of(fixture: &TestLedger, id: AccountId, numbers: Range<u64>) {
    let count = numbers.end;
    let operation = "verification.standard";
    let one = Consume {
        operation: Operation::try_from(operation.to_owned()).unwrap(),
        amount: Credits::try_from(1).unwrap(),
        service: None,
    };
    for begin in numbers.step_by(100) {
        let size = usize::try_from(BATCH.min(count - begin)).unwrap();
        let item = BatchItem {
            operation: Reference::try_from(operation.to_owned()).unwrap(),
            amount: Credits::try_from(1).ok(),
            details: Details::default(),
        };
        let details = Details { items: vec![item; size], ..Details::default() };
        let request = Batch { items: vec![Some(one.clone()); size], atomic: true };
        let key = ClaimKey::Caller(IdempotencyKey::try_from(format!("batch-{begin}")).unwrap());
        let fingerprint = Fingerprint("x".to_owned());
        let claim = Claim::new(&key, &fingerprint, &details);
        let decide = |account: &_, attempt: &_| batch(account, &request, attempt);
        Box::pin(fixture.ledger.settle(id, claim, moment(now()), decide)).await.unwrap();
    }
}

/// Recovers an account in calls that end after `budget`, and measures them.
pub async fn recover(fixture: &TestLedger, id: AccountId, budget: Duration) -> RecoveryFigures {
    let (ledger, meter) = fixture.metered();
    let activity = fixture.activity();
    let mut calls = 0;
    loop {
        calls += 1;
        match project_missed(&ledger, &others(&activity), id, budget).await.unwrap() {
            MissedProgress::Through(rows) => return RecoveryFigures { rows, calls, units: meter.take() },
            MissedProgress::Partly(through) => tracing::info!(through, "recovering"),
        }
    }
}
