//! The projector keeps up with hot accounts, in simulated time under DynamoDB's limits.

use std::time::Duration;

use tests::{HotLoad, simulate};

/// A hundredth of ten minutes at 900 debits a second: `cargo xtask bench hot` runs the whole.
#[tokio::test(start_paused = true)]
async fn the_projector_keeps_up_with_a_hot_account() {
    let load = HotLoad {
        accounts: 1,
        callers: 32,
        rate: Some(900.0),
        debits: 5_400,
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

/// A backlog of one account, and of a hundred accounts in one shard.
#[tokio::test(start_paused = true)]
async fn a_backlog_is_followed_at_five_thousand_records_a_second() {
    for accounts in [1, 100] {
        let load = HotLoad {
            accounts,
            callers: 32,
            rate: None,
            debits: 1_500,
            projector_waits: true,
            crossing: 1_000_000,
        };
        let figures = simulate(load).await;
        assert_eq!(figures.followed, 1_500);
        let rate = 1_500.0 / figures.followed_in.as_secs_f64();
        assert!(rate >= 5_000.0, "{accounts} accounts: {rate} records a second");
    }
}
