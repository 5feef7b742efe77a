//! Kills the program with `kill -9` and starts it again.
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that finds nothing fails, as it should"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The longest time that a test waits for anything: longer than it takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(900);

/// A running `scrip`, and its first output.
struct Scrip {
    child: Child,
    ready: Value,
}

/// A client of a running `scrip`.
#[derive(Clone)]
struct ScripClient {
    client: Client,
    url: String,
    key: String,
}

impl Scrip {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        Self { child, ready: serde_json::from_str(&line.unwrap()).unwrap() }
    }

    /// Kills the process and waits for its end.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    fn caller(&self, client: &Client) -> ScripClient {
        let word = |field: &str| self.ready[field].as_str().unwrap().to_owned();
        ScripClient { client: client.clone(), url: word("baseUrl"), key: word("apiKey") }
    }
}

impl ScripClient {
    /// Charges one credit; none if there was no final answer.
    async fn consume(&self, name: &str) -> Option<Value> {
        let request = self.client.post(format!("{}/api/v3/credits/consume", self.url)).bearer_auth(&self.key);
        let request = request.header("Idempotency-Key", name).json(&json!({ "operation": "aml.basic" }));
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        assert!([201, 409].contains(&status), "{status}");
        let body: Value = answer.json().await.ok()?;
        (status == 201).then(|| body["data"].clone())
    }

    /// Buys a starter pack with `method`; returns status and data, or none without an answer.
    async fn buy(&self, method: &str) -> Option<(u16, Value)> {
        let body = json!({ "package": "starter", "paymentMethod": method });
        let request =
            self.client.post(format!("{}/api/v3/credits/purchase", self.url)).bearer_auth(&self.key);
        let answer = request.header("Idempotency-Key", method).json(&body).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json::<Value>().await.ok()?["data"].clone()))
    }

    /// Calls a route of the local machine itself.
    async fn operate(&self, path: &str, body: Value) -> Value {
        let answer = self.client.post(format!("{}{path}", self.url)).json(&body).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.json::<Value>().await.unwrap()["data"].clone()
    }

    async fn get(&self, path: &str) -> Value {
        let answer =
            self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.key).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["data"].clone()
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrip"));
    let port = if arguments.contains(&"--port") { [].as_slice() } else { &["--port", "0"] };
    let seed = if arguments.contains(&"--seed") { [].as_slice() } else { &["--seed", "demo"] };
    command
        .arg("--json")
        .args(port)
        .args(seed)
        .args(arguments)
        .env_remove("AWS_ENDPOINT_URL_DYNAMODB")
        .kill_on_drop(true);
    command
}

/// Eight clients make debits until the program is killed; returns the answer of each request.
async fn burst(scrip: &mut Scrip, client: &Client, round: usize) -> BTreeMap<String, Option<Value>> {
    let caller = scrip.caller(client);
    let clients: Vec<_> = (0..8)
        .map(|number| {
            let caller = caller.clone();
            tokio::spawn(async move {
                let mut answers = BTreeMap::new();
                for n in 0..8 {
                    let name = format!("r{round}-c{number}-{n}");
                    let answer = caller.consume(&name).await;
                    let unanswered = answer.is_none();
                    answers.insert(name, answer);
                    if unanswered {
                        break;
                    }
                }
                answers
            })
        })
        .collect();
    // Some time during the requests: the exact moment does not matter.
    tokio::time::sleep(Duration::from_millis(40)).await;
    scrip.child.kill().await.unwrap();
    let mut answers = BTreeMap::new();
    for client in clients {
        answers.extend(client.await.unwrap());
    }
    answers
}

