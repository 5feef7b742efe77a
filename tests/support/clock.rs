//! A clock that the test moves.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Duration, Utc};
use scrip_http::Clock;
use scrip_webhooks::MomentSource;
use store::Moment;
use tokio::time::Instant;

/// A clock that the test moves, for both times. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<DateTime<Utc>>>);

impl ManualClock {
    /// A clock that says `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// The time.
    pub fn time(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = now.checked_add_signed(duration).unwrap();
    }

    /// Moves the clock to `time`, unless it is later already.
    pub fn advance_to(&self, time: DateTime<Utc>) {
        let mut now = self.0.lock().unwrap();
        *now = time.max(*now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.time()
    }

    fn moment(&self) -> Moment {
        Moment { now: self.time(), wall: self.time() }
    }
}

impl MomentSource for ManualClock {
    fn now(&self) -> Moment {
        self.moment()
    }
}

/// A clock that follows the runtime's own, which a test pauses: time passes while all tasks wait.
#[derive(Clone, Copy, Debug)]
pub struct SimulatedClock {
    start: DateTime<Utc>,
    origin: Instant,
}

impl SimulatedClock {
    /// A clock that says `now`.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { start: now, origin: Instant::now() }
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> DateTime<Utc> {
        let passed = i64::try_from(self.origin.elapsed().as_millis()).unwrap();
        self.start.checked_add_signed(Duration::milliseconds(passed)).unwrap()
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now(), wall: self.now() }
    }
}
