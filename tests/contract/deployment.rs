//! The deployed stack and the code agree: tables, what of the stream reaches the projector, and how long everything takes.

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, Utc};
use domain::{Credits, EntryId, Lot, Notification, Source};
use local::engine::Engine;
use serde_json::Value;
use tests::{TestLedger, moment};

use super::stack::{constant, field, number, read, value};

const TABLES: &str = "infra/stack/tables.yaml";
const QUEUES: &str = "infra/stack/queues.yaml";
const WORKER: &str = "shared/webhooks/src/worker.rs";

/// A function's timeout in seconds: its own, or that of all functions.
fn timeout(function: &str) -> i64 {
    let file = format!("functions/{function}/function.yaml");
    let name: String = function.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    let own = number(&file, &format!("Resources.{name}Function.Properties.Timeout"));
    own.unwrap_or_else(|| number("infra/stack/parameters.yaml", "Globals.Function.Timeout").unwrap())
}

/// The tables that the local machine and the tests create are those of the template.
#[tokio::test]
async fn created_tables_are_the_deployed_ones() {
    let client = Client::from_conf(Engine::temporary().unwrap().dynamodb_config().build());
    local::create_tables(&client, local::Tables::OWN).await.unwrap();
    for (name, table) in [
        ("LedgerTable", local::LEDGER_TABLE),
        ("SettingsTable", local::SETTINGS_TABLE),
        ("ActivityTable", local::ACTIVITY_TABLE),
    ] {
        let of = |property: &str| value(TABLES, &format!("Resources.{name}.Properties.{property}"));
        let made = client.describe_table().table_name(table).send().await.unwrap().table.unwrap();
        let stream = made.stream_specification.and_then(|stream| stream.stream_view_type);
        let stream = stream.map(|kind| format!("{{ StreamViewType: {} }}", kind.as_str()));
        assert_eq!(stream, of("StreamSpecification"), "{name}");
        let known = client.describe_time_to_live().table_name(table).send().await.unwrap();
        let expiry = known.time_to_live_description.and_then(|expiry| expiry.attribute_name);
        let expiry = expiry.map(|attribute| format!("{{ AttributeName: {attribute}, Enabled: true }}"));
        assert_eq!(expiry, of("TimeToLiveSpecification"), "{name}");
        let text = read(TABLES);
        let block = text.split(&format!("\n  {name}:\n")).nth(1).unwrap().split("\n\n").next().unwrap();
        for key in made.key_schema.unwrap() {
            let attribute = key.attribute_name;
            let line = format!("- {{ AttributeName: {attribute}, KeyType: {} }}", key.key_type.as_str());
            assert!(block.contains(&line), "{name}: {line}");
            assert!(block.contains(&format!("{{ AttributeName: {attribute}, AttributeType: S }}")), "{name}");
        }
    }
}

/// The projector is called for accounts and for new events: the filters name the beginnings of just their keys.
#[tokio::test]
async fn accounts_and_events_reach_the_projector() {
    let now: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    let fixture = TestLedger::new().await;
    let account = fixture.open(400, now).await;
    let terms = Lot {
        source: Source::Bonus,
        left: Credits::try_from(1).unwrap(),
        service: None,
        expires_at: Some(now),
    };
    let notification = Notification::Expiring { lot: EntryId::new(now, 1), terms };
    fixture.ledger.emit(account, &notification, moment(now)).await.unwrap();
    let text = read("functions/projector/function.yaml");
    let patterns =
        text.lines().filter_map(|line| line.trim().strip_prefix("- Pattern: '")?.strip_suffix('\''));
    let patterns: Vec<Value> = patterns.map(|pattern| serde_json::from_str(pattern).unwrap()).collect();
    let begin =
        |pattern: &Value| pattern["dynamodb"]["Keys"]["pk"]["S"][0]["prefix"].as_str().unwrap().to_owned();
    assert_eq!(patterns.iter().map(begin).collect::<Vec<_>>(), ["ACCT#", "EVENTS#"]);
    for pattern in &patterns {
        let partition = format!("{}{account}", begin(pattern));
        assert!(!fixture.items(&partition).await.is_empty(), "{partition}");
    }
    // An account is projected after every change. An event never changes, and ends by the table's time to live.
    let names = patterns.iter().map(|pattern| pattern["eventName"].to_string()).collect::<Vec<_>>();
    assert_eq!(names, ["null", r#"["INSERT"]"#]);
}

/// A message is delivered five times, as alarms and runbook say, and not while its function may still handle it. The
/// failures are kept for longer than the messages. Tests of queues use the same numbers.
#[test]
fn a_message_is_delivered_again_after_its_function_has_ended() {
    for (queue, function) in [
        ("Export", "export"),
        ("Recharge", "recharge"),
        ("Renewal", "renewal"),
        ("Webhook", "webhook-delivery"),
    ] {
        let of = |queue: String, property: &str| format!("Resources.{queue}.Properties.{property}");
        let own = |property: &str| of(format!("{queue}Queue"), property);
        let hidden = number(QUEUES, &own("VisibilityTimeout")).unwrap();
        // As Lambda asks for, so that a message that waits for a throttled function is not delivered twice.
        assert!(6 * timeout(function) <= hidden, "{queue}: hidden for {hidden} s");
        let redrive = value(QUEUES, &own("RedrivePolicy")).unwrap();
        assert_eq!(field(&redrive, "maxReceiveCount").unwrap(), "5", "{queue}");
        assert_eq!(field(&redrive, "deadLetterTargetArn").unwrap(), format!("!GetAtt {queue}Failures.Arn"));
        let kept = number(QUEUES, &own("MessageRetentionPeriod"));
        assert!(kept < number(QUEUES, &of(format!("{queue}Failures"), "MessageRetentionPeriod")), "{queue}");
    }
    let (queues, sweep) = ("tests/support/queues.rs", "shared/jobs/src/renewal_sweep_tests.rs");
    assert_eq!(constant(queues, "RECEIVES_MAX"), 5);
    let hidden = number(QUEUES, "Resources.RenewalQueue.Properties.VisibilityTimeout").unwrap();
    assert_eq!([constant(queues, "VISIBILITY_SECONDS"), constant(sweep, "VISIBILITY")], [hidden; 2]);
    let renewal = "functions/renewal/function.yaml";
    let tasks = "Resources.RenewalFunction.Properties.Events.Tasks.Properties.ScalingConfig";
    let workers = field(&value(renewal, tasks).unwrap(), "MaximumConcurrency").unwrap();
    assert_eq!(workers, constant(sweep, "WORKERS").to_string());
}

/// What runs within a function ends before the function, and a lease lasts until its holder has stopped.
#[test]
fn work_ends_before_its_function() {
    let lease = constant("shared/domain/src/payment/purchase.rs", "LEASE_SECONDS");
    for function in ["admin", "clock", "payments", "purchase", "recharge"] {
        assert!(timeout(function) < lease, "{function} outlives the lease on a purchase");
    }
    // An attempt takes ten seconds at most (PostTimeouts), and saves its result.
    assert!(constant(WORKER, "WORK_SECONDS") + 10 < timeout("webhook-delivery"));
    assert!(constant("shared/exports/src/make.rs", "ATTEMPT_SECONDS") + 60 <= timeout("export"));
    // The gateway answers its callers after 30 seconds.
    assert!(timeout("consume") < 30);
}
