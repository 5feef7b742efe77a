//! No statement is made of a month whose sums are not those of its transactions.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local::ACTIVITY_TABLE;
use local::engine::Engine;
use serde_json::{Value, json};
use tests::{Org, World, unique};

use super::statements::statement;

const DAY: u64 = 86_400;

/// An organisation, what it does before the day, and what it does on the day.
struct Customer {
    allowance: u64,
    before: &'static str,
    on_the_day: &'static str,
}

/// An organisation that has been opened.
struct Opened {
    org: Org,
    purchase: Option<String>,
}

impl Opened {
    async fn new(world: &World, allowance: u64) -> Self {
        let org = world.open(allowance).await;
        let path = format!("/admin/v1/organisations/{}/post-paid", org.id);
        world.put(&path, world.operator(), &json!({ "limit": 50 })).await.data();
        Self { org, purchase: None }
    }

    async fn act(&mut self, world: &World, step: &str) {
        let (what, amount) = step.split_once(' ').unwrap_or((step, "0"));
        let amount: u64 = amount.parse().unwrap();
        let key = &self.org.key;
        let mut body = json!({ "operation": "verification.standard", "quantity": amount });
        match what {
            "" => (),
            "spend" => drop(world.consume(key, &unique(), &body).await.created()),
            "hold" => {
                body["expiresInSeconds"] = json!(30 * DAY);
                world.post("/api/v3/credits/holds", key, &unique(), &body).await.created();
            }
            "bonus" => {
                world.grant(&self.org.id, &json!({ "source": "bonus", "amount": amount })).await;
            }
            "buy" => {
                let body = json!({ "package": "starter", "paymentMethod": "card_1" });
                let bought = world.post("/api/v3/credits/purchase", key, &unique(), &body).await.created();
                self.purchase = bought["transactionId"].as_str().map(str::to_owned);
            }
            "dispute" | "refund" => {
                let path = format!("/_local/payments/{}/{what}", self.purchase.as_ref().unwrap());
                let body = if what == "dispute" { json!({ "action": "open" }) } else { json!({}) };
                world.post_plain(&path, &body).await.data();
            }
            other => panic!("{other}"),
        }
        world.settle().await;
    }
}

/// The rollup of a day as it is stored.
async fn rollup(client: &Client, org: &Org) -> HashMap<String, AttributeValue> {
    let pk = AttributeValue::S(format!("USE#{}#live", org.id));
    let request = client.get_item().table_name(ACTIVITY_TABLE).key("pk", pk);
    request.key("sk", AttributeValue::S("2024-02-06".to_owned())).send().await.unwrap().item.unwrap()
}

async fn write(client: &Client, item: HashMap<String, AttributeValue>) {
    client.put_item().table_name(ACTIVITY_TABLE).set_item(Some(item)).send().await.unwrap();
}

/// Two organisations of which one number alone differs at the end of the day, after as many transactions.
fn pairs() -> [(&'static str, [Customer; 2]); 5] {
    let customer = |allowance, before, on_the_day| Customer { allowance, before, on_the_day };
    [
        ("the balance", [customer(100, "", "spend 5"), customer(100, "", "spend 6")]),
        ("held credits", [customer(100, "", "hold 5"), customer(100, "", "spend 5")]),
        ("outstanding credits", [customer(0, "", "spend 5"), customer(0, "", "spend 6")]),
        ("disputed credits", [customer(0, "buy", "dispute"), customer(0, "buy", "refund")]),
        // Five credits leave the subscription, which has none, instead of the bonus.
        ("a bucket below zero", [customer(0, "bonus 5", "spend 5"), customer(5, "", "spend 5")]),
    ]
}

/// Each organisation gets the sums of another one's day: no statement is made from them, and it is made once they are
/// right.
#[tokio::test]
async fn each_number_of_a_month_is_checked() {
    let engine = Engine::temporary().unwrap();
    let address = engine.serve(0).unwrap();
    let world = World::on(&format!("http://{address}"), "2024-02-05T10:30:00Z").await;
    let mut opened = vec![];
    for (what, customers) in pairs() {
        let mut two = vec![];
        for Customer { allowance, before, on_the_day } in customers {
            let mut customer = Opened::new(&world, allowance).await;
            customer.act(&world, before).await;
            two.push((customer, on_the_day));
        }
        opened.push((what, two));
    }
    world.pass(DAY).await;
    for (_, two) in &mut opened {
        for (customer, on_the_day) in two {
            customer.act(&world, on_the_day).await;
        }
    }
    world.pass(30 * DAY).await;
    world.settle().await;
    let client = Client::from_conf(engine.dynamodb_config().build());
    let mut unnoticed: Vec<(&str, Value)> = vec![];
    for (what, two) in &opened {
        let [own, other] = [&two[0].0.org, &two[1].0.org];
        let (right, wrong) = (rollup(&client, own).await, rollup(&client, other).await);
        assert_ne!(right["sums"], wrong["sums"]);
        let mut changed = right.clone();
        changed.insert("sums".to_owned(), wrong["sums"].clone());
        write(&client, changed).await;
        let answer = world.get("/api/v3/credits/statements/2024-02", &own.key).await;
        if answer.status != 503 || answer.failure() != "503 RECORD_UNREADABLE" {
            unnoticed.push((what, answer.body));
            continue;
        }
        write(&client, right).await;
        assert_eq!(statement(&world, own, "2024-02").await["month"], json!("2024-02"), "{what}");
    }
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}
