use chrono::{DateTime, Utc};

/// When a request arrived, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The business's time, which all rules go by. A test clock may hold or move it.
    pub now: DateTime<Utc>,
    /// The machine's own time, for how long an attempt has been running.
    pub wall: DateTime<Utc>,
}

/// The source of the time. Rules take the time as an argument.
pub trait Clock: Send + Sync {
    /// The business's time.
    fn now(&self) -> DateTime<Utc>;

    /// The business's time and the machine's.
    fn moment(&self) -> Moment {
        Moment { now: self.now(), wall: System.now() }
    }
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
