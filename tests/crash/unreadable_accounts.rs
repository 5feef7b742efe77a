//! An account whose item was damaged: it stops, every other account goes on, and an operator sees why, freezes it
//! and repairs it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local::LEDGER_TABLE;
use local::engine::Engine;
use serde_json::{Value, json};
use tests::{AlarmLog, ApiAnswer, Org, TableItem, World, unique};

/// A machine on a database that the test can change.
struct Tampered {
    world: World,
    client: Client,
    _engine: Engine,
}

impl Tampered {
    async fn new() -> Self {
        let engine = Engine::temporary().unwrap();
        let address = engine.serve(0).unwrap();
        let world = World::on(&format!("http://{address}"), "2024-01-15T09:00:00Z").await;
        Self { world, client: Client::from_conf(engine.dynamodb_config().build()), _engine: engine }
    }

    async fn account(&self, org: &str) -> TableItem {
        let get = self.client.get_item().table_name(LEDGER_TABLE).consistent_read(true);
        let get = get.key("pk", AttributeValue::S(format!("ACCT#{org}#live")));
        get.key("sk", AttributeValue::S("A".to_owned())).send().await.unwrap().item.unwrap()
    }

    /// Changes the account's item directly.
    async fn edit(&self, org: &str, edit: impl Fn(&mut TableItem)) {
        let mut item = self.account(org).await;
        edit(&mut item);
        self.client.put_item().table_name(LEDGER_TABLE).set_item(Some(item)).send().await.unwrap();
    }

    async fn organisation(&self, org: &str) -> Value {
        let path = format!("/admin/v1/organisations/{org}");
        self.world.get(&path, self.world.operator()).await.data()
    }

    async fn operate(&self, org: &str, what: &str, name: &str, body: &Value) -> ApiAnswer {
        let path = format!("/admin/v1/organisations/{org}/{what}");
        self.world.post(&path, self.world.operator(), name, body).await
    }

    async fn consume(&self, key: &str, name: &str) -> ApiAnswer {
        let body = json!({ "operation": "verification.biometric", "resourceId": name });
        self.world.consume(key, name, &body).await
    }

