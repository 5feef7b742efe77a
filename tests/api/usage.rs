//! Usage: every grouping adds up to the ledger.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::World;

const DAYS: &str = "from=2024-01-30T00:00:00Z&to=2024-02-04T00:00:00Z";

/// A ledger with debits of several operations, customers, members and services, over five days and the turn of a month: with
/// a refund, a hold that is captured in part, a batch and an operation without a price.
async fn story(world: &World) -> String {
    let org = world.open(40).await;
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 1_000 })).await;
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 500, "service": "biometric" })).await;
    let key = org.key;
    for day in 0..5_u64 {
        for (n, operation) in
            ["aml.pep", "verification.standard", "deepfake.video", "api.get"].iter().enumerate()
        {
            let mut body = json!({ "operation": operation, "quantity": day + 1 });
            if n != 1 {
                body["customerId"] = json!(format!("cust_{}", (day + n as u64) % 3));
            }
            if day % 2 == 0 {
                body["memberId"] = json!("ana");
            }
            if n == 2 {
                body["service"] = json!("biometric");
            }
            let made = world.consume(&key, &format!("{day}-{n}"), &body).await.created();
            if n == 0 && day == 1 {
                let body = json!({ "transactionId": made["transactionId"], "reason": "technical_failure", "amount": 1 });
                world.post("/api/v3/credits/refund", &key, "refund", &body).await.created();
            }
        }
        let hold = json!({ "operation": "kyt.wallet", "quantity": 3, "customerId": "cust_1" });
        let hold = world.post("/api/v3/credits/holds", &key, &format!("hold-{day}"), &hold).await.created();
        let hold = hold["holdId"].as_str().unwrap();
        let capture = format!("/api/v3/credits/holds/{hold}/capture");
        world.post(&capture, &key, &format!("capture-{day}"), &json!({ "amount": 4 })).await.created();
        let items = json!({ "items": [{ "operation": "aml.basic" }, { "operation": "aml.enhanced", "customerId": "cust_2" }] });
        world.post("/api/v3/credits/consume/batch", &key, &format!("batch-{day}"), &items).await.created();
        world.pass(86_400).await;
    }
    world.settle().await;
    key
}

async fn usage(world: &World, key: &str, query: &str) -> Value {
    world.get(&format!("/api/v3/credits/usage?{query}"), key).await.data()
}

fn points(of: &Value) -> Vec<i64> {
    of["points"].as_array().unwrap().iter().map(|point| point[1].as_i64().unwrap()).collect()
}

/// What a transaction adds to usage.
fn spent(line: &Value) -> i64 {
    let number = |name: &str| line[name].as_i64();
    match line["operation"].as_str().unwrap() {
        "credit.refund" => -number("amount").unwrap(),
        "credit.capture" => number("captured").unwrap(),
        own if own.starts_with("credit.") || own.starts_with("ledger.") => 0,
        _ => number("amount").unwrap(),
    }
}

/// The groups of a transaction, with what it adds to each.
fn groups_of(line: &Value, dimension: &str) -> Vec<(Option<String>, i64)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let operation = text(line.get("heldFor").unwrap_or(&line["operation"]));
    let category = |operation: &str| match operation.split('.').next().unwrap() {
        known @ ("verification" | "aml" | "deepfake" | "kyt") => known.to_owned(),
        "credit" => "refund".to_owned(),
        _ => "other".to_owned(),
    };
    let group = match dimension {
        "operation" => operation,
        "category" => operation.map(|name| category(&name)),
        "customer" => text(&line["customerId"]),
        "member" => text(&line["memberId"]),
        "service" => text(&line["service"]),
        _ => {
            let sign = spent(line).signum();
            let part = |part: &Value| (text(&part["source"]), sign * part["amount"].as_i64().unwrap());
            return line["sources"].as_array().unwrap().iter().map(part).collect();
        }
    };
    vec![(group, spent(line))]
}

