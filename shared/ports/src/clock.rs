//! The clock port and the system clock.

use chrono::{DateTime, SubsecRound, Utc};

/// When a request arrived, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Business time, which all rules use. A test clock may hold or advance it.
    pub now: DateTime<Utc>,
    /// System time, used for leases and timeouts.
    pub wall: DateTime<Utc>,
}

/// The digits of a second that a clock shows. Jobs and ids are stored with as many, so a job that is due at a time never
/// finds that the time has not come.
pub const SUBSECOND_DIGITS: u16 = 3;

/// The source of the time. Rules take the time as an argument.
pub trait Clock: Send + Sync {
    /// Business time, in whole milliseconds.
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
        Utc::now().trunc_subsecs(SUBSECOND_DIGITS)
    }
}
