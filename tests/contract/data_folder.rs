//! A data folder that an earlier version wrote: this version reads every item of it, and answers as that version did.
//!
//! The folder has two ledgers (live and test) with purchases, refunds, disputes, holds, captures, batches, monitors,
//! alerts, webhooks, auto-recharge, a change of plan and a change of month. `answers.json.gz` has the answers of the
//! version that wrote it.
#![expect(clippy::unwrap_used, reason = "a test that finds nothing fails, as it should")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, copy};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use reqwest::Client;
use serde_json::{Map, Value};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/contract/data_folder").join(name)
}

fn unpacked(name: &str) -> GzDecoder<File> {
    GzDecoder::new(File::open(fixture(name)).unwrap())
}

/// A copy of the folder.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&mut unpacked("dynamo.db.gz"), &mut File::create(folder.path().join("dynamo.db")).unwrap()).unwrap();
    for name in ["local.json", "payments.jsonl"] {
        fs::copy(fixture(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn scrip() -> Command {
    let mut scrip = Command::new(env!("CARGO_BIN_EXE_scrip"));
    scrip.env_remove("AWS_ENDPOINT_URL_DYNAMODB");
    scrip
}

/// Whether an answer has everything that was expected. Fields may have been added since.
fn has_all(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (Value::Object(fields), Value::Object(expected)) => expected
            .iter()
            .all(|(name, expected)| fields.get(name).is_some_and(|field| has_all(field, expected))),
        (Value::Array(items), Value::Array(expected)) => {
            items.len() == expected.len()
                && items.iter().zip(expected).all(|(item, expected)| has_all(item, expected))
        }
        _ => answer == expected,
    }
}

#[tokio::test]
async fn a_folder_of_an_earlier_version_is_served_unchanged() {
    let folder = folder();
    let mut scrip = scrip();
    let scrip = scrip
        .args(["--json", "--port", "0", "--seed", "demo", "--data"])
        .arg(folder.path())
        .stdout(Stdio::piped());
    let mut child = scrip.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let answers: Map<String, Value> = serde_json::from_reader(unpacked("answers.json.gz")).unwrap();
    assert!(answers.len() > 100);
    let client = Client::new();
    let mut changed = Vec::new();
    for (request, expected) in &answers {
        let (caller, path) = request.split_once(' ').unwrap();
        let key = match caller {
            "live" => "apiKey",
            "test" => "testKey",
            _ => "operatorKey",
        };
        let url = format!("{}{path}", ready["baseUrl"].as_str().unwrap());
        let answer = client.get(url).bearer_auth(ready[key].as_str().unwrap()).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        if !has_all(&answer["data"], expected) {
            changed.push(format!("{request}\n  was {expected}\n  is  {}", answer["data"]));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(changed.is_empty(), "{} answers have changed:\n{}", changed.len(), changed.join("\n"));
}

#[test]
fn a_folder_of_an_earlier_version_is_sound() {
    let folder = folder();
    let audit = scrip().arg("audit").arg("--data").arg(folder.path()).output().unwrap();
    let text = String::from_utf8(audit.stdout).unwrap();
    assert!(audit.status.success(), "{text}");
    assert!(text.contains("2, all sound"), "{text}");
}
