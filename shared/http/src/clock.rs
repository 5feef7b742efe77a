use chrono::{DateTime, Utc};

use store::Moment;

/// What time it is. The rules take it as an argument; this is where it comes from.
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
