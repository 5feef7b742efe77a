//! The ids that operators have of their own for organisations. Each names one organisation.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::settings::organisation_names::name_item;
use crate::settings::organisations::{Organisation, Settings};
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::requests::Write;
use crate::table::settings_key::SettingsKey;
use domain::{OrgId, Reference};

#[derive(Serialize, Deserialize)]
struct ExternalIdItem {
    org: OrgId,
}

impl Settings {
    /// Adds an organisation, unless it exists, and its external id. Returns the organisation that has this external id
    /// already, if it is another one; then nothing is added.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn add_organisation(&self, organisation: &Organisation) -> Result<Option<OrgId>, Fault> {
        const DOING: &str = "write an organisation";
        let Organisation { org, name, external_id, .. } = organisation;
        let item = with_key(&Key::organisation(*org), organisation)?;
        let mut writes = vec![Write::PutIf(item, Condition::absent()), Write::Put(name_item(name, *org))];
        if let Some(external) = external_id {
            let named = with_key(&external_key(external), &ExternalIdItem { org: *org })?;
            writes.push(Write::PutIf(named, Condition::absent()));
        }
        if self.table.write_together(writes, DOING).await?.is_none() {
            return Ok(None);
        }
        match external_id {
            Some(external) => Ok(self.read_external(external).await?.filter(|known| known != org)),
            None => Ok(None),
        }
    }

    /// The organisation that has an external id, at most a minute old by `wall`, and at most 15 minutes while the table does
    /// not answer.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn org_of_external(
        &self,
        external: &Reference,
        wall: DateTime<Utc>,
    ) -> Result<Option<OrgId>, Fault> {
        let id = external.as_str().to_owned();
        let known = self.external_ids.get(&id, wall, self.read_external(external)).await?;
        Ok(known.map(|known| self.log.note(known, "an external id", wall).value))
    }

    async fn read_external(&self, external: &Reference) -> Result<Option<OrgId>, Fault> {
        let item = self.table.get(&external_key(external), "find an organisation by its external id").await?;
        item.map(|item| decode::<ExternalIdItem>("an external id", item).map(|named| named.org)).transpose()
    }
}

fn external_key(external: &Reference) -> Key<'_> {
    Key::Settings(SettingsKey::External(external.as_str()))
}
