//! Many clients and many budgets at once, with processes that die: no budget is ever exceeded, nothing stays blocked, and every
//! refusal names a budget that has no room.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Attempt, Budget, BudgetAction, BudgetExceeded, BudgetId, BudgetLevel, BudgetPeriod,
    BudgetSubject, ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey, KeyId, Operation,
    Reference, Refusal, Team, TeamId, TeamMembers, consume,
};
use store::{Claim, Ledger, Moment, Unsettled, random};
use tests::{Dice, TestLedger, WriteFault};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn credits(count: u64) -> Credits {
    Credits::try_from(count).unwrap()
}

fn name(text: &str) -> Reference {
    Reference::try_from(text.to_owned()).unwrap()
}

const TEAMS: u64 = 3;
const MEMBERS: u64 = 9;
const KEYS: u64 = 4;

/// An account with four levels of budgets, three budgets at each.
struct Tree {
    id: AccountId,
    keys: Vec<KeyId>,
    limits: BTreeMap<BudgetId, u64>,
}

impl Tree {
    async fn plant(ledger: &Ledger, id: AccountId, room: u64) -> Self {
        let keys: Vec<_> = (0..KEYS).map(|_| KeyId::new(now(), random())).collect();
        let mut tree = Self { id, keys: keys.clone(), limits: BTreeMap::new() };
        let mut subjects = vec![(BudgetSubject::ORGANISATION, room)];
        for number in 0..TEAMS {
            let members = (0..MEMBERS).filter(|member| member % TEAMS == number);
            let members = TeamMembers::new(members.map(|member| name(&format!("m{member}")))).unwrap();
            let team = TeamId::new(now(), random());
            let made = Team { id: team, name: name("team"), members, created_at: now() };
            ledger.create_team(id, made).await.unwrap();
            subjects.push((BudgetSubject::part(BudgetLevel::Team, &name(&team.to_string())), room / 2));
        }
        let members =
            (0..MEMBERS).map(|member| BudgetSubject::part(BudgetLevel::Member, &name(&format!("m{member}"))));
        subjects.extend(members.map(|member| (member, room / 6)));
        subjects.extend(
            keys.iter().map(|key| (BudgetSubject::part(BudgetLevel::Key, &name(&key.to_string())), room / 3)),
        );
        for (subject, limit) in subjects {
            for (period, limit) in [
                (BudgetPeriod::Day, limit),
                (BudgetPeriod::Month, limit + limit / 4),
                (BudgetPeriod::Once, limit + limit / 2),
            ] {
                let budget = Budget {
                    id: BudgetId::new(now(), random()),
                    subject: subject.clone(),
                    only: None,
                    limit: credits(limit),
                    period,
                    action: BudgetAction::Block,
                    alert_at: vec![],
                    raises: vec![],
                    created_at: now(),
                };
                tree.limits.insert(budget.id, limit);
                ledger.create_budget(id, budget).await.unwrap();
            }
        }
        tree
    }
}

/// One request of a client.
#[derive(Clone)]
struct Asked {
    name: String,
    amount: u64,
    details: Details,
}

async fn send(
    ledger: &Ledger,
    id: AccountId,
    asked: &Asked,
    at: DateTime<Utc>,
) -> Result<store::Settled, Unsettled> {
    let key = ClaimKey::Caller(IdempotencyKey::try_from(asked.name.clone()).unwrap());
    let fingerprint = Fingerprint(asked.name.clone());
    let claim = Claim { key: &key, fingerprint: &fingerprint, details: &asked.details };
    let operation = Operation::try_from("aml.basic".to_owned()).unwrap();
    let request = Consume { operation, amount: credits(asked.amount), service: None };
    let decide = |account: &Account, attempt: &Attempt| consume(account, &request, attempt);
    ledger.spend(id, claim, moment_at(at), decide).await
}

/// What all clients have seen.
#[derive(Default)]
struct Seen {
    refusals: Mutex<Vec<(BudgetExceeded, u64)>>,
    unsettled: Mutex<Vec<Asked>>,
    attempts: AtomicU64,
}

/// The numbers of one run.
struct Run {
    clients: u64,
    requests: u64,
    /// How many processes share the clients. Each dies at some write and is replaced.
    processes: usize,
}

/// A client of a process: its requests, one after the other.
struct Client {
    number: u64,
    ledger: Arc<Ledger>,
    tree: Arc<Tree>,
    seen: Arc<Seen>,
    begun: Instant,
}