    async fn is_sound(&self, key: &str) {
        let audit = self.world.get("/api/v3/credits/audit?limit=100", key).await.data();
        assert_eq!((&audit["verified"], &audit["problems"]), (&json!(true), &json!([])), "{audit}");
    }
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

/// A number past 2^53-1.
fn too_large() -> AttributeValue {
    AttributeValue::N("9007199254740993".to_owned())
}

#[tokio::test]
async fn one_damaged_account_and_fifty_others() {
    let tampered = Tampered::new().await;
    let world = &tampered.world;
    let broken = world.open(110).await;
    let mut others = Vec::new();
    for _ in 0..50 {
        others.push(world.open(110).await);
    }
    tampered.consume(&broken.key, "before").await.created();
    world.settle().await;
    assert_eq!(tampered.organisation(&broken.id).await["ledgers"]["live"]["state"], json!("ok"));

    let (log, capturing) = AlarmLog::capture();
    let garbage = || AttributeValue::S("three".to_owned());
    tampered.edit(&broken.id, |item| drop(item.insert("held".to_owned(), garbage()))).await;
    // The first debit uses the cached account; those after it read the damaged item.
    for name in ["first", "second", "first"] {
        let answer = tampered.consume(&broken.key, name).await;
        assert_eq!(answer.failure(), "503 RECORD_UNREADABLE");
        assert_eq!(answer.header("retry-after"), None);
        assert!(answer.body["error"]["message"].as_str().unwrap().contains("support has been alerted"));
    }
    for org in &others {
        for n in 0..5 {
            tampered.consume(&org.key, &format!("k{n}")).await.created();
        }
    }
    world.settle().await;
    drop(capturing);
    other_accounts_went_on(&tampered, &others).await;
    let alarms = log.alarms();
    assert!(!alarms.is_empty());
    for alarm in &alarms {
        assert!(alarm.contains(&broken.id) && alarm.contains("held: "), "{alarm}");
    }
    an_operator_sees_and_stops(&tampered, &broken).await;
    the_account_is_repaired(&tampered, &broken).await;
    the_account_goes_on(&tampered, &broken).await;
    skipped_records_are_projected(&tampered, &broken).await;
}

fn why() -> Value {
    json!({ "reason": "Broken, see ticket 4711" })
}

/// Checks that the other accounts got their events and have complete chains.
async fn other_accounts_went_on(tampered: &Tampered, others: &[Org]) {
    let world = &tampered.world;
    for org in others {
        let events = world.events(&org.key).await;
        assert!(names(&events).contains(&"credits.low_balance"), "{events:?}");
        let known = tampered.organisation(&org.id).await;
        let live = &known["ledgers"]["live"];
        assert_eq!((&live["rowsThrough"], &live["notifiedThrough"]), (&json!(6), &json!(6)), "{known}");
    }
}

/// The operator sees the reason and freezes the account.
async fn an_operator_sees_and_stops(tampered: &Tampered, broken: &Org) {
    let known = tampered.organisation(&broken.id).await;
    let live = &known["ledgers"]["live"];
    assert_eq!(
        (&live["state"], &live["balance"], &live["frozen"]),
        (&json!("broken"), &Value::Null, &json!(false))
    );
    assert_eq!(live["problems"][0]["attribute"], json!("held"), "{known}");
    assert_eq!(known["ledgers"]["test"]["state"], json!("ok"));
    let frozen = tampered.operate(&broken.id, "freeze", &unique(), &why()).await.data();
    assert_eq!((&frozen["frozen"], &frozen["postPaid"]), (&json!(true), &Value::Null));
    assert_eq!(tampered.organisation(&broken.id).await["frozen"], json!(true));
}

/// The repair finds the debit that was committed and never acknowledged.
async fn the_account_is_repaired(tampered: &Tampered, broken: &Org) {
    let dry = json!({ "reason": "To see", "dryRun": true });
    let plan = tampered.operate(&broken.id, "repair", "dry", &dry).await.data();
    assert_eq!(
        (&plan["dryRun"], &plan["missingRows"], &plan["problems"][0]["attribute"]),
        (&json!(true), &json!(1), &json!("held"))
    );
    assert_eq!(
        (&plan["balance"]["usedCredits"], &plan["balance"]["available"]),
        (&json!(6), &json!(104)),
        "{plan}"
    );
    assert_eq!(tampered.organisation(&broken.id).await["ledgers"]["live"]["state"], json!("broken"));
    let made = tampered.operate(&broken.id, "repair", "mend", &why()).await;
    let again = tampered.operate(&broken.id, "repair", "mend", &why()).await;
    assert_eq!((made.created(), again.header("idempotent-replayed")), (again.created(), Some("true")));
    assert_eq!(made.data()["transaction"]["operation"], json!("account.repair"));
    assert_eq!(made.data()["transaction"]["description"], why()["reason"]);
    assert_eq!(made.data()["balance"]["usedCredits"], json!(6));
    let other = tampered.operate(&broken.id, "repair", "mend", &dry).await;
    assert_eq!(other.failure(), "409 CONFLICT");
    let nothing = tampered.operate(&broken.id, "repair", &unique(), &why()).await;
    assert_eq!(nothing.failure(), "409 CONFLICT");
}

/// The account is still frozen; then it goes on, and nothing was charged twice.
async fn the_account_goes_on(tampered: &Tampered, broken: &Org) {
    assert_eq!(tampered.consume(&broken.key, "third").await.failure(), "403 ORGANISATION_FROZEN");
    assert_eq!(
        tampered.operate(&broken.id, "unfreeze", &unique(), &why()).await.data()["frozen"],
        json!(false)
    );
    let first = tampered.consume(&broken.key, "first").await;
    assert_eq!(
        (first.created()["balanceAfter"].clone(), first.header("idempotent-replayed")),
        (json!(104), Some("true"))
    );
    assert_eq!(tampered.consume(&broken.key, "second").await.created()["balanceAfter"], json!(101));
    tampered.consume(&broken.key, "third").await.created();
    tampered.world.settle().await;
}

/// The skipped records were projected: every row exists, is chained, and its events are in order.
async fn skipped_records_are_projected(tampered: &Tampered, broken: &Org) {
    let world = &tampered.world;
    let lines = world.transactions(&broken.key, "limit=100").await;
    let operations: Vec<_> = lines.iter().rev().map(|line| line["operation"].as_str().unwrap()).collect();
    let debit = "verification.biometric";
    assert_eq!(
        operations,
        ["credit.renewal", debit, debit, "account.repair", "account.unfreeze", debit, debit]
    );
    let live = &tampered.organisation(&broken.id).await["ledgers"]["live"];
    assert_eq!(
        (&live["state"], &live["rowsThrough"], &live["notifiedThrough"]),
        (&json!("ok"), &json!(7), &json!(7))
    );
    tampered.is_sound(&broken.key).await;
    let events = world.events(&broken.key).await;
    assert_eq!(names(&events).iter().filter(|name| **name == "credits.low_balance").count(), 1, "{events:?}");
    assert_eq!(
        events.iter().map(|event| event["sequence"].clone()).collect::<Vec<_>>(),
        (1..=events.len()).map(|n| json!(n)).collect::<Vec<_>>()
    );
}

/// A change of an account's item.
pub(crate) type Edit = Box<dyn Fn(&mut TableItem)>;

/// Damages of an account's item, each with the attribute that becomes unreadable.
fn edits() -> Vec<(&'static str, Edit)> {
    vec![
        ("used", Box::new(move |item| drop(item.insert("used".to_owned(), too_large())))),
        ("used", Box::new(|item| drop(item.remove("used")))),
        (
            "held",
            Box::new(move |item| drop(item.insert("held".to_owned(), AttributeValue::S("three".to_owned())))),
        ),
        ("seq", Box::new(move |item| drop(item.insert("seq".to_owned(), AttributeValue::S("many".into()))))),
        ("rev", Box::new(|item| drop(item.remove("rev")))),
        ("fence", Box::new(|item| drop(item.insert("fence".to_owned(), AttributeValue::S("?".into()))))),
        ("last", Box::new(|item| drop(item.insert("last".to_owned(), AttributeValue::S("?".into()))))),
        ("period", Box::new(|item| drop(item.insert("period".to_owned(), AttributeValue::S("soon".into()))))),
        ("sub", Box::new(|item| drop(item.remove("sub")))),
        (
            "sub.left",
            Box::new(|item| {
                let AttributeValue::M(sub) = item.get_mut("sub").unwrap() else { panic!("no sub") };
                sub.insert("left".to_owned(), too_large());
            }),
        ),
        ("lots", Box::new(|item| drop(item.remove("lots")))),
        (
            "lots.garbage",
            Box::new(|item| {
                let AttributeValue::M(lots) = item.get_mut("lots").unwrap() else { panic!("no lots") };
                let name = lots.keys().min().unwrap().clone();
                let lot = lots.remove(&name).unwrap();
                lots.insert("garbage".to_owned(), lot);
            }),
        ),
    ]
}

/// The repair keeps what only the item has, as far as it is readable; a damaged lot is restored from its grant's
/// row.
#[tokio::test]
async fn a_repaired_account_is_as_it_was() {
    let tampered = Tampered::new().await;
    let world = &tampered.world;
    let org = world.open(110).await;
    let scoped = json!({ "source": "bonus", "amount": 50, "service": "smartcheck", "expiresAt": "2024-03-01T00:00:00Z" });
    world.grant(&org.id, &scoped).await;
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 70 })).await;
    tampered.consume(&org.key, "debit").await.created();
    let hold = json!({ "operation": "verification.biometric" });
    world.post("/api/v3/credits/holds", &org.key, "hold", &hold).await.created();
    world.settle().await;
    let before = world.balance(&org.key).await;
    let original = tampered.account(&org.id).await;
    for (attribute, edit) in &edits() {
        tampered.edit(&org.id, edit).await;
        let known = tampered.organisation(&org.id).await;
        let problems = &known["ledgers"]["live"]["problems"];
        assert_eq!(
            (problems.as_array().unwrap().len(), &problems[0]["attribute"]),
            (1, &json!(attribute)),
            "{known}"
        );
        let body = json!({ "reason": format!("{attribute} was edited") });
        tampered.operate(&org.id, "repair", &unique(), &body).await.created();
        world.settle().await;
        let mut after = world.balance(&org.key).await;
        after["asOf"] = before["asOf"].clone();
        assert_eq!(after, before, "{attribute}");
        let repaired = tampered.account(&org.id).await;
        for name in ["plan", "allow", "period", "sub", "used", "held", "lots"] {
            assert_eq!(repaired.get(name), original.get(name), "{attribute}: {name}");
        }
        tampered.is_sound(&org.key).await;
    }
    tampered.edit(&org.id, |item| item.retain(|name, _| ["pk", "sk"].contains(&name.as_str()))).await;
    tampered.operate(&org.id, "repair", &unique(), &json!({ "reason": "It is empty" })).await.created();
    world.settle().await;
    let mut after = world.balance(&org.key).await;
    after["asOf"] = before["asOf"].clone();
    assert_eq!(after, before);
    tampered.consume(&org.key, "afterwards").await.created();
    world.settle().await;
    tampered.is_sound(&org.key).await;
}

