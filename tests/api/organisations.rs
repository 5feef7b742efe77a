//! Organisations as operators see them: listed, found, changed and closed.

use serde_json::{Value, json};
use tests::{World, unique};

const PATH: &str = "/admin/v1/organisations";

async fn open(world: &World, body: Value) -> String {
    let opened = world.post(PATH, world.operator(), &unique(), &body).await.created();
    opened["organisationId"].as_str().unwrap().to_owned()
}

/// The ids of every page of a search.
async fn found(world: &World, search: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (vec![], String::new());
    loop {
        let page = world.get(&format!("{PATH}?{search}{cursor}"), world.operator()).await;
        let id = |organisation: &Value| organisation["organisationId"].as_str().unwrap().to_owned();
        ids.extend(page.data().as_array().unwrap().iter().map(id));
        let Some(next) = page.body["meta"]["pagination"]["nextCursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn organisations_are_listed_the_newest_first() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let mut opened = vec![];
    for number in 0..25 {
        // Some in the same second, some in the same millisecond.
        if number % 3 == 0 {
            world.pass(1).await;
        }
        opened.push(open(&world, json!({ "name": format!("Number {number}") })).await);
    }
    opened.sort();
    opened.reverse();
    for limit in [1, 7, 24, 25, 26, 100] {
        let listed = found(&world, &format!("limit={limit}")).await;
        // The last one is the demo organisation.
        assert_eq!(listed[..25], opened, "{limit} a page");
        assert_eq!(listed.len(), 26);
    }
    assert_eq!(
        world.get(&format!("{PATH}?cursor=x"), world.operator()).await.failure(),
        "400 INVALID_CURSOR"
    );
}

#[tokio::test]
async fn organisations_are_found_by_name_and_by_external_id() {
    let world = World::demo().await;
    let mut ids = vec![];
    for name in ["Zebra", "zebra Bank", "ZEBRA bank 2", "Zeb#ra", "Ärzte", "zzz"] {
        let external = format!("own {}", name.replace('Ä', "A"));
        ids.push(open(&world, json!({ "name": name, "externalId": external })).await);
    }
    for (search, expected) in [
        ("name=zebra", vec![0, 1, 2]),
        ("name=zebra&limit=1", vec![0, 1, 2]),
        ("name=Zebra%20%20b", vec![1, 2]),
        ("name=zeb", vec![3, 0, 1, 2]),
        ("name=zeb&limit=2", vec![3, 0, 1, 2]),
        ("name=%C3%A4rz", vec![4]),
        ("name=ebra", vec![]),
        ("externalId=own%20Zebra", vec![0]),
        ("externalId=own%20zebra", vec![]),
        ("externalId=Zebra", vec![]),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|place: usize| ids[place].clone()).collect();
        assert_eq!(found(&world, search).await, expected, "{search}");
    }
    let both = world.get(&format!("{PATH}?name=a&externalId=b"), world.operator()).await;
    assert_eq!(both.failure(), "400 VALIDATION_ERROR");
    // A new name replaces the old one.
    let path = format!("{PATH}/{}", ids[1]);
    let change = json!({ "name": "Antelope", "metadata": { "tier": "gold" } });
    let changed = world.patch(&path, world.operator(), &change).await.data();
    assert_eq!((&changed["name"], &changed["metadata"]), (&json!("Antelope"), &json!({ "tier": "gold" })));
    assert_eq!(found(&world, "name=zebra").await, [ids[0].clone(), ids[2].clone()]);
    assert_eq!(found(&world, "name=ante").await, [ids[1].clone()]);
    let kept = world.patch(&path, world.operator(), &json!({ "selfServicePlans": true })).await.data();
    assert_eq!((&kept["name"], &kept["metadata"]), (&changed["name"], &changed["metadata"]));
    assert_eq!(found(&world, "name=ante").await, [ids[1].clone()]);
    let details = world.get(&path, world.operator()).await.data();
    assert_eq!(
        (&details["externalId"], &details["metadata"], &details["status"]),
        (&json!("own zebra Bank"), &json!({ "tier": "gold" }), &json!("active"))
    );
}

/// Of two organisations that are opened with the same external id at the same time, one is.
#[tokio::test]
async fn an_external_id_names_one_organisation() {
    let world = World::demo().await;
    for round in 0..5 {
        let body = json!({ "name": "Twin", "externalId": format!("twin-{round}") });
        let names = [unique(), unique()];
        let (one, other) = tokio::join!(
            world.post(PATH, world.operator(), &names[0], &body),
            world.post(PATH, world.operator(), &names[1], &body),
        );
        let mut states = [one.status, other.status];
        states.sort_unstable();
        assert_eq!(states, [201, 409], "round {round}");
        let (won, name) = if one.status == 201 { (one, &names[0]) } else { (other, &names[1]) };
        let again = world.post(PATH, world.operator(), name, &body).await;
        assert_eq!(again.created()["organisationId"], won.created()["organisationId"]);
        let listed = found(&world, &format!("externalId=twin-{round}")).await;
        assert_eq!(listed, [won.created()["organisationId"].as_str().unwrap().to_owned()]);
    }
    assert_eq!(found(&world, "name=twin").await.len(), 5, "what was refused left nothing");
}

#[tokio::test]
async fn a_closed_organisation_keeps_its_ledger_and_its_keys_are_refused() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic" })).await.created();
    let path = format!("{PATH}/{}", org.id);
    let why = json!({ "reason": "Left" });
    let closed = world.post(&format!("{path}/close"), world.operator(), &unique(), &why).await.data();
    assert_eq!((&closed["status"], &closed["closedAt"]), (&json!("closed"), &json!("2024-01-15T10:30:00Z")));
    for call in ["/api/v3/credits/balance", "/api/v3/api-keys"] {
        assert_eq!(world.get(call, &org.key).await.failure(), "403 ORGANISATION_FROZEN");
    }
    let debit = json!({ "operation": "aml.basic" });
    assert_eq!(world.consume(&org.key, &unique(), &debit).await.failure(), "403 ORGANISATION_FROZEN");
    // Operators still see it, and cannot spend its credits either.
    let details = world.get(&path, world.operator()).await.data();
    assert_eq!((&details["status"], &details["frozen"]), (&json!("closed"), &json!(true)));
    let acting = |path: &str| {
        world.request(reqwest::Method::GET, path, world.operator()).header("scrip-organisation", &org.id)
    };
    let balance = tests::send(acting("/api/v3/credits/balance")).await.data();
    assert_eq!(balance["usedCredits"], json!(1));
    let spend = world.request(reqwest::Method::POST, "/api/v3/credits/consume", world.operator());
    let spend = spend.header("scrip-organisation", &org.id).header("idempotency-key", unique()).json(&debit);
    assert_eq!(tests::send(spend).await.failure(), "403 ORGANISATION_FROZEN");
    world.pass(60).await;
    let again = world.post(&format!("{path}/close"), world.operator(), &unique(), &why).await.data();
    assert_eq!(again["closedAt"], closed["closedAt"], "it is closed once");

    let open = world.post(&format!("{path}/reopen"), world.operator(), &unique(), &why).await.data();
    assert_eq!((&open["status"], &open["closedAt"]), (&json!("active"), &Value::Null));
    assert_eq!(world.balance(&org.key).await["available"], json!(9));
    assert_eq!(
        world.consume(&org.key, &unique(), &debit).await.failure(),
        "403 ORGANISATION_FROZEN",
        "still frozen"
    );
    world.post(&format!("{path}/unfreeze"), world.operator(), &unique(), &why).await.data();
    world.consume(&org.key, &unique(), &debit).await.created();
    let unknown = format!("{PATH}/org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA");
    for action in ["close", "reopen"] {
        let answer = world.post(&format!("{unknown}/{action}"), world.operator(), &unique(), &why).await;
        assert_eq!(answer.failure(), "404 NOT_FOUND");
        let answer = world.post(&format!("{path}/{action}"), world.operator(), &unique(), &json!({})).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "without a reason");
    }
}

