//! The seller's backend of the operators' page, functions/admin/seller.py, as a seller runs it.

use std::path::Path;

use serde_json::json;
use tests::{World, unique};

async fn run(world: &World, key: &str) -> (bool, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/admin/seller.py");
    let mut python = tokio::process::Command::new("python3");
    python.arg(program).env("SCRIP_URL", world.machine.base_url()).env("OPERATOR_KEY", key);
    let ended = python.output().await.unwrap();
    (ended.status.success(), String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap())
}

/// However often it runs, the customer is opened once, and pays and is charged once. Its key needs the role `money`.
#[tokio::test]
async fn a_seller_needs_one_key_and_thirty_lines() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let key = async |role: &str| {
        let body = json!({ "name": "Backend", "role": role });
        let made = world.post("/admin/v1/operator-keys", world.operator(), &unique(), &body).await.created();
        made["key"].as_str().unwrap().to_owned()
    };
    let money = key("money").await;
    let expected = "charged 2\nleft 48\n3 DEBIT 2 verification.enhanced\n2 CREDIT 50 credit.grant\n";
    for round in 0..2 {
        let (is_done, said) = run(&world, &money).await;
        assert!(is_done && said.starts_with(expected), "round {round}: {said}");
    }
    let found = world.get("/admin/v1/organisations?externalId=cust-9", &money).await.data();
    assert_eq!(found.as_array().unwrap().len(), 1);
    let (is_done, said) = run(&world, &key("support").await).await;
    assert!(!is_done && said.contains("use one with the role `money` or `owner`"), "{said}");
    let text = include_str!("../../functions/admin/seller.py");
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.contains("\"\"\"")).count();
    assert!(lines <= 30, "{lines} lines");
}
