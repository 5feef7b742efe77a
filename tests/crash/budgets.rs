//! Crashes and lost answers at every write of a debit that budgets count: what was not charged leaves nothing in a budget.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Amount, Attempt, Budget, BudgetAction, BudgetChange, BudgetId, BudgetLevel,
    BudgetPeriod, BudgetSubject, ClaimKey, Consume, Credits, Details, EntryId, Fingerprint, IdempotencyKey,
    Operation, Posting, Reference, RefundReason, Refusal, Team, TeamId, TeamMembers, consume,
};
use store::{Claim, IN_PROGRESS_SECONDS, Ledger, Refund, RefundAuthority, Settled, Unsettled, random};
use tests::{TestLedger, WriteFault, moment};

use super::debit::AfterFault;

pub(super) fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn credits(count: u64) -> Credits {
    Credits::try_from(count).unwrap()
}

fn jo() -> Reference {
    Reference::try_from("jo".to_owned()).unwrap()
}

pub(super) async fn send(
    ledger: &Ledger,
    id: AccountId,
    name: &str,
    amount: u64,
    at: DateTime<Utc>,
) -> Result<Settled, Unsettled> {
    let key = ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
    let details = Details { member_id: Some(jo()), ..Details::default() };
    let claim = Claim { key: &key, fingerprint: &Fingerprint(name.to_owned()), details: &details };
    let request = Consume {
        operation: Operation::try_from("verification.standard".to_owned()).unwrap(),
        amount: credits(amount),
        service: None,
    };
    let decide = |account: &Account, attempt: &Attempt| -> Result<Posting, Refusal> {
        consume(account, &request, attempt)
    };
    ledger.spend(id, claim, moment(at), decide).await
}

pub(super) async fn budget(ledger: &Ledger, id: AccountId, subject: BudgetSubject, limit: u64) -> BudgetId {
    let budget = Budget {
        id: BudgetId::from(EntryId::new(now(), random())),
        subject,
        only: None,
        limit: credits(limit),
        period: BudgetPeriod::Day,
        action: BudgetAction::Block,
        alert_at: vec![50],
        raises: vec![],
        created_at: now(),
    };
    ledger.create_budget(id, budget.clone()).await.unwrap();
    budget.id
}

/// An account of 100 credits with a budget of 10 for all, and one of 8 for Jo.
async fn world() -> (TestLedger, AccountId, [BudgetId; 2]) {
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(100, now()).await;
    let all = budget(&fixture.ledger, id, BudgetSubject::ORGANISATION, 10).await;
    let own = budget(&fixture.ledger, id, BudgetSubject::part(BudgetLevel::Member, &jo()), 8).await;
    fixture.project().await;
    (fixture, id, [all, own])
}

async fn used(ledger: &Ledger, id: AccountId, budgets: [BudgetId; 2]) -> [u64; 2] {
    let mut all = [0; 2];
    for (count, budget) in all.iter_mut().zip(budgets) {
        *count = ledger.budget_counter(id, budget).await.unwrap().used.get();
    }
    all
}

/// A debit of 5, and one of 9 that Jo's budget refuses after the other budget has counted it.
#[tokio::test]
async fn budgets_count_what_was_charged_whatever_is_lost() {
    let mut histories = 0;
    for amount in [5, 9] {
        let (fixture, id, _) = world().await;
        let faults = fixture.faults.clone().unwrap();
        faults.arm(usize::MAX, WriteFault::CrashBefore);
        let settled = send(&fixture.restarted(), id, "k", amount, now()).await;
        assert_eq!(settled.is_ok(), amount == 5, "{settled:?}");
        let writes = faults.writes();
        for number in 0..writes {
            for kind in WriteFault::EACH.into_iter().chain([WriteFault::SentTwice]) {
                for then in [AfterFault::RetryFirst, AfterFault::ProjectorFirst, AfterFault::NobodyRetries] {
                    one_history(amount, number, kind, then).await;
                    histories += 1;
                }
            }
        }
    }
    tests::count(&format!("{histories} histories of debits with budgets"));
}

async fn one_history(amount: u64, number: usize, kind: WriteFault, then: AfterFault) {
    let case = format!("{amount}, write {number}, {kind:?}, {then:?}");
    let (mut fixture, id, budgets) = world().await;
    let faults = fixture.faults.clone().unwrap();
    let process = fixture.restarted();
    faults.arm(number, kind);
    let _unanswered = send(&process, id, "k", amount, now()).await;
    faults.arm(usize::MAX, WriteFault::CrashBefore);
    let later = now() + Duration::seconds(2 * IN_PROGRESS_SECONDS + 2);
    match then {
        AfterFault::RetryFirst => {
            let _unanswered = send(&fixture.restarted(), id, "k", amount, later).await;
            fixture.project().await;
        }
        AfterFault::ProjectorFirst => {
            fixture.project().await;
            let _unanswered = send(&fixture.restarted(), id, "k", amount, later).await;
        }
        AfterFault::NobodyRetries => fixture.project().await,
    }
    fixture.project().await;
    nothing_is_blocked(&mut fixture, id, budgets, amount, &case).await;
}

/// A charge, or the end of one, arrives long after its attempt was settled by another process.
#[tokio::test]
async fn a_write_that_comes_late_counts_nothing_twice() {
    for amount in [5, 9] {
        let (fixture, id, _) = world().await;
        let faults = fixture.faults.clone().unwrap();
        faults.arm(usize::MAX, WriteFault::CrashBefore);
        let _unanswered = send(&fixture.restarted(), id, "k", amount, now()).await;
        for number in 0..faults.writes() {
            late_history(amount, number).await;
        }
    }
}

