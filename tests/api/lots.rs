//! Lots: where the credits of every grant, purchase and allowance are.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::{Dice, Org, World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";
const LOTS: &str = "/api/v3/credits/lots";

async fn lots(world: &World, key: &str, query: &str) -> Vec<Value> {
    world.get(&format!("{LOTS}?{query}"), key).await.data().as_array().unwrap().clone()
}

async fn buy(world: &World, org: &Org) -> Value {
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created()
}

async fn spend(world: &World, org: &Org, quantity: u64, service: Option<&str>) -> Option<String> {
    let body = json!({ "operation": "verification.standard", "quantity": quantity, "service": service });
    let answer = world.consume(&org.key, &unique(), &body).await;
    (answer.status == 201).then(|| answer.data()["transactionId"].as_str().unwrap().to_owned())
}

fn number(lot: &Value, name: &str) -> u64 {
    lot[name].as_u64().unwrap()
}

#[tokio::test]
async fn every_credit_of_a_lot_is_somewhere() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let bought = buy(&world, &org).await;
    let end = "2024-01-16T00:00:00Z";
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 10, "expiresAt": end })).await;
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 7, "service": "biometric" })).await;
    spend(&world, &org, 130, None).await.unwrap();
    let hold = json!({ "operation": "verification.standard", "quantity": 5 });
    world.post("/api/v3/credits/holds", &org.key, "hold", &hold).await.created();
    // Not all of it is counted yet, and nothing is missing.
    let early = lots(&world, &org.key, "").await;
    world.settle().await;
    let all = lots(&world, &org.key, "").await;
    assert_eq!(early, all);
    let [service, bonus, purchase, month] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        (&service["service"], &service["remaining"], &service["status"]),
        (&json!("biometric"), &json!(7), &json!("active"))
    );
    assert_eq!((&bonus["remaining"], &bonus["expiresAt"]), (&json!(10), &json!(end)));
    assert_eq!(
        *purchase,
        json!({
            "lotId": purchase["lotId"], "source": "purchased", "service": null, "status": "active", "amount": 500,
            "used": 30, "held": 5, "remaining": 465, "expired": 0, "withdrawn": 0, "moved": 0,
            "price": { "amount": 4900, "currency": "GBP", "isListPrice": false },
            "transactionId": bought["transactionId"], "createdAt": NOW, "expiresAt": null
        })
    );
    // The professional plan's list price is £299 for 5,000 credits, so 100 of them cost £5.98.
    assert_eq!(
        *month,
        json!({
            "lotId": "sub_2024-01", "source": "subscription", "service": null, "status": "spent", "amount": 100,
            "used": 100, "held": 0, "remaining": 0, "expired": 0, "withdrawn": 0, "moved": 0,
            "price": { "amount": 598, "currency": "GBP", "isListPrice": true },
            "transactionId": month["transactionId"], "createdAt": month["createdAt"], "expiresAt": "2024-02-01T00:00:00Z"
        })
    );
    world.pass(86_400).await;
    let expired = lots(&world, &org.key, "status=expired").await;
    let [expired] = expired.as_slice() else { panic!("{expired:?}") };
    assert_eq!(
        (&expired["lotId"], &expired["expired"], &expired["remaining"]),
        (&bonus["lotId"], &json!(10), &json!(0))
    );
    for (query, count) in [
        ("status=active", 2),
        ("status=spent", 1),
        ("status=disputed", 0),
        ("source=bonus", 2),
        ("service=biometric", 1),
    ] {
        assert_eq!(lots(&world, &org.key, query).await.len(), count, "{query}");
    }
}

/// Beyond four lots on the same terms, purchases join the youngest of them: it costs what all of them cost.
#[tokio::test]
async fn a_lot_of_several_purchases_costs_their_sum() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    for _ in 0..6 {
        buy(&world, &org).await;
    }
    world.settle().await;
    let found = lots(&world, &org.key, "source=purchased").await;
    let prices: Vec<_> =
        found.iter().map(|lot| (number(lot, "amount"), number(&lot["price"], "amount"))).collect();
    assert_eq!(prices, [(1_500, 14_700), (500, 4_900), (500, 4_900), (500, 4_900)]);
}

/// More than fifty open holds are not examined: what they hold counts as used.
#[tokio::test]
async fn what_many_holds_have_set_aside_is_not_known() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let hold = json!({ "operation": "verification.standard", "expiresInSeconds": 86_400 });
    for (open, expected) in [(50, json!([0, 50, 50])), (1, json!([51, null, 49]))] {
        for _ in 0..open {
            world.post("/api/v3/credits/holds", &org.key, &unique(), &hold).await.created();
        }
        world.settle().await;
        let [lot] = lots(&world, &org.key, "").await.try_into().unwrap();
        assert_eq!(json!([lot["used"], lot["held"], lot["remaining"]]), expected, "{lot}");
    }
}

