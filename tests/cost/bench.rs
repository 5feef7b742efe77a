//! Does a debit cost the same after many others? `cargo bench --bench debits [-- COUNT]`.
//!
//! One client makes COUNT debits of one account, one after the other over HTTP, on a machine that keeps its data in
//! a folder. Printed: the median of the second thousand and of the last thousand, and their ratio.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints figures"
)]

use std::time::{Duration, Instant};

use local::{DataLocation, LocalMachine, Options, Seed};
use serde_json::json;
use tests::client;

const THOUSAND: usize = 1_000;

#[tokio::main]
async fn main() {
    let count =
        std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(50_000).max(3 * THOUSAND);
    let folder = tempfile::tempdir().unwrap();
    let data = DataLocation::Folder(folder.path().to_owned());
    let options = Options { port: 0, data, seed: Seed::Demo, now: None, mail: false, endpoint: None };
    let machine = LocalMachine::start(options).await.unwrap();
    let (client, url) = (client(), machine.base_url());
    let org = machine.keys.organisation_id.clone().unwrap();
    let grant = client
        .post(format!("{url}/admin/v1/organisations/{org}/grants"))
        .bearer_auth(&machine.keys.operator_key);
    let grant =
        grant.header("Idempotency-Key", "bench").json(&json!({ "source": "bonus", "amount": 1_000_000_000 }));
    assert_eq!(grant.send().await.unwrap().status(), 201);
    let mut times = Vec::with_capacity(count);
    for n in 0..count {
        let debit = client
            .post(format!("{url}/api/v3/credits/consume"))
            .bearer_auth(machine.keys.api_key.as_ref().unwrap());
        let debit = debit
            .header("Idempotency-Key", format!("bench-{n}"))
            .json(&json!({ "operation": "verification.standard" }));
        let started = Instant::now();
        assert_eq!(debit.send().await.unwrap().status(), 201);
        times.push(started.elapsed());
        if (n + 1) % 10_000 == 0 {
            println!(
                "{} debits, median of the last thousand {:?}",
                n + 1,
                median(&times[n + 1 - THOUSAND..])
            );
        }
    }
    let (second, last) = (median(&times[THOUSAND..2 * THOUSAND]), median(&times[count - THOUSAND..]));
    println!(
        "{count} debits: second thousand {second:?}, last thousand {last:?}, ratio {:.2}",
        last.as_secs_f64() / second.as_secs_f64()
    );
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}
