//! Finding organisations by the beginning of their names.

use crate::settings::organisations::{Organisation, Settings};
use crate::table::attribute::{text, text_of};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Write;
use crate::table::settings_key::{AFTER_NAME, NAMES, SettingsKey};
use domain::OrgId;

/// How many characters of a name it is found by, so that it fits into a key of 1,024 bytes.
const CHARS_MAX: usize = 200;

/// The most bytes of a sort key.
const KEY_BYTES_MAX: usize = 1_024;

/// A page of organisations by their names.
#[derive(Clone, Debug)]
pub struct NamedPage {
    /// The organisations.
    pub organisations: Vec<OrgId>,
    /// Where the next page begins; `None` on the last page.
    pub next: Option<String>,
}

/// A name as it is searched: in lower case, with single blanks.
fn searched(name: &str) -> String {
    let words = name.split_whitespace().collect::<Vec<_>>().join(" ");
    // Letter by letter: the same letter is the same at the end of a word.
    words.chars().flat_map(char::to_lowercase).take(CHARS_MAX).collect()
}

/// The item by which an organisation is found.
pub(crate) fn name_item(name: &str, org: OrgId) -> StoredItem {
    Key::Settings(SettingsKey::Name(&searched(name), org)).attributes()
}

/// The write that removes that item.
pub(crate) fn remove_name(name: &str, org: OrgId, add: &str) -> Option<Write<'static>> {
    let (old, new) = (name_item(name, org), name_item(add, org));
    (old != new).then_some(Write::DeleteItem(old))
}

impl Settings {
    /// Up to `limit` organisations whose names begin with `prefix`, in the order of their names, whatever their case; `None`
    /// for a place that no page of this search ends with.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn organisations_named(
        &self,
        prefix: &str,
        after: Option<String>,
        limit: u16,
    ) -> Result<Option<NamedPage>, Fault> {
        let prefix = searched(prefix);
        let (first, last) = (prefix.clone(), format!("{prefix}\u{10ffff}"));
        let is_place = |after: &String| {
            let org = after.rsplit_once(AFTER_NAME).map(|(_, org)| OrgId::try_from(org.to_owned()));
            after.starts_with(&prefix) && after.len() <= KEY_BYTES_MAX && matches!(org, Some(Ok(_)))
        };
        if after.as_ref().is_some_and(|after| !is_place(after)) {
            return Ok(None);
        }
        let keys = SortKeys::Between(after.map_or(first, |after| format!("{after}\u{0}")), last);
        let query = ItemQuery::new(NAMES.to_owned(), keys).consistent(false).limit(limit.into());
        let page = self.table.query(query, "find organisations by name").await?;
        let places: Vec<_> = page.items.iter().filter_map(|item| text_of(item, "sk")).collect();
        let org = |place: &&str| OrgId::try_from(place.rsplit_once(AFTER_NAME)?.1.to_owned()).ok();
        Ok(Some(NamedPage {
            organisations: places.iter().filter_map(org).collect(),
            next: places.last().filter(|_| page.last.is_some()).map(|place| (*place).to_owned()),
        }))
    }

    /// Has an older organisation found by its name.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn index_name(&self, organisation: &Organisation) -> Result<(), Fault> {
        let Organisation { org, name, .. } = organisation;
        let indexed = UpdateExpression::new("SET isIndexed = :yes")
            .only_if("#name = :name")
            .name("#name", "name")
            .value(":name", text(name.clone()))
            .value(":yes", aws_sdk_dynamodb::types::AttributeValue::Bool(true));
        let writes = vec![Write::Update(Key::organisation(*org), indexed), Write::Put(name_item(name, *org))];
        // Where it is refused, the organisation has just got another name, and is found by that one.
        self.table.write_together(writes, "index the name of an organisation").await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_searched_in_lower_case_and_fit_into_a_key() {
        assert_eq!(searched("  Acme   GmbH "), "acme gmbh");
        assert_eq!(searched("ÄRZTE"), "ärzte");
        assert!(searched("ΟΔΟΣ ΑΕ").starts_with(&searched("ΟΔΟΣ")), "a sigma at the end");
        let longest = searched(&"\u{1f980}".repeat(255));
        assert!(longest.len() + "\u{1}org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA".len() <= 1_024);
    }
}
