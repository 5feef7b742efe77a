//! The log of the code under test.

use std::io;
use std::sync::{Arc, Mutex, Once};

/// What the current thread has logged at WARN and above.
#[derive(Clone, Default)]
pub struct AlarmLog(Arc<Mutex<Vec<u8>>>);

/// A subscriber for the threads that capture nothing. While there is only one subscriber, tracing asks the thread that reaches
/// a log statement first whether it is ever wanted; a thread without a subscriber would switch it off for all.
static OTHERS: Once = Once::new();

impl AlarmLog {
    /// Captures what this thread logs until the guard is dropped.
    pub fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        OTHERS.call_once(|| {
            let none = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(io::sink);
            tracing::subscriber::set_global_default(none.finish()).ok();
        });
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The errors that the alarm on unreadable items counts.
    pub fn alarms(&self) -> Vec<String> {
        self.errors(jobs::projection::SKIPPED)
    }

    /// The errors with this text.
    pub fn errors(&self, what: &str) -> Vec<String> {
        self.lines("ERROR", what)
    }

    /// The warnings with this text.
    pub fn warnings(&self, what: &str) -> Vec<String> {
        self.lines("WARN", what)
    }

    fn lines(&self, level: &str, what: &str) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains(level) && line.contains(what));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for AlarmLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