#[tokio::test]
async fn a_disputed_purchase_is_named() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let bought = buy(&world, &org).await;
    spend(&world, &org, 100, None).await.unwrap();
    let purchase = bought["transactionId"].as_str().unwrap();
    let dispute = |action: &'static str| {
        let path = format!("/_local/payments/{purchase}/dispute");
        let world = &world;
        async move {
            world.post_plain(&path, &json!({ "action": action })).await.data();
            world.settle().await;
            let [lot] = lots(world, &org.key, "").await.try_into().unwrap();
            (
                lot["status"].clone(),
                number(&lot, "used"),
                number(&lot, "withdrawn"),
                number(&lot, "remaining"),
            )
        }
    };
    let opened = dispute("open").await;
    assert_eq!(opened, (json!("disputed"), 100, 400, 0));
}

#[tokio::test]
async fn pages_of_lots_meet() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    for amount in 1..=3_u64 {
        world.grant(&org.id, &json!({ "source": "bonus", "amount": amount, "service": "api" })).await;
        world.pass(3_600).await;
    }
    let mut found = vec![];
    let mut path = format!("{LOTS}?limit=1");
    loop {
        let page = world.get(&path, &org.key).await;
        found.extend(page.data().as_array().unwrap().iter().map(|lot| number(lot, "amount")));
        match page.body["meta"]["pagination"]["nextCursor"].as_str() {
            Some(next) => path = format!("{LOTS}?limit=1&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, [3, 2, 1]);
    for (query, problem) in [
        ("status=gone", "400 VALIDATION_ERROR"),
        ("limit=0", "400 VALIDATION_ERROR"),
        ("limit=101", "400 VALIDATION_ERROR"),
        ("lot=1", "400 VALIDATION_ERROR"),
        ("cursor=abc", "400 INVALID_CURSOR"),
    ] {
        assert_eq!(world.get(&format!("{LOTS}?{query}"), &org.key).await.failure(), problem, "{query}");
    }
}

/// The lots that a refusal names.
async fn passed_over(world: &World, org: &Org, body: &Value) -> Value {
    let refused = world.consume(&org.key, &unique(), body).await;
    assert_eq!(refused.failure(), "402 INSUFFICIENT_CREDITS");
    refused.body["error"]["details"]["passedOver"].clone()
}

#[tokio::test]
async fn a_refusal_names_the_lots_that_it_passed_over() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let body = json!({ "operation": "verification.standard" });
    assert_eq!(passed_over(&world, &org, &body).await, Value::Null);
    let service =
        world.grant(&org.id, &json!({ "source": "bonus", "amount": 15, "service": "biometric" })).await;
    let of_service = json!({ "lotId": service["creditId"], "source": "bonus", "amount": 15, "reason": "otherService", "service": "biometric" });
    assert_eq!(passed_over(&world, &org, &body).await, json!([of_service]));
    let more = json!({ "operation": "verification.standard", "quantity": 16, "service": "biometric" });
    assert_eq!(passed_over(&world, &org, &more).await, Value::Null);
    let bought = buy(&world, &org).await;
    let path = format!("/_local/payments/{}/dispute", bought["transactionId"].as_str().unwrap());
    world.post_plain(&path, &json!({ "action": "open" })).await.data();
    world.settle().await;
    let disputed = passed_over(&world, &org, &body).await;
    assert_eq!(disputed[0], of_service);
    assert_eq!((&disputed[1]["amount"], &disputed[1]["reason"]), (&json!(500), &json!("disputed")));
    let quote = world.post("/api/v3/credits/quote", &org.key, "", &body).await.data();
    assert_eq!(quote["error"]["details"]["passedOver"], disputed, "{quote}");
}

/// One of the things that happen to an account. What is refused changes nothing.
pub(crate) async fn step(
    world: &World,
    org: &Org,
    dice: &mut Dice,
    debits: &mut Vec<String>,
    purchases: &mut Vec<String>,
) {
    let amount = dice.roll(30) + 1;
    match dice.roll(12) {
        0 => purchases.push(buy(world, org).await["transactionId"].as_str().unwrap().to_owned()),
        1 => {
            let end = world.balance(&org.key).await["nextRenewal"].clone();
            world.grant(&org.id, &json!({ "source": "bonus", "amount": amount, "expiresAt": end })).await;
        }
        2 => {
            let body = json!({ "source": "purchased", "amount": amount, "service": "api" });
            world
                .post(
                    &format!("/admin/v1/organisations/{}/grants", org.id),
                    world.operator(),
                    &unique(),
                    &body,
                )
                .await;
        }
        3 | 4 => {
            let body = json!({ "operation": "verification.standard", "quantity": amount, "expiresInSeconds": 3_600 });
            let hold = world.post("/api/v3/credits/holds", &org.key, &unique(), &body).await;
            if hold.status == 201 && dice.roll(2) == 0 {
                let path =
                    format!("/api/v3/credits/holds/{}/capture", hold.data()["holdId"].as_str().unwrap());
                let body = json!({ "amount": dice.roll(amount) + 1, "final": dice.roll(2) == 0 });
                world.post(&path, &org.key, &unique(), &body).await;
            }
        }
        5 | 6 => {
            if let Some(debit) = debits.pop() {
                let body = json!({ "transactionId": debit, "reason": "technical_failure" });
                world.post("/api/v3/credits/refund", world.operator(), &unique(), &body).await;
                let body = json!({ "transactionId": debit, "reason": "technical_failure", "amount": 1 });
                world.post("/api/v3/credits/refund", &org.key, &unique(), &body).await;
            }
        }
        7 => {
            let sign = if dice.roll(2) == 0 { -1 } else { 1 };
            let body = json!({ "amount": sign * i64::try_from(amount).unwrap(), "reason": "a test" });
            let path = format!("/admin/v1/organisations/{}/adjustments", org.id);
            world.post(&path, world.operator(), &unique(), &body).await;
        }
        8 => {
            if let Some(purchase) = purchases.pop() {
                let action = ["open", "win", "lose"][usize::try_from(dice.roll(3)).unwrap()];
                for action in ["open", action] {
                    let path = format!("/_local/payments/{purchase}/dispute");
                    world.post_plain(&path, &json!({ "action": action })).await;
                }
                world.settle().await;
            }
        }
        9 => world.pass(dice.roll(12) * 86_400 + 90).await,
        _ => {
            let service = (dice.roll(3) == 0).then_some("api");
            debits.extend(spend(world, org, amount, service).await);
        }
    }
}

/// Whatever happens: the parts of every lot add up to it, and all lots to the balance and to the usage of their source.
#[tokio::test]
async fn lots_add_up_to_the_balance_and_to_usage() {
    let world = World::at(NOW).await;
    for seed in 0..3 {
        let org = world.open(60).await;
        let (mut debits, mut purchases) = (vec![], vec![]);
        let mut dice = Dice(seed);
        for _ in 0..60 {
            step(&world, &org, &mut dice, &mut debits, &mut purchases).await;
        }
        world.settle().await;
        let all = lots(&world, &org.key, "limit=100").await;
        let (mut used, mut remaining) = (BTreeMap::<String, i64>::new(), BTreeMap::<String, u64>::new());
        for lot in &all {
            let parts: u64 = ["used", "held", "remaining", "expired", "withdrawn", "moved"]
                .iter()
                .map(|name| number(lot, name))
                .sum();
            assert_eq!(number(lot, "amount"), parts, "seed {seed}: {lot}");
            let source = lot["source"].as_str().unwrap().to_owned();
            *used.entry(source.clone()).or_default() += i64::try_from(number(lot, "used")).unwrap();
            *remaining.entry(source).or_default() += number(lot, "remaining");
        }
        let balance = world.balance(&org.key).await;
        let counted = |source: &str| remaining.get(source).copied().unwrap_or(0);
        let held: u64 = all.iter().map(|lot| number(lot, "held")).sum();
        assert_eq!(balance["heldCredits"], json!(held), "seed {seed}");
        assert_eq!(balance["subscriptionCredits"], json!(counted("subscription")), "seed {seed}");
        assert_eq!(balance["purchasedCredits"], json!(counted("purchased")), "seed {seed}");
        assert_eq!(balance["bonusCredits"], json!(counted("bonus")), "seed {seed}");
        let path = "/api/v3/credits/usage?from=2024-01-01T00:00:00Z&groupBy=source&granularity=monthly";
        let usage = world.get(path, &org.key).await.data();
        let mut by_source: BTreeMap<String, i64> = BTreeMap::new();
        for series in usage["series"].as_array().unwrap() {
            if let Some(source) = series["key"]["source"].as_str().filter(|source| *source != "postPaid") {
                by_source.insert(source.to_owned(), series["total"].as_i64().unwrap());
            }
        }
        used.retain(|_, amount| *amount != 0);
        by_source.retain(|_, amount| *amount != 0);
        assert_eq!(used, by_source, "seed {seed}");
    }
}