/// The usage of each group, where it is not zero.
fn totals(groups: impl IntoIterator<Item = (Option<String>, i64)>) -> BTreeMap<Option<String>, i64> {
    let mut totals = BTreeMap::new();
    for (group, value) in groups {
        *totals.entry(group).or_default() += value;
    }
    totals.retain(|_, total| *total != 0);
    totals
}

#[tokio::test]
async fn every_group_has_the_usage_of_its_transactions() {
    let world = World::at("2024-01-30T09:30:00Z").await;
    let key = story(&world).await;
    let lines = world.transactions(&key, "").await;
    let refund = lines.iter().find(|line| line["operation"] == json!("credit.refund")).unwrap();
    assert_eq!(refund["customerId"], json!("cust_1"));
    for dimension in ["operation", "category", "customer", "member", "service", "source"] {
        let answer = usage(&world, &key, &format!("{DAYS}&groupBy={dimension}&limit=100")).await;
        let series = answer["series"].as_array().unwrap().iter();
        let found = series
            .map(|one| (one["key"][dimension].as_str().map(str::to_owned), one["total"].as_i64().unwrap()));
        let spending = lines.iter().filter(|line| spent(line) != 0);
        let expected = totals(spending.flat_map(|line| groups_of(line, dimension)));
        assert!(expected.len() >= 2, "{dimension}");
        assert_eq!(totals(found), expected, "{dimension}");
    }
}

#[tokio::test]
async fn every_grouping_adds_up_to_the_ledger() {
    let world = World::at("2024-01-30T09:30:00Z").await;
    let key = story(&world).await;
    let lines = world.transactions(&key, "").await;
    let mut days: BTreeMap<String, i64> = BTreeMap::new();
    for line in &lines {
        *days.entry(line["timestamp"].as_str().unwrap()[..10].to_owned()).or_default() += spent(line);
    }
    let expected: Vec<_> = ["2024-01-30", "2024-01-31", "2024-02-01", "2024-02-02", "2024-02-03"]
        .iter()
        .map(|day| days.get(*day).copied().unwrap_or_default())
        .collect();
    let whole: i64 = expected.iter().sum();
    assert_eq!(usage(&world, &key, DAYS).await["total"]["total"], json!(whole));
    let dimensions = ["operation", "category", "customer", "member", "key", "source", "service"];
    let pairs = dimensions.iter().flat_map(|one| dimensions.iter().map(move |two| (*one, *two)));
    let pairs = pairs.filter(|(one, two)| one != two).map(|(one, two)| format!("{one},{two}"));
    for groups in dimensions.iter().map(|one| (*one).to_owned()).chain(pairs) {
        let answer = usage(&world, &key, &format!("{DAYS}&groupBy={groups}&limit=100")).await;
        assert_eq!(points(&answer["total"]), expected, "{groups}");
        let mut sums = points(&answer["others"]);
        for series in answer["series"].as_array().unwrap() {
            sums.iter_mut().zip(points(series)).for_each(|(sum, point)| *sum += point);
            assert_eq!(series["total"], json!(points(series).iter().sum::<i64>()), "{groups}");
            assert_eq!(series["key"].as_object().unwrap().len(), groups.split(',').count(), "{groups}");
        }
        assert_eq!(sums, expected, "{groups}");
        assert_eq!(answer["truncated"], json!(false), "{groups}");
    }
    let few = usage(&world, &key, &format!("{DAYS}&groupBy=operation&limit=2")).await;
    assert_eq!(few["series"].as_array().unwrap().len(), 2);
    // An operation that costs nothing is no usage of credits.
    assert_eq!(few["others"]["groups"], json!(5));
    let sums = |one: &Value| one["total"].as_i64().unwrap();
    assert_eq!(few["series"].as_array().unwrap().iter().map(sums).sum::<i64>() + sums(&few["others"]), whole);
}

