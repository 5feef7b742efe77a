//! Opening, closing and serving a database, and a process that is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::super::EngineError;
use super::*;

/// The variable with the folder of [`a_writer_that_is_killed`]; without it that test does nothing.
const WRITER_FOLDER: &str = "SCRIP_ENGINE_WRITER_FOLDER";

#[test]
fn a_folder_is_opened_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new").join("data");
    let engine = Engine::open(&folder).unwrap();
    let second = Engine::open(&folder).unwrap_err().to_string();
    let advice = "is in use by another scrip; stop it or choose another --data folder";
    assert_eq!(second, format!("the data in {} {advice}", folder.display()));
    let client = client(&engine);
    drop(engine);
    assert!(Engine::open(&folder).is_err(), "a client keeps it open");
    drop(client);
    Engine::open(&folder).unwrap();
}

#[test]
fn a_folder_that_cannot_be_used_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    assert!(matches!(Engine::open(&file), Err(EngineError::Folder { .. })));

    std::fs::write(
        folder.path().join("dynamo.db"),
        "not a database, but long enough to be read as one ".repeat(99),
    )
    .unwrap();
    assert!(matches!(Engine::open(folder.path()), Err(EngineError::Database { .. })));
}

#[tokio::test]
async fn a_temporary_folder_is_deleted_with_the_last_clone() {
    let engine = Engine::temporary().unwrap();
    let folder = engine.0.home.folder.clone();
    let client = with_table(&engine).await;
    engine.serve(0).unwrap();
    drop(engine);
    put(&client, "ORG#1", "ACCOUNT", &[]).await;
    assert!(folder.join("dynamo.db").exists());
    drop(client);
    assert!(!folder.exists());
}

#[tokio::test]
async fn the_data_served_over_http_is_the_same() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    let address = engine.serve(0).unwrap();
    assert!(address.ip().is_loopback());
    let over_http = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::from_static("local"))
        .credentials_provider(aws_sdk_dynamodb::config::Credentials::new("k", "k", None, None, "test"))
        .endpoint_url(format!("http://{address}"));
    let over_http = Client::from_conf(over_http.build());
    put(&over_http, "ORG#1", "ACCOUNT", &[("lots", lots(&[("a", 5)]))]).await;
    assert!(refused(debit(&client, "ORG#1", 2)).await.is_none());
    assert_eq!(get(&over_http, "ORG#1", "ACCOUNT").await.unwrap()["lots"], lots(&[("a", 3)]));

    let taken = engine.serve(address.port()).unwrap_err().to_string();
    assert_eq!(taken, format!("cannot listen on 127.0.0.1:{}", address.port()));
    drop((engine, client));
    assert!(std::net::TcpStream::connect(address).is_err(), "nothing listens any longer");
}

/// Not a test of its own, but the child process of [`acknowledged_writes_survive_kill_9`]. Writes until it is killed, and
/// prints each number once its write is acknowledged.
#[tokio::test]
async fn a_writer_that_is_killed() {
    let Some(folder) = std::env::var_os(WRITER_FOLDER) else { return };
    let engine = Engine::open(folder.as_ref()).unwrap();
    let client = with_table(&engine).await;
    put(&client, "ORG#1", "ACCOUNT", &[("lots", lots(&[("a", 1_000_000)]))]).await;
    let mut acknowledged = std::io::stdout();
    for number in 1.. {
        put(&client, "ORG#1", &format!("ENTRY#{number}"), &[]).await;
        assert!(refused(debit(&client, "ORG#1", 1)).await.is_none());
        writeln!(acknowledged, "acknowledged {number}").unwrap();
    }
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    /// The writer is killed after this many acknowledged rounds, in the middle of a later one.
    const ROUNDS: i64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engine::tests::lifecycle::a_writer_that_is_killed", "--nocapture"])
        .env(WRITER_FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        // The test harness writes on the same line as the first of these.
        if let Some((_, number)) = line.unwrap().split_once("acknowledged ") {
            acknowledged = number.parse().unwrap();
        }
        if acknowledged == ROUNDS {
            writer.kill().unwrap();
        }
    }
    assert!(!writer.wait().unwrap().success());
    assert!(acknowledged >= ROUNDS, "the writer ended by itself after {acknowledged}");

    let engine = Engine::open(folder.path()).unwrap();
    let client = client(&engine);
    for number in 1..=acknowledged {
        assert!(get(&client, "ORG#1", &format!("ENTRY#{number}")).await.is_some(), "{number} is lost");
    }
    let account = get(&client, "ORG#1", "ACCOUNT").await.unwrap();
    // One more debit may have landed without being acknowledged.
    let left = [acknowledged, acknowledged + 1].map(|debited| lots(&[("a", 1_000_000 - debited)]));
    assert!(left.contains(&account["lots"]), "{account:?}");
}