/// The repair does not guess: if rows are missing or altered, it is refused and says so.
#[tokio::test]
async fn missing_or_altered_rows_are_named() {
    let tampered = Tampered::new().await;
    let world = &tampered.world;
    let org = world.open(110).await;
    for n in 0..4 {
        tampered.consume(&org.key, &format!("k{n}")).await.created();
    }
    world.settle().await;
    tampered.edit(&org.id, |item| drop(item.insert("used".to_owned(), too_large()))).await;
    let pk = AttributeValue::S(format!("TXN#{}#live#2024-01", org.id));
    let query = tampered.client.query().table_name(LEDGER_TABLE).key_condition_expression("pk = :pk");
    let rows = query.expression_attribute_values(":pk", pk).send().await.unwrap().items.unwrap();
    let write = async |item: &TableItem| {
        tampered
            .client
            .put_item()
            .table_name(LEDGER_TABLE)
            .set_item(Some(item.clone()))
            .send()
            .await
            .unwrap();
    };
    let refused = async || {
        let answer = tampered.operate(&org.id, "repair", &unique(), &json!({ "reason": "Mend it" })).await;
        assert_eq!(answer.failure(), "409 CONFLICT");
        answer.body["error"]["details"]["problems"].to_string()
    };
    let mut altered = rows[2].clone();
    altered.insert("n".to_owned(), AttributeValue::N("4".to_owned()));
    write(&altered).await;
    let problems = refused().await;
    assert!(problems.contains("have changed since they were chained"), "{problems}");
    let key = ["pk", "sk"].map(|name| (name.to_owned(), rows[2][name].clone()));
    let delete = tampered.client.delete_item().table_name(LEDGER_TABLE).set_key(Some(key.into()));
    delete.send().await.unwrap();
    let problems = refused().await;
    assert!(problems.contains("row 3 is missing"), "{problems}");
    write(&rows[2]).await;
    tampered
        .edit(&org.id, |item| drop(item.insert("seq".to_owned(), AttributeValue::N("9".to_owned()))))
        .await;
    tampered.edit(&org.id, |item| drop(item.remove("last"))).await;
    let problems = refused().await;
    assert!(problems.contains("row 6 is missing"), "{problems}");
    tampered
        .edit(&org.id, |item| drop(item.insert("seq".to_owned(), AttributeValue::N("5".to_owned()))))
        .await;
    tampered.operate(&org.id, "repair", &unique(), &json!({ "reason": "Mend it" })).await.created();
    world.settle().await;
    tampered.is_sound(&org.key).await;
}