/// A filter leaves the usage that the group of the same name has.
#[tokio::test]
async fn a_filter_leaves_its_group_alone() {
    let world = World::at("2024-01-30T09:30:00Z").await;
    let key = story(&world).await;
    let mut compared = 0;
    for (dimension, filter) in [
        ("operation", "operation"),
        ("category", "category"),
        ("customer", "customerId"),
        ("member", "memberId"),
        ("key", "keyId"),
        ("source", "source"),
        ("service", "service"),
    ] {
        for granularity in ["daily", "hourly", "weekly", "monthly"] {
            let range = format!("{DAYS}&granularity={granularity}");
            let grouped = usage(&world, &key, &format!("{range}&groupBy={dimension}&limit=100")).await;
            for series in grouped["series"].as_array().unwrap() {
                let Some(name) = series["key"][dimension].as_str() else { continue };
                let alone = usage(&world, &key, &format!("{range}&{filter}={name}")).await;
                assert_eq!(alone["total"]["points"], series["points"], "{dimension} {granularity} {name}");
                compared += 1;
            }
        }
    }
    assert!(compared > 60, "{compared}");
    let both = usage(&world, &key, &format!("{DAYS}&customerId=cust_1&memberId=ana")).await;
    let lines = world.transactions(&key, "customerId=cust_1&memberId=ana").await;
    assert_eq!(both["total"]["total"], json!(lines.iter().map(spent).sum::<i64>()));
}

