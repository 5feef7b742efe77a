//! The audit log: what operators have done. It is only ever added to.
//!
//! A request is two items: one that is written before it is carried out, and one with its outcome. A request whose process
//! died in between has no outcome.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::settings::organisations::Settings;
use crate::table::attribute::text_of;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::settings_key::{SettingsKey, audit_partition};
use domain::{AccountId, KeyId, OperatorRole, OrgId, Period};

/// How many items one page of the log reads at most. A filter that finds few entries has pages with few.
const ITEMS_MAX: i32 = 400;

/// A request of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditedRequest {
    /// Its id, `req_…`.
    pub request_id: String,
    /// When it arrived.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub at: DateTime<Utc>,
    /// The operator's key.
    pub key: KeyId,
    /// The key's role.
    pub role: OperatorRole,
    /// The HTTP method.
    pub method: String,
    /// The path and the query.
    pub path: String,
    /// The organisation that the path names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// The account that the operator acted for; `None` for a request below `/admin/v1/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// How a request of an operator has ended. Texts are JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditOutcome {
    /// The status of the answer.
    pub status: u16,
    /// Whether the answer is that of an earlier attempt: the request has changed nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// The organisation that it has opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<OrgId>,
    /// The body of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What the request changed, as it was before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The same after it: the data of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// The request.
    pub request: AuditedRequest,
    /// How it has ended; `None` while it is carried out, or if its process died.
    pub outcome: Option<AuditOutcome>,
}

/// Which entries of the audit log are wanted.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    /// The month.
    pub month: Period,
    /// Only what this key has done.
    pub key: Option<KeyId>,
    /// Only what was done to this organisation.
    pub org: Option<OrgId>,
    /// Only older entries than the request with this id.
    pub before: Option<String>,
    /// How many entries are wanted.
    pub limit: u16,
}

/// A page of the audit log, the newest entry first.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// The entries.
    pub entries: Vec<AuditEntry>,
    /// The id of the last request that was read; `None` at the end of the month.
    pub next: Option<String>,
}

impl AuditQuery {
    fn wants(&self, request: &AuditedRequest, outcome: Option<&AuditOutcome>) -> bool {
        let is_about = |org: OrgId| {
            let acted_for = request.account.map(|account| account.org);
            let opened = outcome.and_then(|outcome| outcome.org);
            [acted_for, request.org, opened].contains(&Some(org))
        };
        self.key.is_none_or(|key| key == request.key) && self.org.is_none_or(is_about)
    }
}

/// The suffix of the item with the outcome: it is above the request, and below the next one.
const OUTCOME: &str = "#outcome";

impl Settings {
    /// Writes that an operator has sent a request.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn begin_audit(&self, request: &AuditedRequest) -> Result<(), Fault> {
        let key = Key::Settings(SettingsKey::Audit(Period::of(request.at), request.request_id.clone()));
        let item = with_key(&key, request)?;
        self.table.put_new(item, "write the audit log").await.map(|_| ())
    }

    /// Writes how the request has ended that arrived at `at`.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn end_audit(
        &self,
        request: &str,
        at: DateTime<Utc>,
        outcome: &AuditOutcome,
    ) -> Result<(), Fault> {
        let key = Key::Settings(SettingsKey::Audit(Period::of(at), format!("{request}{OUTCOME}")));
        let item = with_key(&key, outcome)?;
        self.table.put_new(item, "write the audit log").await.map(|_| ())
    }

    /// A page of a month's entries.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn audit_log(&self, query: &AuditQuery) -> Result<AuditPage, Fault> {
        let keys = query.before.clone().map_or(SortKeys::All, SortKeys::Below);
        let items = ItemQuery::new(audit_partition(query.month), keys).falling().limit(ITEMS_MAX);
        let page = self.table.query(items, "read the audit log").await?;
        let (mut entries, mut outcome, mut last) = (Vec::new(), None, None);
        let mut is_full = false;
        for item in page.items {
            let id = text_of(&item, "sk").unwrap_or_default().to_owned();
            if let Some(of) = id.strip_suffix(OUTCOME) {
                outcome = Some((of.to_owned(), decode("an outcome in the audit log", item)?));
                continue;
            }
            if is_full {
                // There is an older entry.
                return Ok(AuditPage { entries, next: last });
            }
            let request: AuditedRequest = decode("an entry of the audit log", item)?;
            last = Some(id.clone());
            let outcome: Option<(String, AuditOutcome)> = outcome.take();
            let outcome = outcome.filter(|(of, _)| *of == id).map(|(_, outcome)| outcome);
            if query.wants(&request, outcome.as_ref()) {
                entries.push(AuditEntry { request, outcome });
                is_full = entries.len() >= usize::from(query.limit);
            }
        }
        Ok(AuditPage { entries, next: last.filter(|_| page.last.is_some()) })
    }
}
