//! What functions log: their own lines from the level on that the stack's `LogLevel` names, and those of libraries from
//! INFO on. Below that libraries log whole requests, and with them the callers' keys; the Lambda runtime, for one,
//! every event as it came.

use std::env;
use std::io::stdout;

use lambda_http::tracing::Subscriber;
use lambda_http::tracing::subscriber::filter::{LevelFilter, filter_fn};
use lambda_http::tracing::subscriber::fmt::{self, MakeWriter};
use lambda_http::tracing::subscriber::layer::SubscriberExt;
use lambda_http::tracing::subscriber::util::SubscriberInitExt;
use lambda_http::tracing::subscriber::{Layer, Registry};

/// The crates whose lines we answer for: every room, and every function.
const OURS: [&str; 26] = [
    "aws",
    "domain",
    "jobs",
    "ports",
    "scrip_http",
    "scrip_payments",
    "scrip_webhooks",
    "store",
    "admin",
    "balance",
    "catalogue",
    "clock",
    "consume",
    "holds",
    "payments",
    "projector",
    "purchase",
    "recharge",
    "reconcile",
    "refund",
    "renewal",
    "settings",
    "subscription",
    "transactions",
    "webhook_delivery",
    "webhooks",
];

/// Logs as Lambda asks for it: `AWS_LAMBDA_LOG_LEVEL` and `AWS_LAMBDA_LOG_FORMAT` are the function's `LoggingConfig`.
/// Outside of Lambda `RUST_LOG` may name the level.
pub(super) fn start() {
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

/// The least severe level that is kept of what `target` says.
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
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is kept of what is said.
    fn kept(wanted: LevelFilter, json: bool, say: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        with_default(subscriber(wanted, json, move || writer.clone()), say);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    /// As the Lambda runtime, hyper and the SDK do.
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
        tracing::trace!(target: "store_of_others", event, "its name only begins as ours");
    }

    #[test]
    fn no_level_has_libraries_log_a_callers_key() {
        for wanted in [LevelFilter::TRACE, LevelFilter::DEBUG, LevelFilter::INFO, LevelFilter::OFF] {
            for json in [true, false] {
                let lines = kept(wanted, json, libraries_log_a_key);
                assert!(lines.is_empty(), "{wanted} {json}: {lines}");
            }
        }
    }

    #[test]
    fn the_level_counts_for_our_own_lines_and_libraries_still_warn() {
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
    fn every_room_and_function_is_ours() {
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
