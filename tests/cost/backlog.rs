//! How late scheduled jobs begin behind a backlog, in simulated time: a hundredth of `cargo bench --bench jobs`.

use tests::{Backlog, BacklogRun};

const BACKLOG: Backlog = Backlog { jobs: 1_000, purchases: 1_200, holds: 20, minutes: 2, killed_every: 0 };

async fn drain(backlog: Backlog) -> BacklogRun {
    let run = backlog.drain("2024-01-15T10:30:00Z".parse().unwrap()).await;
    eprintln!("{backlog:?}: {run:?}");
    assert_eq!(run.released_after.len(), backlog.holds);
    run
}

/// Half of the backlog belongs to one account, and more purchases wait for a slow payment provider than one call can
/// run: other accounts' holds are released within a minute of their end.
#[tokio::test(start_paused = true)]
async fn a_backlog_does_not_delay_unrelated_jobs() {
    let run = drain(BACKLOG).await;
    assert!(run.released_after.iter().all(|seconds| (0..=60).contains(seconds)), "{run:?}");
    // One account's jobs run four at a time.
    assert!(run.drained_after.num_minutes() <= 2, "{run:?}");
}

/// All calls are killed half a minute after their beginning, every second minute: nothing is lost.
#[tokio::test(start_paused = true)]
async fn killed_calls_lose_no_job() {
    let run = drain(Backlog { killed_every: 2, ..BACKLOG }).await;
    assert!(run.released_after.iter().all(|seconds| (0..=120).contains(seconds)), "{run:?}");
}
