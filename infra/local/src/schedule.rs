//! What falls due, and when: the machine's scheduler.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::Period;
use scrip_http::{App, Clock};

use crate::duties;
use crate::routes::Local;

/// How often the scheduler looks while the clock runs.
const TICK: Duration = Duration::from_secs(2);

/// How many times the clock is stopped on one way at most. What falls due after that many is done
/// at the end of the way.
const STOPS_MAX: u32 = 10_000;

/// How many ticks one after the other may find something to do while the clock stands.
const TICKS_MAX: u32 = 1_000;

/// How often the rounds of renewals are looked at again for what was missed.
const SWEEP: TimeDelta = TimeDelta::hours(1);

/// When the round of renewals was last begun, or looked at.
#[derive(Debug, Default)]
pub(crate) struct Rounds(Mutex<Option<DateTime<Utc>>>);

impl Rounds {
    /// When the next round begins: with the next month, or now for a machine that has just started.
    fn next(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.last() {
            Some(last) if Period::of(now) <= Period::of(last) => Period::of(last).next().start(),
            Some(_) | None => now,
        }
    }

    /// Whether somebody should look: a month has begun, or an hour has gone.
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.last()
            .is_none_or(|last| Period::of(last) < Period::of(now) || SWEEP <= now.signed_duration_since(last))
    }

    fn last(&self) -> Option<DateTime<Utc>> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begun(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }
}

/// A machine as its scheduler sees it.
#[async_trait]
pub(crate) trait Agenda: Send + Sync {
    /// Returns once stream, events and wakes are worked off.
    async fn settle(&self) -> anyhow::Result<()>;

    /// When the earliest errand falls due; none when nothing is to be done.
    async fn next(&self) -> anyhow::Result<Option<DateTime<Utc>>>;

    /// Does what is due by now; how much there was.
    async fn tick(&self) -> anyhow::Result<usize>;

    /// Sets the clock, which stands still from then on; to where it is if that is later.
    async fn move_to(&self, at: DateTime<Utc>) -> anyhow::Result<()>;
}

/// Moves the clock to `to`, and does what falls due on the way in its order: the clock stops at each
/// such time.
///
/// # Errors
/// When something can't be done; the clock has then stopped there.
pub(crate) async fn advance(agenda: &impl Agenda, to: DateTime<Utc>) -> anyhow::Result<()> {
    for _ in 0..STOPS_MAX {
        agenda.settle().await?;
        let Some(due) = agenda.next().await?.filter(|due| *due <= to) else { break };
        agenda.move_to(due).await?;
        if agenda.tick().await? == 0 {
            // What is due and not done would be found again and again.
            tracing::warn!(%due, "an errand is due and was not handled");
            break;
        }
    }
    agenda.move_to(to).await?;
    work_off(agenda).await
}

/// Does what is due by now and all that comes of it.
///
/// # Errors
/// When something can't be done, or it has no end.
pub(crate) async fn work_off(agenda: &impl Agenda) -> anyhow::Result<()> {
    for _ in 0..TICKS_MAX {
        agenda.settle().await?;
        if agenda.tick().await? == 0 {
            return Ok(());
        }
    }
    anyhow::bail!("{TICKS_MAX} ticks at one time have not done all that is due")
}

/// The machine's own agenda.
pub(crate) struct House {
    pub(crate) app: Arc<App>,
    pub(crate) local: Local,
}

impl House {
    /// Ticks for as long as the machine lives. While the clock stands still nothing falls due by
    /// itself; then only whoever moves it, or settles, ticks.
    pub(crate) async fn run(self) {
        loop {
            tokio::time::sleep(TICK).await;
            if self.local.clock.stands_at().is_some() {
                continue;
            }
            let _turn = self.local.turn.lock().await;
            if let Err(error) = self.tick().await {
                tracing::error!(error = format!("{error:#}"), "what is due could not be done");
            }
        }
    }
}

#[async_trait]
impl Agenda for House {
    async fn settle(&self) -> anyhow::Result<()> {
        self.local.quiet.reach(&self.app).await
    }

    async fn next(&self) -> anyhow::Result<Option<DateTime<Utc>>> {
        let round = self.local.rounds.next(self.local.clock.now());
        let errand = duties::next_errand(&self.app).await?;
        Ok(errand.into_iter().chain([round]).min())
    }

    async fn tick(&self) -> anyhow::Result<usize> {
        let now = self.local.clock.now();
        let mut handled = 0usize;
        if self.local.rounds.is_due(now) {
            handled = usize::from(duties::begin_round(&self.app).await?).max(1);
            self.local.rounds.begun(now);
        }
        Ok(handled.saturating_add(duties::tick(&self.app).await?))
    }

