//! `scrip import`: organisations and credits from a CSV file.

use std::path::PathBuf;

use local::{ImportOrder, import};
use serde_json::json;
use tests::{World, unique};

/// A file, and its import into a machine.
struct Importing {
    folder: tempfile::TempDir,
    order: ImportOrder,
}

impl Importing {
    fn new(world: &World, text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, report) = (folder.path().join("customers.csv"), folder.path().join("report.csv"));
        std::fs::write(&file, text).unwrap();
        let key = world.operator().to_owned().into();
        let order =
            ImportOrder { file, url: world.machine.base_url(), key, parallel: 8, report, is_check: false };
        Self { folder, order }
    }

    /// What the import prints at last, its error, and the lines of the report by their first two columns.
    async fn run(&self) -> (String, Option<String>, Vec<(String, String)>) {
        let mut printed = vec![];
        let outcome = import(&self.order, &mut |line| printed.push(line.to_owned())).await;
        let report = std::fs::read_to_string(self.folder.path().join("report.csv")).unwrap_or_default();
        let columns = |line: &str| {
            let mut columns = line.split(',').map(str::to_owned);
            (columns.next().unwrap(), columns.next().unwrap())
        };
        let mut lines: Vec<_> = report.lines().skip(1).map(columns).collect();
        lines.sort();
        (printed.pop().unwrap_or_default(), outcome.err().map(|error| error.to_string()), lines)
    }
}

fn outcome(id: &str, outcome: &str) -> (String, String) {
    (id.to_owned(), outcome.to_owned())
}

#[tokio::test]
async fn a_file_is_imported_once_however_often_it_is_sent() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let known = json!({ "name": "Before", "externalId": "c 0" });
    world.post("/admin/v1/organisations", world.operator(), &unique(), &known).await.created();
    let mut text = "externalId,name,plan,purchased,bonus,bonusExpiresAt\nc 0,Before,,7,,\n".to_owned();
    for number in 1..=40 {
        text += &format!("c-{number},Customer {number},free,{number},5,2024-06-01T00:00:00Z\n");
    }
    let importing = Importing::new(&world, &text);
    for round in 0..2 {
        let (said, error, lines) = importing.run().await;
        assert_eq!(error, None, "round {round}");
        assert!(said.starts_with("40 imported, 1 known before, 0 failed"), "{said}");
        assert_eq!(lines.iter().filter(|(_, outcome)| outcome == "imported").count(), 40);
        assert!(lines.contains(&outcome("c 0", "known")));
    }
    for (id, expected) in [("c-40", [40, 5]), ("c-1", [1, 5]), ("c%200", [0, 0])] {
        let path = format!("/admin/v1/organisations?externalId={id}");
        let found = world.get(&path, world.operator()).await.data();
        let org = found[0]["organisationId"].as_str().unwrap().to_owned();
        let request = world.request(reqwest::Method::GET, "/api/v3/credits/balance", world.operator());
        let balance = tests::send(request.header("scrip-organisation", &org)).await.data();
        assert_eq!(
            [&balance["purchasedCredits"], &balance["bonusCredits"]],
            expected.map(|n| json!(n)).each_ref()
        );
    }
}

#[tokio::test]
async fn what_fails_is_named_and_the_rest_is_imported() {
    let world = World::demo().await;
    let text = "externalId,name,plan\na,A,free\nb,B,gold\nc,C,free\n";
    let (said, error, lines) = Importing::new(&world, text).run().await;
    assert!(said.starts_with("2 imported, 0 known before, 1 failed"), "{said}");
    assert!(error.unwrap().contains("run the same command again"));
    assert_eq!(lines, [outcome("a", "imported"), outcome("b", "failed"), outcome("c", "imported")]);
    // An invalid file sends nothing, nor does a check.
    let mut invalid = Importing::new(&world, "externalId,name\nd,D\n,E\n");
    let (_, error, lines) = invalid.run().await;
    assert!(error.unwrap().contains("nothing was sent"));
    assert_eq!(lines, []);
    invalid.order.file = PathBuf::from("missing.csv");
    assert!(invalid.run().await.1.unwrap().contains("cannot read missing.csv"));
    let mut checked = Importing::new(&world, "externalId,name\nf,F\n");
    checked.order.is_check = true;
    let (said, error, _) = checked.run().await;
    assert_eq!((said.as_str(), error), ("organisations: 1; the file is valid, and nothing was sent", None));
    for id in ["d", "f"] {
        let found = world.get(&format!("/admin/v1/organisations?externalId={id}"), world.operator()).await;
        assert_eq!(found.data(), json!([]), "{id}");
    }
    // A server that does not answer, and an unknown key, before anything is sent.
    let mut lost = Importing::new(&world, "externalId,name\nh,H\n");
    let url = std::mem::replace(&mut lost.order.url, "http://127.0.0.1:9".to_owned());
    let (_, error, lines) = lost.run().await;
    assert_eq!((error.as_deref(), lines), (Some("nothing was sent"), vec![]));
    lost.order.url = url;
    lost.order.key = "ok_live_x".to_owned().into();
    let (_, error, lines) = lost.run().await;
    assert_eq!((error.as_deref(), lines), (Some("nothing was sent"), vec![]));
    // A key that may not open organisations.
    let reader = json!({ "name": "Jo" });
    let reader = world.post("/admin/v1/operator-keys", world.operator(), &unique(), &reader).await.created();
    let mut weak = Importing::new(&world, "externalId,name\ng,G\n");
    weak.order.key = reader["key"].as_str().unwrap().to_owned().into();
    assert_eq!(weak.run().await.2, [outcome("g", "failed")]);
}

/// The whole file is checked before anything is sent, also by the clock of the deployment.
#[tokio::test]
async fn a_bonus_that_has_expired_stops_an_import_before_it_begins() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let text = "externalId,name,purchased,bonus,bonusExpiresAt\nc-1,A,5,,\nc-2,B,5,5,2024-01-15T10:30:00Z\n";
    let (_, error, lines) = Importing::new(&world, text).run().await;
    assert!(error.as_deref().is_some_and(|error| error.ends_with("has passed: c-2")), "{error:?}");
    assert_eq!(lines, []);
    let found = world.get("/admin/v1/organisations?externalId=c-1", world.operator()).await.data();
    assert_eq!(found, json!([]));
}
