//! Outages: a DynamoDB that answers no request about one table.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::HttpConnectorFuture;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use serde_json::Value;

/// How a table fails to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// The connection is cut at once.
    Cut,
    /// No answer ever comes.
    Silent,
}

/// The table of the first write of a transaction.
fn in_transaction(body: &Value) -> Option<&str> {
    body.pointer("/TransactItems/0/Put/TableName")?.as_str()
}

/// The outage of one table, and the number of requests that it left unanswered.
#[derive(Clone, Debug, Default)]
pub struct TableOutage(Arc<Mutex<OutageState>>);

#[derive(Debug, Default)]
struct OutageState {
    table: Option<(&'static str, Outage)>,
    requests: usize,
}

impl TableOutage {
    /// From now on the tables whose names end like this answer nothing.
    pub fn begin(&self, ending: &'static str, outage: Outage) {
        *self.0.lock().unwrap() = OutageState { table: Some((ending, outage)), requests: 0 };
    }

    /// Ends the outage.
    pub fn end(&self) {
        self.0.lock().unwrap().table = None;
    }

    /// How many requests have got no answer since the outage began, each repetition of the SDK counted.
    pub fn requests(&self) -> usize {
        self.0.lock().unwrap().requests
    }

    /// What becomes of a request during the outage; `None` if it is about another table.
    pub(crate) fn of(&self, request: &HttpRequest) -> Option<HttpConnectorFuture> {
        let mut state = self.0.lock().unwrap();
        let (ending, outage) = state.table?;
        let body: Value = serde_json::from_slice(request.body().bytes()?).ok()?;
        let table = body["TableName"].as_str().or(in_transaction(&body))?;
        if !table.ends_with(ending) {
            return None;
        }
        state.requests = state.requests.saturating_add(1);
        Some(match outage {
            Outage::Cut => {
                HttpConnectorFuture::ready(Err(ConnectorError::io("the connection was cut".into())))
            }
            Outage::Silent => HttpConnectorFuture::new(std::future::pending()),
        })
    }
}
