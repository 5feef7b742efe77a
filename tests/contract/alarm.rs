//! The alarms on what projection logs.

use std::fs;
use std::path::Path;

use jobs::projection::{LEFT_TO_JOB, SKIPPED};

/// Each alarm of the stack counts the text that is logged, in the log group of each function that logs it.
#[test]
fn the_stack_has_an_alarm_for_what_projection_logs() {
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
    for (filter, log, text, metric) in [
        ("UnreadableItems", "ProjectorLog", SKIPPED, "UnreadableItems"),
        ("UnreadableItemsOfJobs", "ReconcileLog", SKIPPED, "UnreadableItems"),
        ("AccountsBehind", "ProjectorLog", LEFT_TO_JOB, "AccountsBehind"),
    ] {
        let (filter, alarm) = (block(filter), block(&format!("{metric}Alarm")));
        for line in [
            "Type: AWS::Logs::MetricFilter",
            &format!("LogGroupName: !Ref {log}"),
            &format!("FilterPattern: '\"{text}\"'"),
            &format!("MetricName: {metric}"),
            "${AWS::StackName}",
        ] {
            assert!(filter.contains(line), "{line} is missing: {filter}");
        }
        for line in [
            "Type: AWS::CloudWatch::Alarm",
            &format!("MetricName: {metric}"),
            "${AWS::StackName}",
            "Threshold: 1",
            "!Ref AlarmTopicArn",
        ] {
            assert!(alarm.contains(line), "{line} is missing: {alarm}");
        }
    }
}
