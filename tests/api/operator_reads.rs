//! What operators read of an organisation: the table of functions/README.md, line by line and role by role, and open jobs.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, Receiver, World, send, unique};

const PAGE: &str = include_str!("../../functions/README.md");
const TITLE: &str = "### What an operator reads, and where";
const ROLES: [&str; 5] = ["read", "support", "money", "catalogue", "owner"];

/// A line of the table: a path, and the roles that may read it.
struct Line {
    path: String,
    roles: String,
}

fn lines(org: &str) -> Vec<Line> {
    let table = PAGE.split_once(TITLE).unwrap().1;
    let rows = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let line = |row: &str| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let path = cells[1].trim_matches('`').strip_prefix("GET ").unwrap();
        Line { path: path.replace("{id}", org), roles: cells[2].to_owned() }
    };
    rows.map(line).collect()
}

async fn key_of(world: &World, role: &str) -> String {
    let body = json!({ "name": format!("Jo, {role}"), "role": role });
    let issued = world.post("/admin/v1/operator-keys", world.operator(), &unique(), &body).await.created();
    issued["key"].as_str().unwrap().to_owned()
}

async fn read(world: &World, key: &str, org: &str, path: &str) -> ApiAnswer {
    let request = world.request(Method::GET, path, key);
    send(if path.starts_with("/admin/") { request } else { request.header("scrip-organisation", org) }).await
}

#[tokio::test]
async fn each_role_reads_what_the_page_says_also_of_a_closed_organisation() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic" })).await.created();
    let lines = lines(&org.id);
    assert!(25 < lines.len(), "{}", lines.len());
    let mut keys = Vec::new();
    for role in ROLES {
        keys.push((role, key_of(&world, role).await));
    }
    for is_closed in [false, true] {
        if is_closed {
            let path = format!("/admin/v1/organisations/{}/close", org.id);
            let closed = world.post(&path, world.operator(), &unique(), &json!({ "reason": "Left" })).await;
            assert_eq!(closed.data()["status"], json!("closed"));
        }
        for Line { path, roles } in &lines {
            for (role, key) in &keys {
                let may = roles == "all" || roles.split(", ").any(|able| able == *role);
                let answer = read(&world, key, &org.id, path).await;
                assert_eq!(answer.status, if may { 200 } else { 403 }, "{role} {path}: {answer:?}");
            }
        }
    }
}

async fn jobs(world: &World, org: &str, query: &str) -> (Vec<Value>, Option<String>) {
    let path = format!("/admin/v1/organisations/{org}/jobs?{query}");
    let answer = world.get(&path, world.operator()).await;
    let next = answer.body["meta"]["pagination"]["nextCursor"].as_str().map(str::to_owned);
    (answer.data().as_array().unwrap().clone(), next)
}

fn kinds(jobs: &[Value]) -> Vec<(String, Value)> {
    jobs.iter().map(|job| (job["kind"].as_str().unwrap().to_owned(), job["subject"].clone())).collect()
}