/// An acknowledged request survives `kill -9`, and any other has exactly one effect once it is repeated.
#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledged_request_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    let client = Client::new();
    let mut answers = BTreeMap::new();
    let mut keys = None;
    for round in 0..4 {
        let mut scrip = Scrip::start(&data).await;
        let mut ready = scrip.ready.clone();
        ready.as_object_mut().unwrap().retain(|field, _| !field.ends_with("Url"));
        assert_eq!(keys.get_or_insert(ready.clone()), &ready, "the demo keys stay the same");
        answers.extend(burst(&mut scrip, &client, round).await);
    }
    let scrip = Scrip::start(&data).await;
    let caller = scrip.caller(&client);
    for (name, before) in &answers {
        let mut answer = caller.consume(name).await;
        while answer.is_none() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            answer = caller.consume(name).await;
        }
        let answer = answer.expect("a repeated request is settled");
        assert!(before.as_ref().is_none_or(|before| *before == answer), "{name}");
    }
    let balance = caller.get("/api/v3/credits/balance").await;
    assert_eq!(balance["available"], json!(400 - answers.len()));
    let lines = caller.get("/api/v3/credits/transactions?limit=100&operation=aml.basic").await;
    assert_eq!(lines.as_array().unwrap().len(), answers.len().min(100));
}

/// A data folder has one machine at a time; the second one's error says what to do.
#[tokio::test]
async fn a_second_machine_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    let first = Scrip::start(&data).await;
    let second = command(&data).output().await.unwrap();
    assert!(!second.status.success());
    let words = String::from_utf8(second.stderr).unwrap();
    assert!(words.contains("in use by another scrip") && words.contains("--data"), "{words}");
    let port = first.ready["baseUrl"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
    let third = command(&["--memory", "--port", &port]).output().await.unwrap();
    let words = String::from_utf8(third.stderr).unwrap();
    assert!(!third.status.success() && words.contains("is taken") && words.contains("--port 0"), "{words}");
}

/// A clock that was set stays where it was set.
#[tokio::test]
async fn a_clock_that_was_set_stands_still_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap(), "--now", "2024-01-15T10:30:00Z"];
    let client = Client::new();
    let scrip = Scrip::start(&data).await;
    let caller = scrip.caller(&client);
    let set = async |body: Value| {
        let answer = client.post(format!("{}/_local/clock", caller.url)).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["data"]["now"].clone())
    };
    assert_eq!(set(json!({ "advanceSeconds": 86_400 })).await, (200, json!("2024-01-16T10:30:00Z")));
    assert_eq!(set(json!({ "now": "2024-01-16T10:29:59Z" })).await, (400, Value::Null));
    assert_eq!(set(json!({ "now": "2024-01-17T00:00:00Z", "advanceSeconds": 1 })).await, (400, Value::Null));
    assert_eq!(set(json!({})).await, (400, Value::Null));
    assert_eq!(set(json!({ "advanceSeconds": -1 })).await, (400, Value::Null));
    assert_eq!(set(json!({ "now": "2024-01-17T00:00:00Z" })).await, (200, json!("2024-01-17T00:00:00Z")));
    scrip.kill().await;
    let back = command(&data).output().await.unwrap();
    let words = String::from_utf8(back.stderr).unwrap();
    assert!(!back.status.success() && words.contains("2024-01-17T00:00:00"), "{words}");
    let other = tempfile::tempdir().unwrap();
    let free = ["--data", other.path().to_str().unwrap(), "--now", "2024-01-15T10:30:00Z"];
    Scrip::start(&free[..2]).await.kill().await;
    let back = command(&free).output().await.unwrap();
    assert!(!back.status.success() && String::from_utf8(back.stderr).unwrap().contains("does not go back"));
    let again = Scrip::start(&data[..2]).await;
    assert_eq!(again.caller(&client).get("/_local/clock").await["now"], json!("2024-01-17T00:00:00Z"));
}