#[tokio::test]
async fn points_are_named_by_their_beginning_in_utc() {
    let world = World::at("2024-01-30T09:30:00Z").await;
    let key = story(&world).await;
    let starts = |answer: &Value| {
        let points = answer["total"]["points"].as_array().unwrap();
        points.iter().map(|point| point[0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let weeks = usage(&world, &key, &format!("{DAYS}&granularity=weekly")).await;
    assert_eq!(starts(&weeks), ["2024-01-29T00:00:00Z"]);
    let months = usage(&world, &key, &format!("{DAYS}&granularity=monthly&measure=calls")).await;
    assert_eq!(starts(&months), ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"]);
    // Each day has four debits, a capture and two items of a batch.
    assert_eq!(points(&months["total"]), [14, 21]);
    let hours =
        usage(&world, &key, "granularity=hourly&from=2024-01-31T08:59:00Z&to=2024-01-31T10:01:00Z").await;
    assert_eq!(starts(&hours), ["2024-01-31T08:00:00Z", "2024-01-31T09:00:00Z", "2024-01-31T10:00:00Z"]);
    let now = usage(&world, &key, "").await;
    assert_eq!((&now["from"], &now["to"]), (&json!("2024-01-05T00:00:00Z"), &json!("2024-02-05T00:00:00Z")));
    assert_eq!(now["timeZone"], json!("UTC"));
    assert_eq!(now["asOf"]["sequence"], json!(world.transactions(&key, "limit=1").await[0]["sequence"]));
    assert_eq!(starts(&now).len(), 31);
}

/// A clock that stands on the beginning of a point: what happens now counts.
#[tokio::test]
async fn usage_of_this_instant_counts() {
    let world = World::at("2024-01-30T00:00:00Z").await;
    let org = world.open(100).await;
    world.consume(&org.key, "now", &json!({ "operation": "aml.pep" })).await.created();
    world.settle().await;
    for query in ["", "granularity=hourly", "to=2030-01-01T00:00:00Z", "from=2024-01-30T00:00:00Z"] {
        assert_eq!(usage(&world, &org.key, query).await["total"]["total"], json!(2), "{query}");
    }
    for (range, points) in
        [("from=2024-01-29T00:00:00Z&to=2024-01-29T00:00:00Z", 0), ("to=2024-01-29T23:59:59Z", 31)]
    {
        let none = usage(&world, &org.key, range).await;
        assert_eq!(
            (&none["total"]["total"], none["total"]["points"].as_array().unwrap().len()),
            (&json!(0), points)
        );
    }
    assert_eq!(forecast(&world, &org.key).await["daysKnown"], json!(0));
}

#[tokio::test]
async fn ranges_and_groups_have_limits() {
    let world = World::at("2024-01-30T09:30:00Z").await;
    let org = world.open(1_000).await;
    for (query, field) in [
        ("from=2024-01-02T00:00:00Z&to=2024-01-01T00:00:00Z", "from"),
        ("from=2022-01-02T00:00:00Z", "from"),
        ("from=2024-02-01T00:00:00Z&to=2024-03-01T00:00:00Z", "from"),
        ("from=2022-12-26T09:29:59Z", "from"),
        ("granularity=hourly&from=2023-12-01T00:00:00Z", "from"),
        ("granularity=monthly&from=2020-01-01T00:00:00Z", "from"),
        ("granularity=monthly&groupBy=customer&from=2022-12-01T00:00:00Z", "from"),
        ("granularity=yearly", "granularity"),
        ("groupBy=colour", "groupBy"),
        ("groupBy=operation,operation", "groupBy"),
        ("groupBy=operation,source,key", "groupBy"),
        ("groupBy=", "groupBy"),
        ("measure=euros", "measure"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("timeZone=Europe/London", "timeZone"),
        ("category=fish", "category"),
        ("unknown=1", "unknown"),
    ] {
        let answer = world.get(&format!("/api/v3/credits/usage?{query}"), &org.key).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{query}");
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{query} {}", answer.body);
    }
    for query in
        ["from=2023-01-01T00:00:00Z", "granularity=monthly&from=2021-03-01T00:00:00Z", "timeZone=UTC"]
    {
        let answer = usage(&world, &org.key, query).await;
        assert_eq!(answer["total"]["total"], json!(0), "{query}");
    }
}

async fn forecast(world: &World, key: &str) -> Value {
    world.get("/api/v3/credits/usage/forecast", key).await.data()
}

#[tokio::test]
async fn a_month_is_forecast_from_seven_days_on() {
    let world = World::at("2024-01-10T12:00:00Z").await;
    let org = world.open(600).await;
    let body = json!({ "operation": "aml.pep", "quantity": 10 });
    for day in 0..7 {
        let young = forecast(&world, &org.key).await;
        assert_eq!(
            (&young["status"], &young["daysKnown"]),
            (&json!("notEnoughData"), &json!(day)),
            "{young}"
        );
        assert!(young["monthEnd"].is_null() && young["runsOut"].is_null() && young["package"].is_null());
        world.consume(&org.key, &format!("day-{day}"), &body).await.created();
        world.pass(86_400).await;
        world.settle().await;
    }
    // 140 credits are used by the 17th, and the 15 days from then on use 20 each.
    let known = forecast(&world, &org.key).await;
    assert_eq!((&known["status"], &known["usedSoFar"]), (&json!("known"), &json!(140)), "{known}");
    let expected = known["monthEnd"]["expected"].as_u64().unwrap();
    assert!((420..=440).contains(&expected), "{known}");
    let [low, high] = ["low", "high"].map(|name| known["monthEnd"][name].as_u64().unwrap());
    assert!(low <= expected && expected <= high, "{known}");
    assert_eq!((&known["needed"]["expected"], &known["package"]), (&json!(0), &Value::Null), "{known}");
    assert!(known["method"].as_str().unwrap().contains("mean"));
    assert_eq!(known["asOf"]["sequence"], json!(8));
    world.consume(&org.key, "today", &json!({ "operation": "aml.pep" })).await.created();
    world.settle().await;
    assert_eq!(forecast(&world, &org.key).await["usedSoFar"], json!(142));
    // Credits of a service would not pay for this usage, however cheap they are.
    let price = json!({ "amount": 1, "currency": "GBP" });
    let faces = json!({ "name": "Faces", "credits": 1000, "price": price, "service": "biometric" });
    world.put("/admin/v1/packages/faces", world.operator(), &faces).await.data();
    // Twice as much from now on: the balance does not last until the end of the month.
    for day in 7..14 {
        world
            .consume(&org.key, &format!("day-{day}"), &json!({ "operation": "aml.pep", "quantity": 22 }))
            .await
            .created();
        world.pass(86_400).await;
    }
    world.settle().await;
    let short = forecast(&world, &org.key).await;
    assert!(short["needed"]["high"].as_u64().unwrap() > 0, "{short}");
    assert_eq!(short["package"], json!({ "package": "growth", "quantity": 1 }), "{short}");
    let day = |name: &str| short["runsOut"][name].as_str().unwrap().to_owned();
    assert!("2024-01-24" <= day("earliest").as_str() && day("earliest") <= day("expected"), "{short}");
    let answer = world.get("/api/v3/credits/usage/forecast?days=3", &org.key).await;
    assert_eq!(answer.failure(), "400 VALIDATION_ERROR");
}

#[tokio::test]
async fn costs_of_every_grouping_add_up() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    world.post("/api/v3/credits/purchase", &org.key, "buy", &body).await.created();
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 9, "service": "biometric" })).await;
    for n in 0..43 {
        let body = json!({
            "operation": "verification.standard", "quantity": 3, "customerId": format!("cust_{}", n % 7),
            "memberId": format!("member_{}", n % 2)
        });
        world.consume(&org.key, &format!("debit-{n}"), &body).await.created();
    }
    let body = json!({ "operation": "aml.adverse_media", "quantity": 3, "service": "biometric" });
    world.consume(&org.key, "bonus", &body).await.created();
    world.settle().await;
    // 100 credits of the plan (£299 for 5,000), 29 bought ones (£49 for 500) and, reserved for the service, 9 bonus credits
    // that are taken only after bought ones.
    let total = 598 + 38 * 4_900 / 500;
    for group in
        ["operation", "customer", "member", "source", "key", "service", "category", "operation,source"]
    {
        let usage = usage(&world, &org.key, &format!("measure=cost&groupBy={group}")).await;
        let sums: Vec<i64> =
            usage["series"].as_array().unwrap().iter().map(|one| one["total"].as_i64().unwrap()).collect();
        assert_eq!(sums.iter().sum::<i64>(), total, "{group}: {usage}");
        assert_eq!(usage["total"]["total"], json!(total), "{group}");
        assert_eq!(
            usage["cost"],
            json!({ "currency": "GBP", "includesListPrices": true, "unpricedCredits": 0 }),
            "{group}"
        );
    }
    let by_source = usage(&world, &org.key, "measure=cost&groupBy=source").await;
    let of = |source: &str| {
        let series = by_source["series"].as_array().unwrap();
        series.iter().find(|one| one["key"]["source"] == source).map(|one| one["total"].clone())
    };
    assert_eq!((of("subscription"), of("purchased")), (Some(json!(598)), Some(json!(total - 598))));
}

#[tokio::test]
async fn credits_without_a_known_price_are_counted() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(0).await;
    world
        .put(
            &format!("/admin/v1/organisations/{}/post-paid", org.id),
            world.operator(),
            &json!({ "limit": 10 }),
        )
        .await
        .data();
    // Given as purchased, and not paid for: what they cost is not known. Bonus credits cost nothing.
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 3 })).await;
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 5 })).await;
    let debit = json!({ "operation": "verification.standard", "quantity": 15 });
    world.consume(&org.key, "debit", &debit).await.created();
    world.settle().await;
    let usage = usage(&world, &org.key, "measure=cost").await;
    assert_eq!(usage["total"]["total"], json!(0));
    assert_eq!(
        usage["cost"],
        json!({ "currency": "GBP", "includesListPrices": false, "unpricedCredits": 10 })
    );
}