/// Jobs are those of the organisation and the ledger, in the order of their times, also page by page; a job that is done is
/// not among them.
#[tokio::test]
async fn open_jobs_are_listed_by_their_times() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let (org, other) = (world.open(100).await, world.open(100).await);
    let keys = format!("/admin/v1/organisations/{}/keys", org.id);
    let test = world.post(&keys, world.operator(), &unique(), &json!({ "mode": "test" })).await.created();
    let hold = async |key: &str, seconds: u64| {
        let body = json!({ "amount": 1, "expiresInSeconds": seconds });
        world.post("/api/v3/credits/holds", key, &unique(), &body).await.created()
    };
    for (key, seconds) in [(&org.key, 3_000), (&other.key, 1_000), (&org.key, 600), (&org.key, 7_200)] {
        hold(key, seconds).await;
    }
    hold(test["key"].as_str().unwrap(), 900).await;
    let bought = json!({ "package": "starter", "paymentMethod": "card_authentication" });
    let bought = world.post("/api/v3/credits/purchase", &org.key, &unique(), &bought).await;
    assert_eq!(bought.status, 202, "{bought:?}");
    let (all, next) = jobs(&world, &org.id, "limit=100").await;
    assert_eq!(next, None, "{all:?}");
    let due: Vec<_> = all.iter().map(|job| job["due"].as_str().unwrap().to_owned()).collect();
    assert!(due.is_sorted(), "{due:?}");
    for ends in ["2024-01-15T10:40:00Z", "2024-01-15T11:20:00Z", "2024-01-15T12:30:00Z"] {
        assert!(
            all.iter().any(|job| job["due"] == json!(ends) && job["kind"] == json!("calendar")),
            "{all:?}"
        );
    }
    assert!(!due.contains(&"2024-01-15T10:46:40Z".to_owned()), "a job of another organisation: {all:?}");
    let job =
        all.iter().find(|job| job["subject"] == bought.data()["transactionId"]).expect("of the purchase");
    assert_eq!((&job["kind"], &job["attempts"]), (&json!("purchase"), &json!(1)), "{job}");
    // Page by page it is the same list.
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, next) = jobs(&world, &org.id, &format!("limit=1{cursor}")).await;
        assert!(page.len() <= 1);
        paged.extend(page);
        let Some(next) = next else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(kinds(&paged), kinds(&all));
    let (of_test, _) = jobs(&world, &org.id, "mode=test").await;
    assert!(of_test.iter().any(|job| job["due"] == json!("2024-01-15T10:45:00Z")), "{of_test:?}");
    assert!(of_test.iter().all(|job| !due.contains(&job["due"].as_str().unwrap().to_owned())), "{of_test:?}");
    // A job that is done is gone.
    world.pass(7_300).await;
    let (left, _) = jobs(&world, &org.id, "limit=100").await;
    assert!(left.iter().all(|job| job["due"] != json!("2024-01-15T10:40:00Z")), "{left:?}");
}

/// The jobs of a test ledger with a clock of its own are in the ledger's own list.
#[tokio::test]
async fn jobs_that_wait_for_a_test_clock_are_listed() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let keys = format!("/admin/v1/organisations/{}/keys", org.id);
    let body = json!({ "mode": "test", "scopes": tests::EVERY_SCOPE });
    let key = world.post(&keys, world.operator(), &unique(), &body).await.created();
    let key = key["key"].as_str().unwrap();
    let clock = json!({ "now": "2024-06-01T00:00:00Z" });
    assert_eq!(world.post("/api/v3/test-clock", key, &unique(), &clock).await.status, 200);
    let body = json!({ "amount": 1, "expiresInSeconds": 600 });
    world.post("/api/v3/credits/holds", key, &unique(), &body).await.created();
    let (open, _) = jobs(&world, &org.id, "mode=test").await;
    let job =
        open.iter().find(|job| job["due"] == json!("2024-06-01T00:10:00Z")).expect("the end of the hold");
    assert_eq!((&job["kind"], &job["isDue"]), (&json!("calendar"), &json!(false)));
}

/// A delivery that fails is named by its job, with the number of attempts and what the endpoint answered.
#[tokio::test]
async fn a_job_says_what_failed_last() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let receiver = Receiver::start().await;
    receiver.answer(500);
    let body = json!({ "url": receiver.url });
    let hook = world.post("/api/v3/webhooks", &org.key, &unique(), &body).await.created();
    world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic" })).await.created();
    world.settle().await;
    let (open, _) = jobs(&world, &org.id, "limit=100").await;
    let job = open.iter().find(|job| job["kind"] == json!("webhooks")).expect("of the deliveries");
    assert_eq!(job["subject"], hook["webhookId"], "{job}");
    assert!(
        job["attempts"].as_u64().unwrap() >= 1 && job["lastError"].as_str().unwrap().contains("500"),
        "{job}"
    );
}

#[tokio::test]
async fn a_list_of_jobs_that_cannot_be_read_says_why() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    for (path, expected) in [
        ("org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA/jobs".to_owned(), "404 NOT_FOUND"),
        (format!("{}/jobs?mode=other", org.id), "400 VALIDATION_ERROR"),
        (format!("{}/jobs?limit=0", org.id), "400 VALIDATION_ERROR"),
        (format!("{}/jobs?cursor=%21", org.id), "400 INVALID_CURSOR"),
    ] {
        let answer = world.get(&format!("/admin/v1/organisations/{path}"), world.operator()).await;
        assert_eq!(answer.failure(), expected, "{path}");
    }
}