impl Client {
    async fn send_all(self, requests: u64) {
        let mut dice = Dice(self.number);
        for number in 0..requests {
            let asked = Asked {
                name: format!("{}-{number}", self.number),
                amount: 1 + dice.roll(5),
                details: Details {
                    member_id: Some(name(&format!("m{}", dice.roll(MEMBERS)))),
                    key_id: Some(self.tree.keys[usize::try_from(dice.roll(KEYS)).unwrap()]),
                    ..Details::default()
                },
            };
            self.seen.attempts.fetch_add(1, Ordering::Relaxed);
            match send(&self.ledger, self.tree.id, &asked, wall(self.begun)).await {
                Ok(_) => (),
                Err(Unsettled::Refused(Refusal::BudgetExceeded(exceeded))) => {
                    self.seen.refusals.lock().unwrap().push((*exceeded, asked.amount));
                }
                Err(Unsettled::InProgress | Unsettled::Failed(_)) => {
                    self.seen.unsettled.lock().unwrap().push(asked);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

/// How long attempts take is judged by the machine's own clock.
fn wall(begun: Instant) -> DateTime<Utc> {
    now() + Duration::from_std(begun.elapsed()).unwrap()
}

#[expect(clippy::print_stdout, reason = "prints how many attempts there were")]
async fn run(Run { clients, requests, processes }: Run) {
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(1_000_000_000, now()).await;
    let tree = Arc::new(Tree::plant(&fixture.ledger, id, clients * requests).await);
    let (seen, begun) = (Arc::new(Seen::default()), Instant::now());
    let mut tasks = vec![];
    for process in 0..processes {
        let (ledger, faults) = fixture.process();
        faults.arm(100 + 37 * process, WriteFault::EACH[process % WriteFault::EACH.len()]);
        let ledger = Arc::new(ledger);
        for number in (0..clients).filter(|client| *client % processes as u64 == process as u64) {
            let (ledger, tree, seen) = (Arc::clone(&ledger), Arc::clone(&tree), Arc::clone(&seen));
            let client = Client { number, ledger, tree, seen, begun };
            tasks.push(tokio::spawn(client.send_all(requests)));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    fixture.project().await;
    let unsettled = std::mem::take(&mut *seen.unsettled.lock().unwrap());
    let at = wall(begun) + Duration::minutes(1);
    send_again(&mut fixture, &tree, &seen, (&unsettled, at)).await;
    // What each budget has room for is spent to the last credit. That finds whatever was left open.
    let at = at + Duration::hours(1);
    drain(&mut fixture, &tree, at).await;
    check(&mut fixture, &tree, &seen, at).await;
    let (attempts, refused) = (seen.attempts.load(Ordering::Relaxed), seen.refusals.lock().unwrap().len());
    println!("{attempts} attempts, {} without an answer, {refused} refused by budgets", unsettled.len());
}

/// Most of what got no answer is sent again; the callers of the rest have gone.
async fn send_again(
    fixture: &mut TestLedger,
    tree: &Tree,
    seen: &Seen,
    unanswered: (&[Asked], DateTime<Utc>),
) {
    let (unsettled, mut at) = unanswered;
    let recovery = fixture.restarted();
    for asked in unsettled.iter().enumerate().filter(|(place, _)| place % 4 != 0).map(|(_, asked)| asked) {
        for _ in 0..4 {
            match send(&recovery, tree.id, asked, at).await {
                Ok(_) => break,
                Err(Unsettled::Refused(Refusal::BudgetExceeded(exceeded))) => {
                    seen.refusals.lock().unwrap().push((*exceeded, asked.amount));
                    break;
                }
                Err(_) => {
                    at += Duration::seconds(11);
                    fixture.project().await;
                }
            }
        }
    }
}

/// Spends single credits for every member and key until all of them are refused.
async fn drain(fixture: &mut TestLedger, tree: &Tree, at: DateTime<Utc>) {
    let mut number = 0;
    let ledger = fixture.restarted();
    for member in 0..MEMBERS {
        for key in &tree.keys {
            let mut amount = 1 << 16;
            while 0 < amount {
                number += 1;
                let details = Details {
                    member_id: Some(name(&format!("m{member}"))),
                    key_id: Some(*key),
                    ..Details::default()
                };
                let asked = Asked { name: format!("drain-{number}"), amount, details };
                let mut later = at;
                loop {
                    match send(&ledger, tree.id, &asked, later).await {
                        Ok(_) => break,
                        Err(Unsettled::Refused(Refusal::BudgetExceeded(_))) => {
                            amount /= 2;
                            break;
                        }
                        Err(Unsettled::InProgress | Unsettled::Failed(_)) => {
                            later += Duration::seconds(11);
                            fixture.project().await;
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        }
    }
    fixture.project().await;
}

/// Holds the counters against the ledger itself: the sum of its rows for each budget.
async fn check(fixture: &mut TestLedger, tree: &Tree, seen: &Seen, at: DateTime<Utc>) {
    let rows = fixture.rows(tree.id, now() + Duration::hours(1)).await;
    let mut sums: BTreeMap<BudgetId, u64> = BTreeMap::new();
    for row in &rows {
        for budget in &row.details.budgets {
            *sums.entry(*budget).or_default() += row.entry.amount.get();
        }
    }
    for (budget, limit) in &tree.limits {
        let counter = fixture.ledger.budget_use(tree.id, *budget, moment_at(at)).await.unwrap();
        let sum = sums.get(budget).copied().unwrap_or_default();
        assert!(sum <= *limit, "{budget}: {sum} of {limit} were charged");
        assert_eq!(
            counter.used.get(),
            sum,
            "{budget}: what is counted was charged, and nothing stays blocked"
        );
    }
    // Nothing was given back here, so a budget without room then has none now.
    for (exceeded, amount) in seen.refusals.lock().unwrap().iter() {
        let sum = sums.get(&exceeded.budget).copied().unwrap_or_default();
        let limit = tree.limits[&exceeded.budget];
        assert!(limit < sum + amount, "{exceeded}: {sum} of {limit}");
        assert_eq!(exceeded.usage.limit.get(), limit);
    }
}

/// The business clock stands still; how long an attempt takes is judged by the machine's own.
fn moment_at(wall: DateTime<Utc>) -> Moment {
    Moment { now: now(), wall }
}

/// The hundred thousand attempts of `EVERY_HISTORY=1` are too many for each run.
#[tokio::test(flavor = "multi_thread")]
async fn budgets_are_exact_under_load_and_crashes() {
    let many = std::env::var("EVERY_HISTORY").is_ok();
    let (clients, requests) = if many { (256, 391) } else { (64, 6) };
    run(Run { clients, requests, processes: 8 }).await;
}
