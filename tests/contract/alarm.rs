//! Alarms on what functions log.

use std::fs;
use std::path::Path;

use jobs::projection::{LEFT_TO_JOB, SKIPPED};
use scrip_exports::EXPORT_FAULT;
use scrip_webhooks::{DELIVERY_FAULT, SECRET_UNREADABLE};

/// Each alarm of the stack counts the text that is logged, in the log group of each function that logs it.
#[test]
fn the_stack_has_an_alarm_for_each_log_line() {
    for (filter, log, text, metric, threshold) in [
        ("UnreadableItems", "ProjectorLog", SKIPPED, "UnreadableItems", 1),
        ("UnreadableItemsOfJobs", "ReconcileLog", SKIPPED, "UnreadableItems", 1),
        ("AccountsBehind", "ProjectorLog", LEFT_TO_JOB, "AccountsBehind", 1),
        ("JobsLate", "ReconcileLog", jobs::LATE_JOBS, "JobsLate", 1),
        ("ExportFaults", "ExportLog", EXPORT_FAULT, "ExportFaults", 3),
        ("DeliveryFaults", "WebhookDeliveryLog", DELIVERY_FAULT, "DeliveryFaults", 5),
        ("UnreadableSecrets", "WebhookDeliveryLog", SECRET_UNREADABLE, "UnreadableSecrets", 1),
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
            &format!("Threshold: {threshold}"),
            "!Ref AlarmTopicArn",
        ] {
            assert!(alarm.contains(line), "{line} is missing: {alarm}");
        }
    }
}

/// A resource of the template.
fn block(name: &str) -> String {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    let template = fs::read_to_string(template).unwrap();
    let lines = template.lines().skip_while(|line| *line != format!("  {name}:"));
    let lines = lines.skip(1).take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.collect::<Vec<_>>().join("\n")
}
