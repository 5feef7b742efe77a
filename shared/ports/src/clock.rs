//! The clock port and the system clock.

use chrono::{DateTime, Utc};

/// When a request arrived, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Business time, which all rules use. A test clock may hold or advance it.
    pub now: DateTime<Utc>,
    /// System time, used for leases and timeouts.
    pub wall: DateTime<Utc>,
}

/// The source of the time. Rules take the time as an argument.
pub trait Clock: Send + Sync {
    /// Business time.
    fn now(&self) -> DateTime<Utc>;

    /// Business time and system time.
    fn moment(&self) -> Moment {
        Moment { now: self.now(), wall: SystemClock.now() }
    }
}

/// The system clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
