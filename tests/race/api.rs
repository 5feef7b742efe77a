//! Simultaneous API calls of many clients.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tests::{ApiAnswer, Org, World};

const CLIENTS: usize = 64;

/// Each client sends its debits one after the other; returns every answer.
async fn race(
    world: &Arc<World>,
    org: &Org,
    each: usize,
    body: fn(usize) -> serde_json::Value,
) -> Vec<ApiAnswer> {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (world, org) = (world.clone(), org.clone());
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for n in 0..each {
                    answers.push(world.consume(&org.key, &format!("c{client}-{n}"), &body(client + n)).await);
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for client in clients {
        answers.extend(client.await.unwrap());
    }
    answers
}

/// Checks that the rows are numbered without a gap, that each begins with the balance that the one before it left,
/// and that they add up to the balance.
async fn rows_add_up(world: &World, org: &Org) -> Vec<serde_json::Value> {
    let mut lines = world.transactions(&org.key, "limit=100").await;
    let shown: Vec<_> = lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
    assert!(shown.windows(2).all(|pair| pair[0] == pair[1] + 1), "row numbers decrease by one");
    lines.reverse();
    let mut balance = 0;
    for (number, line) in (1..).zip(&lines) {
        assert_eq!(line["sequence"], json!(number));
        let amount = line["amount"].as_u64().unwrap();
        balance = if line["type"] == json!("DEBIT") { balance - amount } else { balance + amount };
        assert_eq!(line["balanceAfter"], json!(balance), "{line}");
        let shares =
            line["sources"].as_array().unwrap().iter().map(|share| share["amount"].as_u64().unwrap());
        assert_eq!(shares.sum::<u64>(), amount, "{line}");
    }
    let shown_balance = world.balance(&org.key).await;
    assert_eq!(
        (&shown_balance["available"], &shown_balance["asOf"]["sequence"]),
        (&json!(balance), &json!(lines.len()))
    );
    lines
}

/// 10,000 debits by 64 clients leave exactly the right balance and 10,000 rows.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_debits_by_64_clients_leave_ten_thousand_rows() {
    let world = Arc::new(World::demo().await);
    let org = world.open(20_000).await;
    let each = 10_000_usize.div_ceil(CLIENTS);
    let answers = race(&world, &org, each, |_| json!({ "operation": "verification.standard" })).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{:?}", tally(&answers));
    assert!(answers.len() >= 10_000);
    let shown_balance = world.balance(&org.key).await;
    assert_eq!(shown_balance["available"], json!(20_000 - answers.len()));
    assert_eq!(shown_balance["usedCredits"], json!(answers.len()));
    assert_eq!(rows_add_up(&world, &org).await.len(), answers.len() + 1);
}

/// 64 clients take credits from three buckets and many lots until none are left: no request is refused while
/// credits last, and no credit is taken twice.
#[tokio::test(flavor = "multi_thread")]
async fn no_debit_is_refused_while_credits_last() {
    let world = Arc::new(World::demo().await);
    let org = world.open(301).await;
    for (source, amount) in
        [("purchased", 97), ("bonus", 53), ("purchased", 1), ("bonus", 7), ("purchased", 211), ("bonus", 30)]
    {
        world.grant(&org.id, &json!({ "source": source, "amount": amount })).await;
    }
    let answers = race(&world, &org, 12, |_| json!({ "operation": "verification.standard" })).await;
    assert_eq!(tally(&answers), BTreeMap::from([(201, 700), (402, 68)]));
    let lines = rows_add_up(&world, &org).await;
    // Once a debit has moved on to the next bucket, no later debit takes from the one before.
    let order: Vec<_> = lines
        .iter()
        .filter(|line| line["type"] == json!("DEBIT"))
        .flat_map(|line| line["sources"].as_array().unwrap().clone())
        .map(|share| {
            (share["source"].as_str().unwrap().to_owned(), share["lotId"].as_str().unwrap().to_owned())
        })
        .collect();
    let rank =
        |source: &str| ["subscription", "purchased", "bonus"].iter().position(|known| *known == source);
    assert!(order.windows(2).all(|pair| (rank(&pair[0].0), &pair[0].1) <= (rank(&pair[1].0), &pair[1].1)));
    assert_eq!(world.balance(&org.key).await["available"], json!(0));
}

/// Debits of different sizes from the same lots: what remains is less than any refused debit.
#[tokio::test(flavor = "multi_thread")]
async fn debits_of_every_size_add_up() {
    let world = Arc::new(World::demo().await);
    let org = world.open(500).await;
    for amount in [13, 500, 29] {
        world.grant(&org.id, &json!({ "source": "purchased", "amount": amount })).await;
    }
    let body = |n| {
        let operation = ["aml.basic", "aml.pep", "deepfake.video", "verification.biometric"][n % 4];
        json!({ "operation": operation })
    };
    let answers = race(&world, &org, 10, body).await;
    rows_add_up(&world, &org).await;
    let taken: u64 = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.data()["amount"].as_u64().unwrap())
        .sum();
    assert!(answers.iter().all(|answer| [201, 402].contains(&answer.status)), "{:?}", tally(&answers));
    let left = world.balance(&org.key).await["available"].as_u64().unwrap();
    assert_eq!(taken + left, 1042);
    assert!(left < 5, "{left} are left and a debit was refused");
}

/// One request sent by 64 clients at once is charged once, and every client gets the same answer.
#[tokio::test(flavor = "multi_thread")]
async fn one_request_from_many_places_is_charged_once() {
    let world = Arc::new(World::demo().await);
    let org = world.open(100).await;
    for round in 0..10 {
        let senders: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (world, org) = (world.clone(), org.clone());
                let name = format!("round-{round}");
                tokio::spawn(async move {
                    world.consume(&org.key, &name, &json!({ "operation": "aml.pep" })).await
                })
            })
            .collect();
        let mut answers = Vec::new();
        for sender in senders {
            answers.push(sender.await.unwrap());
        }
        let (made, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
        assert!(others.iter().all(|answer| answer.failure() == "409 OPERATION_IN_PROGRESS"
            && answer.header("retry-after") == Some("1")));
        assert!(!made.is_empty() && made.iter().all(|answer| answer.data() == made[0].data()));
        assert!(made.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count() <= 1);
        assert_eq!(world.balance(&org.key).await["usedCredits"], json!(2 * (round + 1)));
    }
    rows_add_up(&world, &org).await;
}

/// Grants arrive while debits are made: order and sums are correct.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_grants_and_debits_add_up() {
    let world = Arc::new(World::demo().await);
    let org = world.open(50).await;
    let giver = {
        let (world, org) = (world.clone(), org.clone());
        tokio::spawn(async move {
            for _ in 0..40 {
                world.grant(&org.id, &json!({ "source": "bonus", "amount": 25 })).await;
            }
        })
    };
    let answers = race(&world, &org, 10, |_| json!({ "operation": "aml.pep" })).await;
    giver.await.unwrap();
    assert!(answers.iter().all(|answer| [201, 402].contains(&answer.status)), "{:?}", tally(&answers));
    rows_add_up(&world, &org).await;
}

fn tally(answers: &[ApiAnswer]) -> BTreeMap<u16, usize> {
    answers.iter().fold(BTreeMap::new(), |mut tally, answer| {
        *tally.entry(answer.status).or_default() += 1;
        tally
    })
}
