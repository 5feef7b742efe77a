//! What the projector logs of items that it has skipped, and the alarm that counts it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The lines of the log of this thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Hears what is logged until the guard is dropped.
    pub(crate) fn hear() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The errors that the alarm counts.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains("ERROR") && line.contains(projector::SKIPPED));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The alarm of the stack counts the very words that the projector logs, in the projector's own log.
#[test]
fn the_stack_has_an_alarm_for_what_was_skipped() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let template = fs::read_to_string(template).unwrap();
    let block = |name: &str| {
        let lines = template.lines().skip_while(|line| *line != format!("  {name}:"));
        lines
            .skip(1)
            .take_while(|line| line.is_empty() || line.starts_with("    "))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let filter = block("UnreadableItems");
    assert!(filter.contains("Type: AWS::Logs::MetricFilter"), "{filter}");
    assert!(filter.contains("LogGroupName: !Ref ProjectorLog"), "{filter}");
    assert!(filter.contains(&format!("FilterPattern: '\"{}\"'", projector::SKIPPED)), "{filter}");
    let alarm = block("UnreadableItemsAlarm");
    for line in
        ["Type: AWS::CloudWatch::Alarm", "MetricName: UnreadableItems", "Threshold: 1", "!Ref AlarmTopicArn"]
    {
        assert!(alarm.contains(line), "{line} is missing: {alarm}");
    }
    for line in ["MetricName: UnreadableItems", "${AWS::StackName}"] {
        assert!(filter.contains(line) && alarm.contains(line), "{line}");
    }
}