    async fn move_to(&self, at: DateTime<Utc>) -> anyhow::Result<()> {
        let now = self.local.clock.set(|now| at.max(now))?;
        let mut memory = self.local.memory.lock().await;
        memory.now = Some(now);
        self.local.file.write(&memory)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

    use std::collections::BTreeSet;
    use std::sync::Mutex;

    use super::*;

    /// Errands by the second at which they are due, and what was done when.
    #[derive(Default)]
    struct Fake(Mutex<Book>);

    #[derive(Default)]
    struct Book {
        now: i64,
        due: BTreeSet<(i64, &'static str)>,
        done: Vec<(i64, &'static str)>,
        /// Errands that are put off by so many seconds when they are done: at most once each.
        again: Vec<(&'static str, i64)>,
        /// Errands that no tick does.
        stuck: bool,
        /// Work was done that has not settled.
        unsettled: bool,
        ticks: usize,
    }

    impl Fake {
        fn new(due: &[(i64, &'static str)]) -> Self {
            Self(Mutex::new(Book { due: due.iter().copied().collect(), ..Book::default() }))
        }

        async fn advance(&self, to: i64) -> anyhow::Result<Vec<(i64, &'static str)>> {
            advance(self, at(to)).await?;
            let book = self.0.lock().unwrap();
            assert!(!book.unsettled, "it ends settled");
            assert_eq!(book.now, to);
            Ok(book.done.clone())
        }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[async_trait]
    impl Agenda for Fake {
        async fn settle(&self) -> anyhow::Result<()> {
            self.0.lock().unwrap().unsettled = false;
            Ok(())
        }

        async fn next(&self) -> anyhow::Result<Option<DateTime<Utc>>> {
            let book = self.0.lock().unwrap();
            assert!(!book.unsettled, "what was done may have put something on the agenda");
            Ok(book.due.first().map(|(due, _)| at(*due)))
        }

        async fn tick(&self) -> anyhow::Result<usize> {
            let mut book = self.0.lock().unwrap();
            book.ticks += 1;
            let now = book.now;
            if book.stuck {
                return Ok(0);
            }
            let later = book.due.split_off(&(now + 1, ""));
            let due = std::mem::replace(&mut book.due, later);
            for (_, name) in &due {
                book.done.push((now, name));
                if let Some(place) = book.again.iter().position(|(again, _)| again == name) {
                    let (_, after) = book.again.swap_remove(place);
                    book.due.insert((now + after, name));
                }
            }
            book.unsettled = !due.is_empty();
            Ok(due.len())
        }

        async fn move_to(&self, to: DateTime<Utc>) -> anyhow::Result<()> {
            let mut book = self.0.lock().unwrap();
            book.now = book.now.max(to.timestamp());
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_falls_due_on_the_way_is_done_at_its_time() {
        let fake = Fake::new(&[(30, "c"), (10, "a"), (10, "b"), (99, "after")]);
        assert_eq!(fake.advance(50).await.unwrap(), [(10, "a"), (10, "b"), (30, "c")]);
        assert_eq!(fake.advance(98).await.unwrap().len(), 3);
        assert_eq!(fake.advance(99).await.unwrap().last(), Some(&(99, "after")));
    }

    #[tokio::test]
    async fn what_is_overdue_is_done_now_and_not_in_the_past() {
        let fake = Fake::new(&[(10, "late")]);
        fake.0.lock().unwrap().now = 40;
        assert_eq!(fake.advance(60).await.unwrap(), [(40, "late")]);
    }

    #[tokio::test]
    async fn what_is_put_off_is_done_on_the_same_way_if_it_falls_due_there() {
        let fake = Fake::new(&[(10, "retry"), (20, "other")]);
        fake.0.lock().unwrap().again = vec![("retry", 25), ("retry", 100)];
        assert_eq!(fake.advance(60).await.unwrap(), [(10, "retry"), (20, "other"), (35, "retry")]);
        assert_eq!(fake.advance(200).await.unwrap().last(), Some(&(135, "retry")));
    }

    #[tokio::test]
    async fn what_comes_of_the_last_stop_is_worked_off() {
        let fake = Fake::new(&[(60, "end")]);
        fake.0.lock().unwrap().again = vec![("end", 0)];
        assert_eq!(fake.advance(60).await.unwrap(), [(60, "end"), (60, "end")]);
    }

    #[tokio::test]
    async fn an_errand_that_nobody_handles_does_not_hold_the_clock() {
        let fake = Fake::new(&[(10, "stuck")]);
        fake.0.lock().unwrap().stuck = true;
        assert_eq!(fake.advance(60).await.unwrap(), []);
        assert_eq!(fake.0.lock().unwrap().ticks, 2);
    }

    #[tokio::test]
    async fn ticks_that_find_no_end_are_told() {
        let fake = Fake::new(&[(10, "loop")]);
        fake.0.lock().unwrap().again = vec![("loop", 0); 20_000];
        fake.advance(60).await.unwrap_err();
    }
}
