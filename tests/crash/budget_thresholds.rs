//! Thresholds of budgets: what is announced was reached by transactions, not by attempts that were never carried out.

use chrono::Duration;
use domain::{AccountId, Budget, BudgetSubject, Credits};
use store::IN_PROGRESS_SECONDS;
use tests::{TestLedger, WriteFault};

use super::budgets::{budget, now, send};

/// A debit of 5 is interrupted at one of its writes; a debit of 3 follows. The budget of 10 announces what the account was
/// charged, and once the interrupted attempt is settled, still no more.
#[tokio::test]
async fn a_threshold_is_reached_by_what_was_charged() {
    let mut histories = 0;
    for kind in WriteFault::EACH {
        for number in 0.. {
            let mut fixture = TestLedger::new().await;
            let id = fixture.open(100, now()).await;
            budget(&fixture.ledger, id, BudgetSubject::ORGANISATION, 10).await;
            fixture.project().await;
            let faults = fixture.faults.clone().unwrap();
            let process = fixture.restarted();
            faults.arm(number, kind);
            let _unanswered = send(&process, id, "first", 5, now()).await;
            let is_over = faults.writes() <= number;
            faults.arm(usize::MAX, WriteFault::CrashBefore);
            // A lost answer is settled by the next request, or leaves the room taken until then.
            let _refused = send(&fixture.restarted(), id, "second", 3, now()).await;
            let later = now() + Duration::seconds(2 * IN_PROGRESS_SECONDS + 2);
            for at in [now(), later] {
                fixture.project().await;
                let _unanswered = send(&fixture.restarted(), id, "third", 100, at).await;
                let account = fixture.ledger.account(id).await.unwrap().unwrap();
                let left = account.balance(at).available().unwrap().get();
                let charged = Credits::try_from(100 - left).unwrap();
                fixture.project().await;
                assert_eq!(
                    announced(&fixture, id).await,
                    Budget::reached(&[50], Credits::try_from(10).unwrap(), charged),
                    "{kind:?} at write {number}: {charged:?} charged"
                );
                histories += 1;
            }
            if is_over {
                break;
            }
        }
    }
    tests::count(&format!("{histories} states of a budget with an interrupted debit"));
}

/// The highest percentage that was announced.
async fn announced(fixture: &TestLedger, id: AccountId) -> Option<u8> {
    let (events, _) = fixture.ledger.events(id, 0, 100).await.unwrap();
    let reached = events.iter().filter(|event| event.name == "budget.reached");
    reached.map(|event| u8::try_from(event.data["percent"].as_u64().unwrap()).unwrap()).max()
}
