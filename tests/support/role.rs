//! The rights of a deployed function: a connection to DynamoDB on which every other request fails its test.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::Value;

/// What the role of a function may do with the tables, as its template says.
#[derive(Debug)]
struct Role {
    function: String,
    /// The tables with the actions on them: `LedgerTable PutItem`; after a blank the beginning of the only partitions that
    /// may be used, if there is one: `SettingsTable PutItem USED#`.
    rights: BTreeSet<String>,
}

#[derive(Debug)]
struct RoleConnector {
    inner: SharedHttpConnector,
    role: Arc<Role>,
}

/// A connection through `client` with the rights of a function, named as its folder is.
pub(crate) fn as_function(client: SharedHttpClient, function: &str) -> SharedHttpClient {
    let role = Arc::new(Role::of(function));
    http_client_fn(move |settings, components| {
        let inner = client.http_connector(settings, components);
        SharedHttpConnector::new(RoleConnector { inner, role: role.clone() })
    })
}

impl Role {
    fn of(function: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../functions/{function}/function.yaml"));
        let (mut actions, mut rights) = (Vec::new(), BTreeSet::new());
        let text = std::fs::read_to_string(path).unwrap();
        for (line, next) in text.lines().zip(text.lines().skip(1)) {
            let line = line.trim();
            let partitions = next.split_once("dynamodb:LeadingKeys\": [").map_or("", |(_, rest)| rest);
            let partitions: Vec<_> = partitions.split('"').skip(1).step_by(2).collect();
            let partitions: Vec<_> = partitions.iter().map(|keys| keys.trim_end_matches('*')).collect();
            let partitions = if partitions.is_empty() { vec![""] } else { partitions };
            if line.starts_with("Action:") {
                actions.clear();
            }
            if let Some(table) =
                line.strip_prefix("Resource: !GetAtt ").and_then(|name| name.strip_suffix(".Arn"))
            {
                for keys in partitions {
                    let right = |action| format!("{table} {action} {keys}").trim_end().to_owned();
                    rights.extend(actions.iter().map(right));
                }
            } else {
                let named = line.split("dynamodb:").skip(1);
                let word =
                    |rest: &str| rest.chars().take_while(char::is_ascii_alphabetic).collect::<String>();
                actions.extend(named.map(word));
            }
        }
        assert!(!rights.is_empty(), "{function} may do nothing");
        Self { function: function.to_owned(), rights }
    }

    /// Fails unless the role allows a request.
    fn check(&self, request: &HttpRequest) {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let asked: Vec<_> = match body["TransactItems"].as_array() {
            Some(items) => items
                .iter()
                .flat_map(|item| item.as_object().unwrap())
                .map(|(action, write)| (right(&write["TableName"], &format!("{action}Item")), write))
                .collect(),
            None => {
                let action = target.rsplit('.').next().unwrap_or_default();
                vec![(right(&body["TableName"], action), &body)]
            }
        };
        for (right, write) in asked {
            let partition = write.pointer("/Item/pk/S").or(write.pointer("/Key/pk/S"));
            let partition = partition.and_then(Value::as_str).unwrap_or_default();
            let is_among = |(allowed, begin): (&str, &str)| allowed == right && partition.starts_with(begin);
            let limited = self.rights.iter().filter_map(|allowed| allowed.rsplit_once(' '));
            let is_allowed = self.rights.contains(&right) || limited.into_iter().any(is_among);
            assert!(is_allowed, "the role of {} does not allow {right}", self.function);
        }
    }
}

/// A right to the table that tests call `ledger-…`, `ledger-…-settings` or `ledger-…-activity`.
fn right(table: &Value, action: &str) -> String {
    let table = match table.as_str().unwrap() {
        settings if settings.ends_with("-settings") => "SettingsTable",
        activity if activity.ends_with("-activity") => "ActivityTable",
        _ => "LedgerTable",
    };
    format!("{table} {action}")
}

impl HttpConnector for RoleConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.role.check(&request);
        self.inner.call(request)
    }
}
