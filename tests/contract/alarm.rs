//! The alarm on the projector's log of skipped items.

use std::fs;
use std::path::Path;

/// The alarm in the stack counts the text that the projector logs, in the projector's log group.
#[test]
fn the_stack_has_an_alarm_for_skipped_items() {
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