async fn late_history(amount: u64, number: usize) {
    let case = format!("{amount}, write {number} is late");
    let (mut fixture, id, budgets) = world().await;
    let faults = fixture.faults.clone().unwrap();
    faults.arm(number, WriteFault::Late);
    let (first, second) = (fixture.restarted(), fixture.restarted());
    let sending = tokio::spawn(async move { send(&first, id, "k", amount, now()).await.is_ok() });
    while faults.writes() <= number && !sending.is_finished() {
        tokio::task::yield_now().await;
    }
    for again in 1..4 {
        let later = now() + Duration::seconds(again * (IN_PROGRESS_SECONDS + 1));
        let settled = send(&second, id, "k", amount, later).await;
        if !matches!(settled, Err(Unsettled::InProgress)) {
            break;
        }
        fixture.project().await;
    }
    faults.let_through();
    sending.await.unwrap();
    fixture.project().await;
    nothing_is_blocked(&mut fixture, id, budgets, amount, &case).await;
}

/// What was charged is counted, and what fits the budgets beside it passes, to the last credit: whatever was left in doubt is
/// found by the requests that need the room.
async fn nothing_is_blocked(
    fixture: &mut TestLedger,
    id: AccountId,
    budgets: [BudgetId; 2],
    amount: u64,
    case: &str,
) {
    let account = fixture.ledger.account(id).await.unwrap().unwrap();
    let charged = account.used.get();
    assert!(charged == 0 || charged == amount && amount == 5, "{case}: {charged}");
    let mut at = now() + Duration::minutes(1);
    let mut last = send(&fixture.restarted(), id, "rest", 8 - charged, at).await;
    for _ in 0..4 {
        if last.is_ok() {
            break;
        }
        fixture.project().await;
        at += Duration::seconds(IN_PROGRESS_SECONDS + 1);
        last = send(&fixture.restarted(), id, "rest", 8 - charged, at).await;
    }
    assert!(last.is_ok(), "{case}: {last:?}");
    let over = send(&fixture.restarted(), id, "over", 1, at).await;
    assert!(matches!(over, Err(Unsettled::Refused(Refusal::BudgetExceeded(_)))), "{case}: {over:?}");
    assert_eq!(used(&fixture.ledger, id, budgets).await, [8, 8], "{case}");
}

/// The stream delivers a refund's record again, also after other refunds: it comes back once.
#[tokio::test]
async fn a_refund_comes_back_once_however_often_its_record_is_delivered() {
    let (mut fixture, id, budgets) = world().await;
    let debit = send(&fixture.ledger, id, "k", 8, now()).await.unwrap().receipt.entry.id;
    assert_eq!(used(&fixture.ledger, id, budgets).await, [8, 8]);
    for (number, left) in [(1, 5), (2, 2)] {
        let name = format!("refund-{number}");
        let key = ClaimKey::Caller(IdempotencyKey::try_from(name.clone()).unwrap());
        let request = Refund {
            transaction: debit,
            reason: RefundReason::TechnicalFailure,
            amount: Amount::try_from(3).ok(),
            note: None,
            duplicate_of: None,
            by: RefundAuthority::Table,
        };
        let details = Details::default();
        let claim = Claim { key: &key, fingerprint: &Fingerprint(name), details: &details };
        fixture.ledger.refund(id, &request, claim, moment(now())).await.unwrap().unwrap();
        fixture.project().await;
        assert_eq!(used(&fixture.ledger, id, budgets).await, [left, left]);
        let records = fixture.records().await;
        for _ in 0..2 {
            assert_eq!(fixture.deliver(&fixture.restarted(), &records).await, None);
            assert_eq!(used(&fixture.ledger, id, budgets).await, [left, left]);
        }
    }
}

/// A process that knows the budgets as they were refuses by the budgets as they are.
#[tokio::test]
async fn a_changed_budget_is_in_force_at_once() {
    let (fixture, id, [all, _]) = world().await;
    let warm = fixture.restarted();
    let by_jo = async |name: &str| send(&warm, id, name, 1, now()).await;
    by_jo("a").await.unwrap();
    let limit = |limit: u64| BudgetChange { limit: Some(credits(limit)), ..BudgetChange::default() };
    let change = async |most: u64| {
        fixture.ledger.change_budget(id, all, |budget| budget.changed(limit(most))).await.unwrap()
    };
    change(1).await;
    let refused = by_jo("b").await;
    assert!(matches!(refused, Err(Unsettled::Refused(Refusal::BudgetExceeded(_)))), "{refused:?}");
    change(2).await;
    by_jo("c").await.unwrap();
    // A budget that is new to the process counts, too; so do those of a team that the member joins.
    let first = budget(&fixture.ledger, id, BudgetSubject::ORGANISATION, 0).await;
    assert!(by_jo("d").await.is_err());
    fixture.ledger.delete_budget(id, first).await.unwrap();
    change(100).await;
    by_jo("e").await.unwrap();
    let team = TeamId::new(now(), random());
    let members = TeamMembers::new([]).unwrap();
    let made = Team { id: team, name: jo(), members, created_at: now() };
    fixture.ledger.create_team(id, made).await.unwrap();
    let subject = BudgetSubject::part(BudgetLevel::Team, &Reference::try_from(team.to_string()).unwrap());
    budget(&fixture.ledger, id, subject, 0).await;
    by_jo("f").await.unwrap();
    fixture.ledger.change_team(id, team, None, TeamMembers::new([jo()])).await.unwrap();
    let refused = by_jo("g").await;
    let Err(Unsettled::Refused(Refusal::BudgetExceeded(exceeded))) = refused else { panic!("{refused:?}") };
    assert_eq!(exceeded.level, BudgetLevel::Team);
}
