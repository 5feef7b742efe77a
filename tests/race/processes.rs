//! Several processes without shared caches change one account at the same time, and every change succeeds.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{
    Account, AccountId, Adjustment, Amount, Attempt, Direction, Grant, GrantOrigin, Posting, Refusal, Source,
    adjust, grant,
};
use serde_json::json;
use tests::{TestLedger, World, keyed, moment, settle, unique};

const RIVALS: u64 = 32;
const EACH: u64 = 4;

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// Each client has a process of its own and sends its requests one after the other.
async fn all_succeed(
    fixture: &TestLedger,
    id: AccountId,
    decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Clone + Send + Sync + 'static,
) {
    let start = Arc::new(tokio::sync::Barrier::new(usize::try_from(RIVALS).unwrap()));
    let rivals: Vec<_> = (0..RIVALS)
        .map(|rival| {
            let (ledger, start, decide) = (fixture.restarted(), start.clone(), decide.clone());
            tokio::spawn(async move {
                start.wait().await;
                for number in 0..EACH {
                    let name = format!("rival-{rival}-{number}");
                    settle(&ledger, id, keyed(&name, &name), moment(now()), decide.clone()).await.unwrap();
                }
            })
        })
        .collect();
    for rival in rivals {
        rival.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_grants_all_succeed() {
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(0, now()).await;
    let gift = Grant {
        source: Source::Purchased,
        amount: Amount::try_from(5).unwrap(),
        service: None,
        expires_at: None,
        origin: GrantOrigin::Operator,
    };
    all_succeed(&fixture, id, move |account, attempt| grant(account, &gift, attempt)).await;
    fixture.project().await;
    let account = fixture.ledger.account(id).await.unwrap().unwrap();
    assert_eq!(account.balance(now()).purchased.get(), 5 * RIVALS * EACH);
    assert_eq!(account.sequence, 1 + RIVALS * EACH);
    let report = fixture.restarted().audit(id, now(), |_| ()).await.unwrap().unwrap();
    assert_eq!((report.findings.as_slice(), report.added_up), ([].as_slice(), true));
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_adjustments_all_succeed() {
    for direction in [Direction::Credit, Direction::Debit] {
        let mut fixture = TestLedger::new().await;
        let id = fixture.open(1_000, now()).await;
        let request = Adjustment { direction, amount: Amount::try_from(3).unwrap(), source: None };
        all_succeed(&fixture, id, move |account, attempt| adjust(account, &request, attempt)).await;
        fixture.project().await;
        let account = fixture.ledger.account(id).await.unwrap().unwrap();
        let moved = 3 * RIVALS * EACH;
        let left = if direction == Direction::Credit { 1_000 + moved } else { 1_000 - moved };
        assert_eq!(account.balance(now()).available().unwrap().get(), left);
    }
}

/// Over HTTP, as an operator sends them.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_requests_of_an_operator_all_succeed() {
    let world = Arc::new(World::at("2024-01-15T10:30:00Z").await);
    let org = world.open(1_000).await;
    let calls: Vec<_> = (0..RIVALS)
        .map(|number| {
            let (world, id) = (world.clone(), org.id.clone());
            tokio::spawn(async move {
                let (path, body) = match number % 2 {
                    0 => ("grants", json!({ "source": "bonus", "amount": 2 })),
                    _ => ("adjustments", json!({ "amount": -1, "reason": "Charged twice" })),
                };
                let path = format!("/admin/v1/organisations/{id}/{path}");
                world.post(&path, world.operator(), &unique(), &body).await.created();
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(world.balance(&org.key).await["available"], json!(1_000 + RIVALS / 2));
}
