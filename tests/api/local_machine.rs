//! The local machine's own routes: which requests it accepts, what its inbox keeps, and its files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use http::Method;
use local::{DataLocation, LocalMachine, Options, Seed};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::{World, send};

/// Requests that a web page makes a local browser send, and requests of a local program.
#[tokio::test]
async fn no_web_page_reaches_the_local_routes() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let port = world.machine.address.port();
    let advance = json!({ "advanceSeconds": 60 });
    let move_clock = |headers: &[(&'static str, String)]| -> RequestBuilder {
        let request = world.request(Method::POST, "/_local/clock", "").json(&advance);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    };
    for headers in [
        vec![("host", format!("evil.example:{port}"))],
        vec![("host", "evil.example".to_owned())],
        vec![("host", format!("localhost:{}", port ^ 1))],
        vec![("origin", "http://evil.example".to_owned())],
        vec![("origin", "null".to_owned())],
        vec![("origin", format!("http://localhost:{}", port ^ 1))],
        vec![("sec-fetch-site", "cross-site".to_owned())],
    ] {
        assert_eq!(send(move_clock(&headers)).await.failure(), "403 INSUFFICIENT_PERMISSIONS", "{headers:?}");
    }
    for (method, path) in [
        (Method::GET, "/_local/clock"),
        (Method::POST, "/_local/settle"),
        (Method::GET, "/_local/capacity"),
        (Method::DELETE, "/_local/capacity"),
        (Method::GET, "/_local/payments"),
        (Method::POST, "/_local/payments/txn_1/dispute"),
        (Method::GET, "/_local/inbox"),
        (Method::POST, "/_local/inbox/me"),
        (Method::DELETE, "/_local/inbox"),
    ] {
        let request = world.request(method.clone(), path, "").header("origin", "http://evil.example");
        assert_eq!(send(request).await.status, 403, "{method} {path}");
    }
    assert_eq!(world.get("/_local/clock", "").await.data()["now"], json!("2024-01-15T10:30:00Z"));
    for headers in [
        vec![],
        vec![("host", format!("localhost:{port}")), ("origin", format!("http://localhost:{port}"))],
        vec![("host", format!("[::1]:{port}"))],
        vec![("origin", format!("http://127.0.0.1:{port}")), ("sec-fetch-site", "same-origin".to_owned())],
    ] {
        send(move_clock(&headers)).await.data();
    }
    assert_eq!(world.get("/_local/clock", "").await.data()["now"], json!("2024-01-15T10:34:00Z"));
    // A browser sends a preflight request; no header allows the page.
    let asked = world.request(Method::OPTIONS, "/_local/clock", "").header("origin", "http://evil.example");
    let asked = send(asked.header("access-control-request-method", "POST")).await;
    assert_eq!((asked.status, asked.header("access-control-allow-origin")), (405, None));
    let balance = world.request(Method::GET, "/api/v3/credits/balance", world.key());
    send(balance.header("origin", "https://shop.example")).await.data();
}

async fn page(world: &World) -> String {
    let page = world.request(Method::GET, "/_local/inbox", "").header("accept", "text/html");
    page.send().await.unwrap().text().await.unwrap()
}

/// Large bodies, and many of them.
#[tokio::test]
async fn the_inbox_is_bounded() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let deep = "[".repeat(120) + &"0,".repeat(850_000) + "0" + &"]".repeat(120);
    assert!(deep.len() > 1_700_000);
    let post = |name: String, body: String| {
        let request = world.request(Method::POST, &format!("/_local/inbox/{name}"), "");
        send(request.body(body).header("x-long", "&".repeat(3_000)))
    };
    post("large".into(), deep).await.data();
    let one = world.get("/_local/inbox", "").await.data()[0].clone();
    let length = |text: &Value| text.as_str().unwrap().len();
    assert_eq!((&one["truncated"], &one["bodyBytes"]), (&json!(true), &json!(1_700_241)));
    assert_eq!((length(&one["text"]), length(&one["headers"]["x-long"])), (65_536, 1_024));
    assert!(page(&world).await.len() < 300_000);
    for number in 0..150 {
        post(format!("{number}"), "<".repeat(60_000)).await.data();
    }
    let shown = page(&world).await;
    assert!(shown.len() < 2_000_000, "{}", shown.len());
    assert!(
        shown.contains("The newest") && shown.contains("/_local/inbox/149"),
        "the answer says that there are more"
    );
    let all = world.get("/_local/inbox?limit=100", "").await.data();
    let names: Vec<_> = all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.len() < 100 && names.first() == Some(&"149"), "{names:?}");
    world.delete("/_local/inbox", "").await.data();
    for number in 0..60 {
        post(format!("{number}"), json!({ "n": number }).to_string()).await.data();
    }
    let reported = world.get("/_local/inbox", "").await.data();
    assert_eq!(reported.as_array().unwrap().len(), 50);
    assert_eq!(reported[0]["body"], json!({ "n": 59 }));
    assert_eq!(world.get("/_local/inbox?limit=100", "").await.data().as_array().unwrap().len(), 60);
    for limit in ["0", "101", "x"] {
        let answer = world.get(&format!("/_local/inbox?limit={limit}"), "").await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{limit}");
    }
}

async fn start(folder: &Path) -> anyhow::Result<LocalMachine> {
    let data = DataLocation::Folder(folder.to_owned());
    LocalMachine::start(Options { port: 0, data, seed: Seed::Demo, now: None, mail: false, endpoint: None })
        .await
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn modes(folder: &Path) -> Vec<(String, u32)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), mode(&file.path()))).collect()
}

/// The data folder contains keys in clear text.
#[tokio::test]
async fn the_data_folder_is_private() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("new/data");
    let machine = start(&folder).await.unwrap();
    let files = modes(&folder);
    assert!(
        ["lock", "dynamo.db", "local.json", "payments.jsonl"]
            .iter()
            .all(|name| files.iter().any(|(file, _)| file == name))
    );
    assert!(files.iter().all(|(_, mode)| *mode == 0o600), "{files:?}");
    assert_eq!(mode(&folder), 0o700);
    machine.stop().await.unwrap();
    // The mode of a data folder is tightened at its next start; a folder with other files keeps its mode.
    for (file, _) in modes(&folder) {
        fs::set_permissions(folder.join(file), fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    start(&folder).await.unwrap().stop().await.unwrap();
    assert!(modes(&folder).iter().all(|(_, mode)| *mode == 0o600), "{:?}", modes(&folder));
    assert_eq!(mode(&folder), 0o700);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    fs::set_permissions(folder.join("notes.txt"), fs::Permissions::from_mode(0o644)).unwrap();
    start(&folder).await.unwrap().stop().await.unwrap();
    assert_eq!((mode(&folder), mode(&folder.join("notes.txt"))), (0o755, 0o644));
}

/// Without local.json the data is unusable, and new keys beside old data would look as if all was lost.
#[tokio::test]
async fn a_folder_without_its_local_json_is_refused_unchanged() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("local.json");
    let machine = start(home.path()).await.unwrap();
    let key = machine.keys.api_key.clone();
    machine.stop().await.unwrap();
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    for _ in 0..2 {
        let words = format!("{:#}", start(home.path()).await.err().unwrap());
        assert!(words.contains("local.json is missing") && words.contains("dynamo.db"), "{words}");
        assert!(words.contains("Restore the file, or choose another --data folder"), "{words}");
        assert!(!file.exists(), "no new data was created");
    }
    fs::write(&file, kept).unwrap();
    let again = start(home.path()).await.unwrap();
    assert_eq!(again.keys.api_key, key);
    again.stop().await.unwrap();
}
