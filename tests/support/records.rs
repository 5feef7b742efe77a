//! Accounts with many credit records, and the cost of a page of them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    AccountId, Amount, ClaimKey, Details, Fingerprint, Grant, GrantOrigin, IdempotencyKey, RecordFilter,
    Source, grant,
};
use store::{Claim, RecordsQuery};

use crate::recovery::debits_of;
use crate::{TestLedger, Units, moment, recover};

/// What a page of records cost.
#[derive(Clone, Copy, Debug)]
pub struct RecordPageCost {
    /// How many records it has.
    pub records: usize,
    /// How many records the list has.
    pub total: u64,
    /// Its requests and their units.
    pub units: Units,
}

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// Makes rows of one account, of which one in `grant_every` is a grant and all others are debits, and projects none of them.
pub async fn records_without_index(fixture: &TestLedger, rows: u64, grant_every: u64) -> AccountId {
    let id = fixture.open(100_000_000, now()).await;
    let mut made = 0;
    while made < rows {
        let debits = (grant_every - 1).min(rows - made);
        debits_of(fixture, id, made..made + debits).await;
        made += debits;
        if made < rows {
            let key = format!("grant-{made}");
            let key = ClaimKey::Caller(IdempotencyKey::try_from(key).unwrap());
            let (fingerprint, details) = (Fingerprint("x".to_owned()), Details::default());
            let request = Grant {
                source: Source::Bonus,
                amount: Amount::try_from(1).unwrap(),
                service: None,
                expires_at: None,
                origin: GrantOrigin::Operator,
            };
            let claim = Claim::new(&key, &fingerprint, &details);
            let decide = |account: &_, attempt: &_| grant(account, &request, attempt);
            Box::pin(fixture.ledger.settle(id, claim, moment(now()), decide)).await.unwrap();
            made += 1;
        }
    }
    id
}

/// Projects all rows of an account; returns how many there are.
pub async fn project_all(fixture: &TestLedger, id: AccountId) -> u64 {
    recover(fixture, id, Duration::from_secs(20)).await.rows
}

/// Reads a page of records, from 1, and measures it.
pub async fn record_page_cost(
    fixture: &TestLedger,
    id: AccountId,
    filter: RecordFilter,
    page: u64,
    per_page: u16,
) -> RecordPageCost {
    let (ledger, meter) = fixture.metered();
    let query = RecordsQuery { filter, offset: (page - 1) * u64::from(per_page), limit: per_page };
    let found = ledger.records(id, query, now()).await.unwrap().unwrap();
    RecordPageCost { records: found.records.len(), total: found.total, units: meter.take() }
}