/// A closed organisation stays frozen until it is reopened, and says so.
#[tokio::test]
async fn a_closed_organisation_is_not_unfrozen() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let path = format!("/admin/v1/organisations/{}", org.id);
    let why = json!({ "reason": "Left" });
    let post =
        async |action: &str| world.post(&format!("{path}/{action}"), world.operator(), &unique(), &why).await;
    let limit = json!({ "rateLimit": { "requests": 600, "perSeconds": 60 } });
    world.patch(&path, world.operator(), &limit).await.data();
    let closed = post("close").await.data();
    assert_eq!(post("unfreeze").await.failure(), "409 CONFLICT");
    let shown = world.get(&path, world.operator()).await.data();
    assert_eq!(
        (&shown["status"], &shown["closedAt"], &shown["rateLimit"], &shown["frozen"]),
        (&json!("closed"), &closed["closedAt"], &limit["rateLimit"], &json!(true))
    );
    post("reopen").await.data();
    assert_eq!(world.get(&path, world.operator()).await.data()["frozen"], json!(true));
    assert_eq!(post("unfreeze").await.data()["frozen"], json!(false));
    world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic" })).await.created();
}

#[tokio::test]
async fn a_search_by_name_refuses_blanks_and_places_of_other_searches() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    for name in ["ΟΔΟΣ ΑΕ", "Odos", "Odos Two"] {
        let body = json!({ "name": name });
        world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
    }
    let search =
        async |query: &str| world.get(&format!("/admin/v1/organisations?{query}"), world.operator()).await;
    assert_eq!(search("name=%20").await.failure(), "400 VALIDATION_ERROR");
    for name in ["%CE%BF%CE%B4%CE%BF%CF%83", "%CE%9F%CE%94%CE%9F%CE%A3"] {
        assert_eq!(search(&format!("name={name}")).await.data()[0]["name"], json!("ΟΔΟΣ ΑΕ"), "{name}");
    }
    let first = search("name=odos&limit=1").await;
    let next = first.body["meta"]["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    assert_eq!(
        search(&format!("name=odos&limit=1&cursor={next}")).await.data()[0]["name"],
        json!("Odos Two")
    );
    for (name, cursor) in [("other", next.as_str()), ("odos", "AAAA"), ("odos", &"b2Rvcw".repeat(400))] {
        let answer = search(&format!("name={name}&cursor={cursor}")).await;
        assert_eq!(answer.failure(), "400 INVALID_CURSOR", "{name}");
    }
}
