//! Capabilities: `main.rs`, manifest, environment and policies of a function name the same ones.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that a function can do beyond reading and writing the tables.
struct Capability {
    /// What `main.rs` calls to add it.
    call: &'static str,
    /// The environment variable that function.yaml sets for it, if it needs one.
    variable: Option<&'static str>,
    /// What the function's policies contain for it.
    policy: &'static [&'static str],
    /// The features of `app` that it needs.
    features: &'static [&'static str],
    /// The functions that may have it.
    functions: &'static [&'static str],
}

const CAPABILITIES: [Capability; 11] = [
    Capability {
        call: ".with_payments()",
        variable: Some("STRIPE_SECRET_ARN:"),
        policy: &["secretsmanager:GetSecretValue", "StripeSecretArn"],
        features: &["payments"],
        functions: &["admin", "payments", "purchase", "recharge", "reconcile"],
    },
    // The simulated provider of test keys, which has no secret.
    Capability {
        call: ".with_test_payments()",
        variable: None,
        policy: &[],
        features: &["payments"],
        functions: &["clock"],
    },
    Capability {
        call: ".with_recharge_queue()",
        variable: Some("RECHARGE_QUEUE_URL:"),
        policy: &["sqs:SendMessage", "RechargeQueue.Arn"],
        features: &["payments", "queues"],
        functions: &["admin", "clock", "payments", "projector", "recharge", "reconcile", "settings"],
    },
    Capability {
        call: ".with_renewal_queue()",
        variable: Some("RENEWAL_QUEUE_URL:"),
        policy: &["sqs:SendMessage", "RenewalQueue.Arn"],
        features: &["jobs", "queues"],
        functions: &["admin", "projector", "reconcile", "renewal"],
    },
    Capability {
        call: ".with_webhook_queue()",
        variable: Some("WEBHOOK_QUEUE_URL:"),
        policy: &["sqs:SendMessage", "WebhookQueue.Arn"],
        features: &["queues", "webhooks"],
        functions: &["reconcile", "webhook-delivery", "webhooks"],
    },
    Capability {
        call: ".with_export_queue()",
        variable: Some("EXPORT_QUEUE_URL:"),
        policy: &["sqs:SendMessage", "ExportQueue.Arn"],
        features: &["queues"],
        functions: &["exports", "reconcile"],
    },
    Capability {
        call: ".with_files()",
        variable: Some("EXPORT_BUCKET:"),
        policy: &["s3:PutObject", "ExportBucket.Arn"],
        features: &["files"],
        functions: &["export", "exports"],
    },
    Capability {
        call: ".with_event_bus()",
        variable: Some("EVENT_BUS:"),
        policy: &["events:PutEvents", "EventBus.Arn"],
        features: &["event-bus"],
        functions: &["projector"],
    },
    Capability {
        call: ".with_webhook_key()",
        variable: Some("WEBHOOK_KEY_ARN:"),
        policy: &["kms:", "WebhookKey.Arn"],
        features: &["kms"],
        functions: &["webhook-delivery", "webhooks"],
    },
    Capability {
        call: ".with_mail()",
        variable: Some("MAIL_FROM:"),
        policy: &["ses:SendEmail", "ses:FromAddress"],
        features: &["mail"],
        functions: &["sessions", "team"],
    },
    Capability {
        call: ".with_cursors()",
        variable: Some("CURSOR_KEY:"),
        policy: &[],
        features: &[],
        functions: &["analytics", "budgets", "exports", "subscription", "team", "transactions", "webhooks"],
    },
];

/// Crates that are in a function's dependency tree only with one of these features of `app`. Jobs may depend on the rooms
/// below them.
const CRATES: [(&str, &[&str]); 12] = [
    ("aws-sdk-eventbridge", &["event-bus"]),
    ("aws-sdk-kms", &["kms"]),
    ("aws-sdk-s3", &["files"]),
    ("aws-sdk-secretsmanager", &["jobs", "payments"]),
    ("aws-sdk-sesv2", &["mail"]),
    ("aws-sdk-sqs", &["queues"]),
    ("krilla", &["exports"]),
    ("reqwest", &["jobs", "payments"]),
    ("scrip-documents", &["exports"]),
    ("scrip-exports", &["exports"]),
    ("scrip-payments", &["jobs", "payments"]),
    ("scrip-webhooks", &["jobs", "webhooks"]),
];

/// Functions that depend on such a crate without a feature of `app`: statements are PDFs, too.
const DIRECT: [(&str, &str); 2] = [("statements", "krilla"), ("statements", "scrip-documents")];

#[test]
fn a_function_adds_what_its_template_grants() {
    let mut broken = Vec::new();
    for folder in functions() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let main = read(&folder, "src/main.rs");
        let template = read(&folder, "function.yaml");
        let features = features(&folder);
        for capability in &CAPABILITIES {
            let Capability { call, variable, policy, .. } = capability;
            let may = capability.functions.contains(&name.as_str());
            let is_granted = policy.iter().all(|words| template.contains(words));
            // A policy without words to look for is one that no resource needs.
            let is_granted = if policy.is_empty() { may } else { is_granted };
            let is_set = variable.map_or(may, |variable| template.contains(variable));
            let known = [main.contains(call), is_set, is_granted];
            if known != [may; 3] {
                broken.push(format!("{name}, {call}: call, variable, policy are {known:?} and not {may}"));
            }
            let missing: Vec<_> =
                capability.features.iter().filter(|feature| may && !features.contains(**feature)).collect();
            if !missing.is_empty() {
                broken.push(format!("{name}, {call}: the manifest lacks the features {missing:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The program `scrip` adds what its command `follow` hands to the projector, and requires the variables of just that: a
/// capability whose variable is required and that is not added would refuse every call.
#[test]
fn the_command_follow_adds_what_it_requires() {
    const FOLLOW: [&str; 4] =
        [".with_recharge_queue()", ".with_renewal_queue()", ".with_webhook_queue()", ".with_event_bus()"];
    let main = read(&root(), "infra/local/src/main.rs");
    for Capability { call, variable, .. } in &CAPABILITIES {
        let variable = variable.map(|variable| format!("(\"{}\", ", variable.trim_end_matches(':')));
        let is_required = variable.is_some_and(|variable| main.contains(&variable));
        let known = [main.contains(call), is_required];
        assert_eq!(known, [FOLLOW.contains(call); 2], "{call}: added, required");
    }
}

#[test]
fn a_function_depends_on_no_client_that_it_never_calls() {
    let mut broken = Vec::new();
    for folder in functions() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let features = features(&folder);
        let tree = tree(&name);
        assert!(tree.contains("app") && tree.contains("aws-sdk-dynamodb"), "{name}: {tree:?}");
        for (dependency, allowing) in CRATES {
            let is_allowed = allowing.iter().any(|feature| features.contains(*feature))
                || DIRECT.contains(&(name.as_str(), dependency));
            if tree.contains(dependency) && !is_allowed {
                broken.push(format!("{name} depends on {dependency} without one of {allowing:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The names of the crates that a package depends on, built by itself.
fn tree(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let arguments = ["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", package];
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{package}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// The features of `app` that a function's manifest names.
fn features(folder: &Path) -> BTreeSet<String> {
    let manifest = read(folder, "Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with("app")).unwrap().to_owned();
    let listed = line.split_once('[').map_or("", |(_, rest)| rest.trim_end_matches(['}', ' ', ']']));
    let names = listed.split(',').map(|name| name.trim().trim_matches('"').to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

fn functions() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("functions")).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    assert!(folders.len() > 10, "{folders:?}");
    folders
}

fn read(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
