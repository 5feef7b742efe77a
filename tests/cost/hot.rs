//! The projector keeps up with hot accounts, in simulated time under DynamoDB's limits.

use std::time::Duration;

use tests::{HotLoad, Limits, simulate};

/// A hundredth of ten minutes at 900 debits a second: `cargo xtask bench hot` runs the whole.
#[tokio::test(start_paused = true)]
async fn the_projector_keeps_up_with_a_hot_account() {
    let load = HotLoad {
        accounts: 1,
        callers: 32,
        processes: 1,
        rate: Some(900.0),
        debits: 5_400,
        rows: 1,
        limits: Limits::AWS,
        queue_away: Duration::ZERO,
        projector_waits: false,
        crossing: 2_700,
    };
    let figures = simulate(load).await;
    assert_eq!((figures.debits, figures.refused, figures.followed), (5_400, 0, 5_400));
    assert!(figures.lag < Duration::from_secs(5), "{:?}", figures.lag);
    assert!(figures.recharge.unwrap() < Duration::from_secs(5), "{:?}", figures.recharge);
    let (written, read) = (figures.background.written / 5_400.0, figures.background.read / 5_400.0);
    assert!(written <= 0.15 && read <= 0.1, "{written} write units and {read} read units a debit");
}

/// A hundredth of ten minutes without the queue of auto-recharge: no record is delivered again, the projector stays close
/// behind, one job for the account and minute is scheduled, and the recharge is requested as soon as the queue is back.
#[tokio::test(start_paused = true)]
async fn a_queue_that_is_away_delays_nothing_but_its_message() {
    let away = Duration::from_secs(6);
    let load = HotLoad {
        accounts: 1,
        callers: 32,
        processes: 1,
        rate: Some(300.0),
        debits: 2_400,
        rows: 1,
        limits: Limits::AWS,
        queue_away: away,
        projector_waits: false,
        crossing: 300,
    };
    let figures = simulate(load).await;
    assert_eq!((figures.followed, figures.again, figures.jobs), (2_400, 0, 1));
    assert!(figures.lag < Duration::from_secs(5), "{:?}", figures.lag);
    // The threshold is crossed after one second.
    let waited = figures.recharge.unwrap();
    assert!((Duration::from_secs(5)..Duration::from_secs(7)).contains(&waited), "{waited:?}");
}

/// A backlog of one account, and of a hundred accounts in one shard.
#[tokio::test(start_paused = true)]
async fn a_backlog_is_followed_at_five_thousand_records_a_second() {
    for accounts in [1, 100] {
        let load = HotLoad {
            accounts,
            callers: 32,
            processes: 1,
            rate: None,
            debits: 1_500,
            rows: 1,
            limits: Limits::AWS,
            queue_away: Duration::ZERO,
            projector_waits: true,
            crossing: 1_000_000,
        };
        let figures = simulate(load).await;
        assert_eq!(figures.followed, 1_500);
        let rate = 1_500.0 / figures.followed_in.as_secs_f64();
        assert!(rate >= 5_000.0, "{accounts} accounts: {rate} records a second");
    }
}

/// The load of 16 processes with batches of a hundred, where all rows are of one account.
fn batches(debits: usize, limits: Limits) -> HotLoad {
    HotLoad {
        accounts: 1,
        callers: 16,
        processes: 16,
        rate: None,
        debits,
        rows: 100,
        limits,
        queue_away: Duration::ZERO,
        projector_waits: false,
        crossing: 1_000_000,
    }
}

/// At a tenth of AWS's limits, an account makes no more rows than can be written: other requests are refused before they
/// are charged. At most the rows of the requests that are under way are missing.
#[tokio::test(start_paused = true)]
async fn an_account_makes_no_rows_faster_than_they_are_written() {
    let tenth = Limits { written: 100.0, read: 300.0, ..Limits::AWS };
    let figures = simulate(batches(60, tenth)).await;
    assert!(figures.refused > 0 && figures.debits >= 16, "{figures:?}");
    assert!(figures.unwritten <= 16 * 100, "{}", figures.unwritten);
    assert!(figures.audited && figures.followed == figures.debits, "{figures:?}");
}

/// The rows of a busy account are spread over more shards. `cargo xtask bench hot` shows up to how many.
#[tokio::test(start_paused = true)]
async fn the_rows_of_a_busy_account_are_spread() {
    let figures = simulate(batches(120, Limits::AWS)).await;
    assert!(figures.shards >= 2, "{figures:?}");
    assert!(figures.unwritten <= 16 * 100, "{}", figures.unwritten);
    assert!(figures.audited && figures.followed == figures.debits, "{figures:?}");
}
