//! The exact cost of roll-forwards.

use chrono::{DateTime, Utc};
use domain::Period;
use jobs::{Jobs, RenewalTask};
use local::{DataLocation, LocalMachine, Options, Seed};
use ports::NoQueue;
use serde_json::json;
use store::DirectoryEntry;
use tests::{TestLedger, World, moment};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A month of an account costs its latest value, watermark, account, plans, two checkpoints, its rollups, the last row with
/// its link, and one write; later ones cost the same. A shard adds a read and a write for each page of 25 accounts.
#[tokio::test]
async fn an_account_and_month_cost_some_reads_and_a_write() {
    let mut fixture = TestLedger::new().await;
    fixture.settings().load(&local::catalogue().unwrap()).await.unwrap();
    let id = fixture.open(100, at("2024-01-15T10:30:00Z")).await;
    for month in ["2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"] {
        fixture.restarted().catch_up(id, moment(at(month))).await.unwrap();
    }
    fixture.project().await;
    let now = moment(at("2024-03-02T00:00:00Z"));
    let mut units = vec![];
    for month in ["2024-01", "2024-02", "2024-02"] {
        let (ledger, of_ledger) = fixture.metered();
        let (activity, of_activity) = fixture.metered_activity();
        let settings = fixture.settings();
        let jobs = Jobs { ledger: &ledger, settings: &settings, activity: &activity, tasks: &NoQueue };
        let month = Period::try_from(month.to_owned()).unwrap();
        let task = RenewalTask::RollForward { month, shard: DirectoryEntry::shard(id) };
        jobs.run_task(task, now).await.unwrap();
        let (ledger, activity) = (of_ledger.take(), of_activity.take());
        units.push([ledger.read, ledger.written, activity.read, activity.written]);
    }
    assert_eq!(units, [[8.5, 1.0, 5.0, 1.0], [8.5, 1.0, 5.0, 1.0], [1.0, 0.0, 0.0, 0.0]]);
}

/// A report is one query of 64 parts.
#[tokio::test]
async fn a_report_is_one_query() {
    let (data, now) = (DataLocation::Memory, Some(at("2024-01-15T10:30:00Z")));
    let options = Options { port: 0, data, seed: Seed::Empty, now, mail: false, endpoint: None };
    let world = World::running(LocalMachine::start(options).await.unwrap()).await;
    world.open(100).await;
    world.pass(20 * 86_400).await;
    world.settle().await;
    let path = "/admin/v1/reports/roll-forward?month=2024-01";
    let mut units = vec![];
    for status in [202, 200] {
        world.delete("/_local/capacity", "").await.data();
        assert_eq!(world.get(path, world.operator()).await.status, status);
        let capacity = world.get("/_local/capacity", "").await.data();
        let of_route = &capacity["routes"]["GET /admin/v1/reports/roll-forward"];
        units.push((of_route["readUnits"].clone(), of_route["writeUnits"].clone()));
        world.settle().await;
    }
    assert_eq!(units, [(json!(0.5), json!(0.0)), (json!(2.0), json!(0.0))]);
}
