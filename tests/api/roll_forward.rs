//! The roll-forward of deferred revenue, as operators get it.

use domain::{AccountId, Mode, OrgId, Period, Source, ValueFlow, ValueFlows};
use local::engine::Engine;
use local::{ACTIVITY_TABLE, DataLocation, LocalMachine, Options, Seed};
use serde_json::{Value, json};
use store::Activity;
use tests::{Dice, EVERY_SCOPE, Org, World, unique};

use super::lots::step;
use super::statements::statement;

const REPORT: &str = "/admin/v1/reports/roll-forward";
const DAY: u64 = 86_400;
const COLUMNS: [&str; 8] =
    ["opening", "sold", "used", "expired", "refunded", "disputed", "adjusted", "closing"];

/// A machine without organisations, on a database of its own or one that the test can read.
async fn empty(now: &str, engine: Option<&Engine>) -> World {
    let (data, now) = (DataLocation::Memory, Some(now.parse().unwrap()));
    let endpoint = engine.map(|engine| format!("http://{}", engine.serve(0).unwrap()));
    let options = Options { port: 0, data, seed: Seed::Empty, now, mail: false, endpoint };
    World::running(LocalMachine::start(options).await.unwrap()).await
}

/// The report of a month, prepared if it is not there yet.
async fn report(world: &World, query: &str) -> Value {
    let path = format!("{REPORT}?{query}");
    for _ in 0..20 {
        let answer = world.get(&path, world.operator()).await;
        if answer.status == 200 {
            return answer.data();
        }
        assert_eq!((answer.status, answer.header("retry-after")), (202, Some("5")), "{answer:?}");
        assert_eq!(answer.data()["complete"], json!(false));
        world.settle().await;
    }
    panic!("{path} is never complete");
}

fn amounts(flow: &Value) -> [i64; 8] {
    COLUMNS.map(|column| flow[column].as_i64().unwrap())
}

/// The amounts of a bucket, or of the total.
fn bucket(report: &Value, name: &str) -> [i64; 8] {
    let [section] = report["currencies"].as_array().unwrap().as_slice() else { panic!("{report}") };
    let buckets = section["buckets"].as_array().unwrap();
    amounts(buckets.iter().find(|bucket| bucket["bucket"] == name).unwrap_or(&section["total"]))
}

async fn buy(world: &World, key: &str) -> String {
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let bought = world.post("/api/v3/credits/purchase", key, &unique(), &body).await.created();
    bought["transactionId"].as_str().unwrap().to_owned()
}

