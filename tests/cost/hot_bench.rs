//! How far the projector is behind hot accounts, under DynamoDB's limits in simulated time: `cargo xtask bench hot
//! [-- SECONDS]`, for ten minutes unless it is said.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints figures"
)]

use std::time::Duration;

use tests::{HotFigures, HotLoad, Limits, simulate};

/// The debits a second of the hot account.
const RATE: u32 = 900;

fn main() {
    let seconds = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(600_u32);
    for (name, load) in loads(seconds) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        print(name, &runtime.unwrap().block_on(simulate(load)));
    }
}

/// The loads that are simulated, of which the last two take this number of seconds.
fn loads(seconds: u32) -> Vec<(&'static str, HotLoad)> {
    let hot = usize::try_from(RATE.saturating_mul(seconds)).unwrap();
    let load = HotLoad {
        accounts: 1,
        callers: 32,
        processes: 1,
        rate: Some(f64::from(RATE)),
        debits: hot,
        rows: 1,
        limits: Limits::AWS,
        queue_away: Duration::ZERO,
        projector_waits: false,
        crossing: hot / 2,
    };
    let never = 9_000_000;
    let batches = HotLoad { callers: 16, processes: 16, rate: None, rows: 100, crossing: never, ..load };
    vec![
        (
            "a backlog of one account",
            HotLoad { rate: None, debits: 20_000, projector_waits: true, crossing: never, ..load },
        ),
        (
            "a backlog of 100 accounts",
            HotLoad {
                accounts: 100,
                rate: None,
                debits: 20_000,
                projector_waits: true,
                crossing: never,
                ..load
            },
        ),
        (
            "16 callers, one account, as fast as they can",
            HotLoad { callers: 16, rate: None, debits: 20_000, crossing: never, ..load },
        ),
        (
            "32 callers, one account, as fast as they can",
            HotLoad { rate: None, debits: 20_000, crossing: never, ..load },
        ),
        (
            "one debit for each of 500 accounts",
            HotLoad { accounts: 500, callers: 1, rate: Some(5.0), debits: 500, crossing: never, ..load },
        ),
        (
            "16 callers with batches of 100, one account, at a tenth of the limits",
            HotLoad { debits: 400, limits: Limits { written: 100.0, read: 300.0, ..Limits::AWS }, ..batches },
        ),
        ("16 callers with batches of 100, one account", HotLoad { debits: 600, ..batches }),
        (
            "one account at 100 debits a second, its queue away",
            HotLoad {
                rate: Some(100.0),
                queue_away: Duration::from_secs(seconds.into()),
                debits: usize::try_from(110_u32.saturating_mul(seconds)).unwrap(),
                crossing: 0,
                ..load
            },
        ),
        ("one account at 900 debits a second", load),
    ]
}

fn print(name: &str, figures: &HotFigures) {
    let HotFigures {
        debits,
        refused,
        unwritten,
        shards,
        took,
        answers,
        lag,
        followed,
        followed_in,
        recharge,
        throttled,
        again,
        jobs,
        ..
    } = figures;
    let rate = |count: u64, time: Duration| f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64();
    let part = |percent: usize| answers.get(answers.len() * percent / 100).copied().unwrap_or_default();
    let each = |units: f64| units / f64::from(u32::try_from(*debits).unwrap());
    println!(
        "{name}: {debits} debits in {took:?} ({:.0}/s), {refused} refused, {throttled} requests throttled",
        rate(*debits, *took)
    );
    println!(
        "  answers: median {:?}, 99 % {:?}, slowest {:?}",
        part(50),
        part(99),
        answers.last().copied().unwrap_or_default()
    );
    println!(
        "  projector: {followed} records in {followed_in:?} ({:.0}/s), at most {lag:?} behind, recharge after {recharge:?}",
        rate(*followed, *followed_in)
    );
    println!("  {again} records were delivered again; {jobs} projection jobs were scheduled");
    println!("  at most {unwritten} entries without a row; rows in {shards} shards in the end");
    println!(
        "  units a debit: caller {:.3} written {:.3} read, background {:.3} written {:.3} read",
        each(figures.foreground.written),
        each(figures.foreground.read),
        each(figures.background.written),
        each(figures.background.read)
    );
}
