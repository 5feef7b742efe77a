//! The names of the client and of operators, for records that have them in place of ids.

use std::collections::{BTreeMap, BTreeSet};

use domain::KeyId;
use scrip_http::{ApiError, App, Caller, may};
use store::FoundRecord;

use crate::query::Populated;
use crate::record::{Named, NamedView, RecordView};

/// The name of an operator's key that has no description.
const OPERATOR: &str = "Operator";

/// The names that records are filled with.
#[derive(Default)]
pub(crate) struct Names {
    client: Option<String>,
    /// The operators by their keys; `None` where they are not wanted.
    operators: Option<BTreeMap<String, String>>,
}

impl Names {
    /// Reads the names that are wanted: that of the client, and that of each operator among the records.
    pub(crate) async fn of(
        app: &App,
        caller: &Caller<may::Read>,
        wanted: &[Populated],
        records: &[FoundRecord],
    ) -> Result<Self, ApiError> {
        let mut names = Self::default();
        let (org, wall) = (caller.account.org, caller.call.moment.wall);
        if wanted.contains(&Populated::Client) {
            names.client = app.settings.organisation(org, wall).await?.map(|organisation| organisation.name);
        }
        if wanted.contains(&Populated::SuperAdmin) {
            let mut operators = BTreeMap::new();
            for key in records.iter().filter_map(operator).collect::<BTreeSet<_>>() {
                let known = app.settings.operator_key(key).await?;
                let name = known.and_then(|known| known.name);
                let name = name.map_or_else(|| OPERATOR.to_owned(), |name| name.as_str().to_owned());
                operators.insert(key.to_string(), name);
            }
            names.operators = Some(operators);
        }
        Ok(names)
    }

    /// Replaces the ids of a record by the names that were read.
    pub(crate) fn fill(&self, record: &mut RecordView) {
        if let Some(name) = &self.client
            && let NamedView::Id(id) = &record.client
        {
            record.client = NamedView::Named(Named { id: id.clone(), name: name.clone() });
        }
        if let Some(operators) = &self.operators
            && let Some(NamedView::Id(id)) = &record.super_admin
        {
            let name = operators.get(id).map_or(OPERATOR, String::as_str).to_owned();
            record.super_admin = Some(NamedView::Named(Named { id: id.clone(), name }));
        }
    }
}

fn operator(record: &FoundRecord) -> Option<KeyId> {
    match record {
        FoundRecord::Booked(receipt) => receipt.details.super_admin,
        FoundRecord::Unbooked(_) => None,
    }
}
