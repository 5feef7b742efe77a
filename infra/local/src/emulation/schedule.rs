//! The scheduler: runs due work while the clock runs, and whenever a caller moves the clock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use scrip_http::{App, Clock};
use tokio::sync::Mutex;

use super::functions;
use super::idle::Background;
use super::renewal_schedule::RenewalSchedule;
use crate::clock::LocalClock;
use crate::folder::{SavedState, StateFile};

/// How often the scheduler runs while the clock runs.
const TICK: Duration = Duration::from_secs(2);

/// The maximum number of stops of one move. Work that falls due after them runs at the end of the move.
const STOPS_MAX: u32 = 10_000;

/// How many ticks in a row may find something to run while the clock stands still.
const TICKS_MAX: u32 = 1_000;

/// The work that falls due on a machine, or in a test.
#[async_trait]
pub(crate) trait DueWork: Send + Sync {
    /// Returns once the background work is done.
    async fn wait_until_idle(&self) -> anyhow::Result<()>;

    /// When work next falls due; `None` when there is none.
    async fn next_due(&self) -> anyhow::Result<Option<DateTime<Utc>>>;

    /// Runs the due work, and returns how much there was.
    async fn tick(&self) -> anyhow::Result<usize>;

    /// Sets the clock, which then stands still. A clock that is later already keeps its time.
    async fn move_to(&self, at: DateTime<Utc>) -> anyhow::Result<()>;
}

/// Moves the clock to `to`. It stops whenever work falls due, and runs it.
///
/// # Errors
/// When work fails; the clock then stays at its last stop.
pub(crate) async fn advance(work: &impl DueWork, to: DateTime<Utc>) -> anyhow::Result<()> {
    for _ in 0..STOPS_MAX {
        work.wait_until_idle().await?;
        let Some(due) = work.next_due().await?.filter(|due| *due <= to) else { break };
        work.move_to(due).await?;
        if work.tick().await? == 0 {
            // The same job would be found at every further stop.
            tracing::warn!(%due, "a scheduled job is due and did not run");
            break;
        }
    }
    work.move_to(to).await?;
    run_due(work).await
}

/// Runs the due work and everything that follows from it.
///
/// # Errors
/// When something fails, or the work has no end.
pub(crate) async fn run_due(work: &impl DueWork) -> anyhow::Result<()> {
    for _ in 0..TICKS_MAX {
        work.wait_until_idle().await?;
        if work.tick().await? == 0 {
            return Ok(());
        }
    }
    anyhow::bail!("after {TICKS_MAX} ticks at one time something is still due")
}

/// The machine's scheduler.
#[derive(Clone)]
pub(crate) struct Scheduler {
    pub(crate) app: Arc<App>,
    pub(crate) clock: Arc<LocalClock>,
    pub(crate) background: Background,
    pub(crate) renewals: Arc<RenewalSchedule>,
    /// Held by the task that moves the clock or runs what is due: one at a time.
    pub(crate) turn: Arc<Mutex<()>>,
    pub(crate) saved: Arc<Mutex<SavedState>>,
    pub(crate) file: StateFile,
}

impl Scheduler {
    /// Ticks for as long as the machine runs. While the clock stands still nothing falls due by itself, so then only
    /// `POST /_local/clock` and `POST /_local/settle` run what is due.
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(TICK).await;
            if self.clock.stands_at().is_some() {
                continue;
            }
            let _turn = self.turn.lock().await;
            if let Err(error) = self.tick().await {
                tracing::error!(error = format!("{error:#}"), "what is due could not be run");
            }
        }
    }
}

#[async_trait]
impl DueWork for Scheduler {
    async fn wait_until_idle(&self) -> anyhow::Result<()> {
        self.background.wait_until_idle(&self.app).await
    }

    async fn next_due(&self) -> anyhow::Result<Option<DateTime<Utc>>> {
        let renewal = self.renewals.next(self.clock.now());
        let job = functions::next_job_due(&self.app).await?;
        Ok(job.into_iter().chain([renewal]).min())
    }

    async fn tick(&self) -> anyhow::Result<usize> {
        let now = self.clock.now();
        let mut handled = 0usize;
        if self.renewals.is_due(now) {
            handled = usize::from(functions::start_renewals(&self.app).await?).max(1);
            self.renewals.called(now);
        }
        Ok(handled.saturating_add(functions::reconcile(&self.app).await?))
    }

