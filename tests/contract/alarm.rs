//! Alarms on what functions log.

use std::fs;
use std::path::Path;

/// An alarm in the stack counts the text that a function logs, in the function's log group.
#[test]
fn the_stack_has_an_alarm_for_each_log_line() {
    for (metric, log, text, threshold) in [
        ("UnreadableItems", "ProjectorLog", projector::SKIPPED, 1),
        ("DeliveryFaults", "WebhookDeliveryLog", scrip_webhooks::DELIVERY_FAULT, 5),
        ("UnreadableSecrets", "WebhookDeliveryLog", scrip_webhooks::SECRET_UNREADABLE, 1),
    ] {
        check_alarm(metric, log, text, threshold);
    }
}

#[track_caller]
fn check_alarm(metric: &str, log: &str, text: &str, threshold: u32) {
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
    let (name, threshold) = (format!("MetricName: {metric}"), format!("Threshold: {threshold}"));
    for line in ["Type: AWS::CloudWatch::Alarm", &name, &threshold, "!Ref AlarmTopicArn"] {
        assert!(alarm.contains(line), "{line} is missing: {alarm}");
    }
    for line in [name.as_str(), "${AWS::StackName}"] {
        assert!(filter.contains(line) && alarm.contains(line), "{line}");
    }
}
