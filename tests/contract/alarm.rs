//! The alarms on texts that functions log.

use std::fs;
use std::path::Path;

/// The alarm in the stack counts the text that the projector logs, in the projector's log group.
#[test]
fn the_stack_has_an_alarm_for_skipped_items() {
    counts_log_lines("UnreadableItems", "ProjectorLog", projector::SKIPPED);
}

/// The same for jobs that begin late, in the log of reconcile.
#[test]
fn the_stack_has_an_alarm_for_late_jobs() {
    counts_log_lines("JobsLate", "ReconcileLog", jobs::LATE_JOBS);
}

/// Checks that a metric of the stack counts a text in a log group, and that an alarm watches the metric.
#[track_caller]
fn counts_log_lines(metric: &str, log: &str, text: &str) {
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
    let filter = block(metric);
    assert!(filter.contains("Type: AWS::Logs::MetricFilter"), "{filter}");
    assert!(filter.contains(&format!("LogGroupName: !Ref {log}")), "{filter}");
    assert!(filter.contains(&format!("FilterPattern: '\"{text}\"'")), "{filter}");
    let alarm = block(&format!("{metric}Alarm"));
    let metric = format!("MetricName: {metric}");
    for line in ["Type: AWS::CloudWatch::Alarm", &metric, "Threshold: 1", "!Ref AlarmTopicArn"] {
        assert!(alarm.contains(line), "{line} is missing: {alarm}");
    }
    for line in [metric.as_str(), "${AWS::StackName}"] {
        assert!(filter.contains(line) && alarm.contains(line), "{line}");
    }
}