    async fn move_to(&self, at: DateTime<Utc>) -> anyhow::Result<()> {
        let now = self.clock.set(|now| at.max(now))?;
        let mut saved = self.saved.lock().await;
        saved.now = Some(now);
        self.file.write(&saved)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct FakeWork(Mutex<FakeState>);

    /// Jobs by the second at which they are due, and which ran when.
    #[derive(Default)]
    struct FakeState {
        now: i64,
        due: BTreeSet<(i64, &'static str)>,
        done: Vec<(i64, &'static str)>,
        /// Jobs that are postponed, by how many seconds, when they run: at most once for each entry.
        postponed: Vec<(&'static str, i64)>,
        /// No tick runs anything.
        stuck: bool,
        /// A job has run since the background work was last waited for.
        busy: bool,
        ticks: usize,
    }

    impl FakeWork {
        fn new(due: &[(i64, &'static str)]) -> Self {
            Self(Mutex::new(FakeState { due: due.iter().copied().collect(), ..FakeState::default() }))
        }

        async fn advance(&self, to: i64) -> anyhow::Result<Vec<(i64, &'static str)>> {
            advance(self, at(to)).await?;
            let state = self.0.lock().unwrap();
            assert!(!state.busy, "it ends idle");
            assert_eq!(state.now, to);
            Ok(state.done.clone())
        }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[async_trait]
    impl DueWork for FakeWork {
        async fn wait_until_idle(&self) -> anyhow::Result<()> {
            self.0.lock().unwrap().busy = false;
            Ok(())
        }

        async fn next_due(&self) -> anyhow::Result<Option<DateTime<Utc>>> {
            let state = self.0.lock().unwrap();
            assert!(!state.busy, "work in progress may still schedule a job");
            Ok(state.due.first().map(|(due, _)| at(*due)))
        }

        async fn tick(&self) -> anyhow::Result<usize> {
            let mut state = self.0.lock().unwrap();
            state.ticks += 1;
            let now = state.now;
            if state.stuck {
                return Ok(0);
            }
            let later = state.due.split_off(&(now + 1, ""));
            let due = std::mem::replace(&mut state.due, later);
            for (_, name) in &due {
                state.done.push((now, name));
                if let Some(place) = state.postponed.iter().position(|(again, _)| again == name) {
                    let (_, after) = state.postponed.swap_remove(place);
                    state.due.insert((now + after, name));
                }
            }
            state.busy = !due.is_empty();
            Ok(due.len())
        }

        async fn move_to(&self, to: DateTime<Utc>) -> anyhow::Result<()> {
            let mut state = self.0.lock().unwrap();
            state.now = state.now.max(to.timestamp());
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_falls_due_on_the_way_runs_at_its_time() {
        let fake = FakeWork::new(&[(30, "c"), (10, "a"), (10, "b"), (99, "after")]);
        assert_eq!(fake.advance(50).await.unwrap(), [(10, "a"), (10, "b"), (30, "c")]);
        assert_eq!(fake.advance(98).await.unwrap().len(), 3);
        assert_eq!(fake.advance(99).await.unwrap().last(), Some(&(99, "after")));
    }

    #[tokio::test]
    async fn what_is_overdue_runs_now_and_not_in_the_past() {
        let fake = FakeWork::new(&[(10, "late")]);
        fake.0.lock().unwrap().now = 40;
        assert_eq!(fake.advance(60).await.unwrap(), [(40, "late")]);
    }

    #[tokio::test]
    async fn a_postponed_job_runs_on_the_same_way_if_it_falls_due_there() {
        let fake = FakeWork::new(&[(10, "retry"), (20, "other")]);
        fake.0.lock().unwrap().postponed = vec![("retry", 25), ("retry", 100)];
        assert_eq!(fake.advance(60).await.unwrap(), [(10, "retry"), (20, "other"), (35, "retry")]);
        assert_eq!(fake.advance(200).await.unwrap().last(), Some(&(135, "retry")));
    }

    #[tokio::test]
    async fn what_follows_from_the_last_stop_runs_too() {
        let fake = FakeWork::new(&[(60, "end")]);
        fake.0.lock().unwrap().postponed = vec![("end", 0)];
        assert_eq!(fake.advance(60).await.unwrap(), [(60, "end"), (60, "end")]);
    }

    #[tokio::test]
    async fn a_job_that_does_not_run_does_not_stop_the_clock() {
        let fake = FakeWork::new(&[(10, "stuck")]);
        fake.0.lock().unwrap().stuck = true;
        assert_eq!(fake.advance(60).await.unwrap(), []);
        assert_eq!(fake.0.lock().unwrap().ticks, 2);
    }

    #[tokio::test]
    async fn ticks_without_an_end_are_an_error() {
        let fake = FakeWork::new(&[(10, "loop")]);
        fake.0.lock().unwrap().postponed = vec![("loop", 0); 20_000];
        fake.advance(60).await.unwrap_err();
    }
}
