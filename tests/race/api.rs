//! Many callers at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tests::{Answer, Org, World};

const CLIENTS: usize = 64;

/// Every client sends its debits one after the other; all answers come back.
async fn race(
    world: &Arc<World>,
    org: &Org,
    each: usize,
    body: fn(usize) -> serde_json::Value,
) -> Vec<Answer> {
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

/// The rows are numbered without a gap, each says what was left by the one before it, and together
/// they are the balance.
async fn books_balance(world: &World, org: &Org) -> Vec<serde_json::Value> {
    let mut lines = world.transactions(&org.key, "limit=100").await;
    let shown: Vec<_> = lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
    assert!(shown.windows(2).all(|pair| pair[0] == pair[1] + 1), "numbers fall by one from line to line");
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
    let told = world.balance(&org.key).await;
    assert_eq!((&told["available"], &told["asOf"]["sequence"]), (&json!(balance), &json!(lines.len())));
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
    let told = world.balance(&org.key).await;
    assert_eq!(told["available"], json!(20_000 - answers.len()));
    assert_eq!(told["usedCredits"], json!(answers.len()));
    assert_eq!(books_balance(&world, &org).await.len(), answers.len() + 1);
}

/// Credits in three buckets and many lots, taken by 64 clients until there are none: nobody is
/// refused while credits last, and not one too many is taken.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_while_credits_last() {
    let world = Arc::new(World::demo().await);
    let org = world.open(301).await;
    for (source, amount) in
        [("purchased", 97), ("bonus", 53), ("purchased", 1), ("bonus", 7), ("purchased", 211), ("bonus", 30)]
    {
        world.grant(&org.id, &json!({ "source": source, "amount": amount })).await;
    }
    let answers = race(&world, &org, 12, |_| json!({ "operation": "verification.standard" })).await;
    assert_eq!(tally(&answers), BTreeMap::from([(201, 700), (402, 68)]));
    let lines = books_balance(&world, &org).await;
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

/// Debits of different sizes over the same lots: what is left is too little for anybody refused.
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
    books_balance(&world, &org).await;
    let taken: u64 = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.data()["amount"].as_u64().unwrap())
        .sum();
    assert!(answers.iter().all(|answer| [201, 402].contains(&answer.status)), "{:?}", tally(&answers));
    let left = world.balance(&org.key).await["available"].as_u64().unwrap();
    assert_eq!(taken + left, 1042);
    assert!(left < 5, "{left} are left and somebody was refused");
}

/// One request, sent by 64 clients at once: charged once, and everyone who is answered is told the
/// same.
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
    books_balance(&world, &org).await;
}

/// Grants arrive while debits are taken: order and sums hold.
#[tokio::test(flavor = "multi_thread")]
async fn grants_and_debits_at_once_keep_the_books() {
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
    books_balance(&world, &org).await;
}

fn tally(answers: &[Answer]) -> BTreeMap<u16, usize> {
    answers.iter().fold(BTreeMap::new(), |mut tally, answer| {
        *tally.entry(answer.status).or_default() += 1;
        tally
    })
}