async fn spend(world: &World, org: &Org, quantity: u64) -> String {
    let body = json!({ "operation": "verification.standard", "quantity": quantity });
    let debit = world.consume(&org.key, &unique(), &body).await.created();
    debit["transactionId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_report_says_what_was_sold_used_and_refunded() {
    let world = empty("2024-01-15T10:30:00Z", None).await;
    let org = world.open(100).await;
    // 500 credits for £49. The professional plan's list price is £299 for 5,000 credits.
    let purchase = buy(&world, &org.key).await;
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 10 })).await;
    let debit = spend(&world, &org, 130).await;
    // What a test ledger does never counts.
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let body = json!({ "mode": "test", "scopes": EVERY_SCOPE });
    let test = world.post(&path, world.operator(), &unique(), &body).await.created();
    buy(&world, test["key"].as_str().unwrap()).await;
    world.pass(20 * DAY).await;
    // A late refund of a debit, and half of the money.
    let body = json!({ "transactionId": debit, "reason": "technical_failure", "amount": 5 });
    world.post("/api/v3/credits/refund", &org.key, &unique(), &body).await.created();
    let path = format!("/admin/v1/organisations/{}/purchases/{purchase}/refund", org.id);
    let body = json!({ "amount": 2450, "reason": "too many credits" });
    world.post(&path, world.operator(), &unique(), &body).await;
    world.settle().await;
    world.pass(30 * DAY).await;
    world.settle().await;

    let january = report(&world, "month=2024-01").await;
    assert_eq!(january["complete"], json!(true));
    assert_eq!((&january["organisations"], &january["unpricedCredits"]), (&json!(1), &json!(0)));
    assert_eq!(january["ledgersHash"].as_str().unwrap().len(), 64);
    assert_eq!(bucket(&january, "subscription"), [0, 598, 598, 0, 0, 0, 0, 0]);
    assert_eq!(bucket(&january, "purchased"), [0, 4_900, 294, 0, 0, 0, 0, 4_606]);
    assert_eq!(bucket(&january, "bonus"), [0; 8]);
    assert_eq!(bucket(&january, "total"), [0, 5_498, 892, 0, 0, 0, 0, 4_606]);
    let february = report(&world, "month=2024-02").await;
    // What is left of February's allowance expires with March's renewal.
    assert_eq!(bucket(&february, "subscription"), [0, 598, 0, 0, 0, 0, 0, 598]);
    assert_eq!(bucket(&february, "purchased"), [4_606, 0, -49, 0, 2_450, 0, 0, 2_205]);
    let bases = february["currencies"][0]["buckets"].as_array().unwrap().iter();
    let bases: Vec<_> = bases.map(|bucket| bucket["basis"].as_str().unwrap()).collect();
    assert_eq!(bases, ["listPrice", "pricePaid", "nothing"]);
    assert_eq!(report(&world, "month=2024-01&currency=GBP").await["currencies"], january["currencies"]);
    assert_eq!(bucket(&report(&world, "month=2024-01&currency=EUR").await, "total"), [0; 8]);
    // Nothing happened in December: there was no organisation.
    let december = report(&world, "month=2023-12").await;
    assert_eq!((&december["organisations"], &december["currencies"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn a_report_is_of_a_month_that_is_over() {
    let world = empty("2024-01-31T23:59:59Z", None).await;
    let org = world.open(100).await;
    for (query, problem) in [
        ("", "400 VALIDATION_ERROR"),
        ("month=2024-01", "400 VALIDATION_ERROR"),
        ("month=2024-02", "400 VALIDATION_ERROR"),
        ("month=2024-13", "400 VALIDATION_ERROR"),
        ("month=1999-12", "400 VALIDATION_ERROR"),
        ("month=2023-12&currency=XXX", "400 VALIDATION_ERROR"),
        ("month=2023-12&bucket=bonus", "400 VALIDATION_ERROR"),
    ] {
        let refused = world.get(&format!("{REPORT}?{query}"), world.operator()).await;
        assert_eq!(refused.failure(), problem, "{query}");
    }
    let open = world.get(&format!("{REPORT}?month=2024-01"), world.operator()).await;
    let problem = open.body["error"]["details"]["fields"]["month"].as_str().unwrap();
    assert_eq!(problem, "must be a month that is over: 2023-12 or earlier; 2024-01 ends on 2024-01-31");
    let path = format!("{REPORT}?month=2023-12");
    assert_eq!(world.get(&path, &org.key).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert_eq!(world.get(&path, "").await.failure(), "401 MISSING_API_KEY");
}

/// What the stored values of organisations add up to.
async fn sum(engine: &Engine, orgs: impl Iterator<Item = &Org>, month: &str) -> ValueFlows {
    let activity = Activity::new(&engine.dynamodb_config().build(), ACTIVITY_TABLE);
    let month = Period::try_from(month.to_owned()).unwrap();
    let mut sum = ValueFlows::default();
    for org in orgs {
        let account = AccountId { org: OrgId::try_from(org.id.clone()).unwrap(), mode: Mode::Live };
        let value = activity.latest_month_value(account, month).await.unwrap().unwrap();
        assert_eq!(value.month, month);
        sum.add(&value.flows);
    }
    sum
}

/// Random months of several organisations: the report is closed in itself, continues the month before, and sells what the
/// statements say was paid. It is the sum of the organisations' values, and without credits there is no value left.
#[tokio::test]
async fn reports_of_random_histories_roll_forward() {
    let engine = Engine::temporary().unwrap();
    let world = empty("2024-01-15T10:30:00Z", Some(&engine)).await;
    let mut orgs = vec![];
    for seed in 0..3 {
        let org = world.open(60).await;
        if seed == 1 {
            let path = format!("/admin/v1/organisations/{}/post-paid", org.id);
            world.put(&path, world.operator(), &json!({ "limit": 90 })).await.data();
        }
        orgs.push((org, Dice(seed + 40), vec![], vec![]));
    }
    for _ in 0..25 {
        for (org, dice, debits, purchases) in &mut orgs {
            step(&world, org, dice, debits, purchases).await;
        }
        world.pass(2 * DAY).await;
    }
    while world.get("/_local/clock", "").await.data()["now"].as_str().unwrap() < "2024-04-01T00:10:00Z" {
        world.pass(5 * DAY).await;
    }
    world.settle().await;
    let mut before: Option<Value> = None;
    for month in ["2024-01", "2024-02", "2024-03"] {
        let found = report(&world, &format!("month={month}")).await;
        assert_eq!(found["organisations"], json!(3));
        let mut paid = 0;
        let mut has_purchased = false;
        for (org, ..) in &orgs {
            let statement = statement(&world, org, month).await;
            paid += statement["purchases"]["paid"][0]["amount"].as_i64().unwrap_or(0);
            has_purchased |= statement["buckets"]["purchased"]["closing"] != json!(0);
            has_purchased |= statement["held"]["closing"] != json!(0);
        }
        for name in ["subscription", "purchased", "bonus", "total"] {
            let [opening, sold, used, expired, refunded, disputed, adjusted, closing] = bucket(&found, name);
            assert_eq!(closing, opening + sold - used - expired - refunded - disputed + adjusted, "{name}");
            assert_eq!(opening, before.as_ref().map_or(0, |before| bucket(before, name)[7]), "{name}");
            assert!(closing >= 0, "{name} {found}");
        }
        assert_eq!(bucket(&found, "purchased")[1], paid, "{month}");
        assert!(has_purchased || bucket(&found, "purchased")[7] == 0, "{month}");
        let sum = sum(&engine, orgs.iter().map(|(org, ..)| org), month).await;
        for source in [Source::Subscription, Source::Purchased] {
            let ValueFlow { opening, sold, used, expired, refunded, disputed, adjusted, closing } =
                sum.of(source, "GBP");
            let values = [opening, sold, used, expired, refunded, disputed, adjusted, closing];
            assert_eq!(bucket(&found, source.as_str()), values, "{month}");
        }
        // A report never changes.
        assert_eq!(report(&world, &format!("month={month}")).await, found);
        before = Some(found);
    }
}
