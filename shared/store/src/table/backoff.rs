//! Waits between the attempts of racing writes.

use std::time::Duration;

use ports::random;

/// Waits before an attempt, for a random time below a limit that doubles with each attempt, so that of many rivals only a
/// few try at the same moment. The first attempts do not wait, because mostly the next one succeeds. Returns whether it
/// has waited.
pub(crate) async fn backoff(attempt: u32) -> bool {
    const FREE: u32 = 3;
    const FIRST_MILLIS: u128 = 4;
    const MOST_MILLIS: u128 = 500;
    let Some(waits) = attempt.checked_sub(FREE) else { return false };
    let most = FIRST_MILLIS.checked_shl(waits.min(16)).unwrap_or(MOST_MILLIS).min(MOST_MILLIS);
    let millis = u64::try_from(random().checked_rem(most).unwrap_or(0)).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    true
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// The first attempts come at once; later ones wait, for half a second at most.
    #[tokio::test(start_paused = true)]
    async fn waits_grow_with_each_attempt() {
        for (attempt, most) in
            [(0, 0), (2, 0), (3, 4), (4, 8), (9, 256), (10, 500), (39, 500), (u32::MAX, 500)]
        {
            let before = Instant::now();
            for _ in 0..50 {
                let start = Instant::now();
                assert_eq!(backoff(attempt).await, most > 0, "{attempt}");
                assert!(start.elapsed().as_millis() <= most, "{attempt}: {:?}", start.elapsed());
            }
            assert_eq!(before.elapsed().is_zero(), most == 0, "{attempt}");
        }
    }
}
