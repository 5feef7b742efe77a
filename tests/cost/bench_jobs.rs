//! How long does a backlog of scheduled jobs take, and how late are unrelated jobs meanwhile?
//! `cargo bench --workspace --bench jobs [-- COUNT]`, in simulated time. A test runs a hundredth of it.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints figures")]

use tests::Backlog;

fn main() {
    let count = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(100_000);
    let backlog = Backlog { jobs: count, purchases: 300, holds: 300, minutes: 15, killed_every: 0 };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let run = runtime.block_on(backlog.drain("2024-01-15T10:30:00Z".parse().unwrap()));
    println!("{backlog:?}");
    println!("drained after {} s (simulated), {} writes", run.drained_after.num_seconds(), run.writes);
    println!("holds released after their end, in seconds: {:?}", run.released_after);
}