/// Starts a machine on `data` again and advances its clock: the purchase by `method` that was in progress is paid
/// and granted once.
async fn is_bought_once(data: &[&str], method: &str, transaction: Option<Value>) {
    let scrip = Scrip::start(data).await;
    let caller = scrip.caller(&Client::new());
    // A request that was in progress when the process was killed keeps its key locked for half a minute.
    let (status, purchase) = loop {
        caller.operate("/_local/clock", json!({ "advanceSeconds": 120 })).await;
        caller.operate("/_local/settle", json!({})).await;
        let answers = caller.buy(method).await.unwrap();
        if ![202, 409].contains(&answers.0) {
            break answers;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    assert_eq!((status, &purchase["status"]), (201, &json!("approved")), "{method}: {purchase}");
    assert!(transaction.is_none_or(|before| before == purchase["transactionId"]), "{method}");
    let payments = caller.get("/_local/payments").await;
    assert_eq!(payments.as_array().unwrap().len(), 1, "{method}: {payments}");
    assert_eq!(payments[0]["transactionId"], purchase["transactionId"], "{method}");
    let charge = [&payments[0]["amount"], &payments[0]["currency"], &payments[0]["status"]];
    assert_eq!(charge, [&json!(4900), &json!("GBP"), &json!("succeeded")], "{method}");
    let balance = caller.get("/api/v3/credits/balance").await;
    assert_eq!(balance["purchasedCredits"], json!(600), "{method}");
    let lines = caller.get("/api/v3/credits/transactions?operation=credit.purchase").await;
    assert_eq!(lines.as_array().unwrap().len(), 2, "{method}: the demo's own, and this one: {lines}");
}

/// A customer without an answer is not charged again after `kill -9`.
#[tokio::test]
async fn a_payment_without_an_answer_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    let scrip = Scrip::start(&data).await;
    let (status, purchase) = scrip.caller(&Client::new()).buy("card_timeout_charged").await.unwrap();
    assert!([201, 202].contains(&status), "{status}: its event may be there before the answer");
    scrip.kill().await;
    is_bought_once(&data, "card_timeout_charged", Some(purchase["transactionId"].clone())).await;
}

/// The provider completes the payment and sends its event to the next machine.
#[tokio::test]
async fn a_payment_that_is_being_made_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    let scrip = Scrip::start(&data).await;
    let caller = scrip.caller(&Client::new());
    let buyer = tokio::spawn(async move { caller.buy("card_slow").await });
    while !has_charge(folder.path()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scrip.kill().await;
    let answer = buyer.await.unwrap();
    // On a very busy machine the five seconds may end before the process is killed.
    assert!(
        answer.is_none_or(|(status, _)| [201, 202].contains(&status)),
        "mostly killed before it could answer"
    );
    is_bought_once(&data, "card_slow", None).await;
}

/// Whether the payment provider has recorded a charge.
fn has_charge(folder: &Path) -> bool {
    std::fs::metadata(folder.join("payments.jsonl")).is_ok_and(|journal| journal.len() > 0)
}

/// Events that the provider could not deliver before the program was killed are booked after the restart.
#[tokio::test]
async fn a_refund_and_a_dispute_that_kill_9_cut_off_are_booked() {
    let folder = tempfile::tempdir().unwrap();
    let data = ["--data", folder.path().to_str().unwrap()];
    let scrip = Scrip::start(&data).await;
    let (status, _) = scrip.caller(&Client::new()).buy("card_1").await.unwrap();
    assert_eq!(status, 201);
    scrip.kill().await;
    // The journal records what the payment provider did; the events that it had not sent were lost with the
    // process.
    let journal = folder.path().join("payments.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut charge: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    charge["refunds"] = json!([{ "amount": 980 }]);
    (charge["dispute"], charge["disputed"]) = (json!("open"), json!(2450));
    std::fs::write(&journal, format!("{text}{charge}\n")).unwrap();
    let scrip = Scrip::start(&data).await;
    let caller = scrip.caller(&Client::new());
    caller.operate("/_local/settle", json!({})).await;
    let balance = caller.get("/api/v3/credits/balance").await;
    assert_eq!(balance["purchasedCredits"], json!(600 - 100 - 250));
}
