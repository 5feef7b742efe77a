//! Logging of functions. Our own crates log from the level that the stack's `LogLevel` names, libraries from INFO: below
//! INFO, libraries log whole requests with the callers' keys (the Lambda runtime logs every event, for one).

use std::env;
use std::io::stdout;

use lambda_runtime::tracing::Subscriber;
use lambda_runtime::tracing::subscriber::filter::{LevelFilter, filter_fn};
use lambda_runtime::tracing::subscriber::fmt::{self, MakeWriter};
use lambda_runtime::tracing::subscriber::layer::SubscriberExt;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
use lambda_runtime::tracing::subscriber::{Layer, Registry};

/// Our own crates: those in `shared` and every function.
const OURS: [&str; 37] = [
    "app",
    "aws",
    "domain",
    "jobs",
    "ports",
    "scrip_documents",
    "scrip_exports",
    "scrip_http",
    "scrip_payments",
    "scrip_webhooks",
    "store",
    "admin",
    "analytics",
    "balance",
    "budgets",
    "catalogue",
    "clock",
    "consume",
    "credits",
    "export",
    "exports",
    "holds",
    "payments",
    "projector",
    "purchase",
    "recharge",
    "reconcile",
    "refund",
    "renewal",
    "sessions",
    "settings",
    "statements",
    "subscription",
    "team",
    "transactions",
    "webhook_delivery",
    "webhooks",
];

/// Starts logging as the function's `LoggingConfig` says (`AWS_LAMBDA_LOG_LEVEL`, `AWS_LAMBDA_LOG_FORMAT`). Outside of
/// Lambda, `RUST_LOG` may name the level.
pub fn start_log() {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let level = set("AWS_LAMBDA_LOG_LEVEL").or_else(|| set("RUST_LOG"));
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    let json = set("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"));
    subscriber(level, json, stdout).init();
}

fn subscriber(
    wanted: LevelFilter,
    json: bool,
    writer: impl for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let lines = fmt::layer().with_target(false).without_time().with_writer(writer);
    let lines = if json { lines.json().boxed() } else { lines.boxed() };
    let kept = filter_fn(move |line| *line.level() <= least_severe(line.target(), wanted));
    Registry::default().with(lines.with_filter(kept.with_max_level_hint(wanted)))
}

/// The least severe level at which lines of `target` are kept.
fn least_severe(target: &str, wanted: LevelFilter) -> LevelFilter {
    let by = target.split("::").next().unwrap_or_default();
    if OURS.contains(&by) { wanted } else { wanted.min(LevelFilter::INFO) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::io::{self, Write};
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct LogLines(Arc<Mutex<Vec<u8>>>);

    impl Write for LogLines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that a subscriber keeps of what `say` logs.
    fn kept(wanted: LevelFilter, json: bool, say: impl FnOnce()) -> String {
        let kept = LogLines::default();
        let writer = kept.clone();
        with_default(subscriber(wanted, json, move || writer.clone()), say);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    /// Logs a key as the Lambda runtime, hyper and the SDK do.
    fn libraries_log_a_key() {
        let event = r#"{"headers":{"authorization":"Bearer sk_live_SECRET"}}"#;
        tracing::trace!(
            target: "lambda_runtime::layers::api_response",
            body = event,
            "raw JSON event received from Lambda"
        );
        tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", request = ?event, "transmitting request");
        tracing::debug!(target: "hyper::proto::h1::role", event, "parsed");
        tracing::debug!(target: "axum::rejection", event, "refused");
        tracing::trace!(target: "store_of_others", event, "a name that only starts like one of ours");
    }

    #[test]
    fn libraries_log_no_key_at_any_level() {
        for wanted in [LevelFilter::TRACE, LevelFilter::DEBUG, LevelFilter::INFO, LevelFilter::OFF] {
            for json in [true, false] {
                let lines = kept(wanted, json, libraries_log_a_key);
                assert!(lines.is_empty(), "{wanted} {json}: {lines}");
            }
        }
    }

    #[test]
    fn the_level_applies_to_our_own_lines_and_libraries_still_warn() {
        let say = || {
            tracing::trace!(target: "store::settle", "own trace");
            tracing::debug!(target: "webhook_delivery", "own debug");
            tracing::info!(target: "consume::batch", "own info");
            tracing::warn!(target: "hyper_util::client", "their warning");
        };
        let lines = |wanted, json| kept(wanted, json, say).lines().count();
        for (wanted, expected) in [
            (LevelFilter::TRACE, 4),
            (LevelFilter::DEBUG, 3),
            (LevelFilter::INFO, 2),
            (LevelFilter::WARN, 1),
            (LevelFilter::ERROR, 0),
        ] {
            assert_eq!((lines(wanted, true), lines(wanted, false)), (expected, expected), "{wanted}");
        }
    }

    #[test]
    fn every_room_and_function_is_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let manifests = ["shared", "functions"].into_iter().flat_map(|folder| {
            fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path().join("Cargo.toml"))
        });
        let manifests = manifests.filter_map(|path| fs::read_to_string(path).ok());
        let name = |text: String| {
            let line = text.lines().find_map(|line| line.strip_prefix("name = ")).unwrap();
            line.trim_matches('"').replace('-', "_")
        };
        let known: BTreeSet<_> = manifests.map(name).collect();
        assert_eq!(known, OURS.map(str::to_owned).into());
    }
}
