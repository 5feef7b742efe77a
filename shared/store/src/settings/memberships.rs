//! Which organisations an address is a member of, to find them for signing in by mail.

use serde::{Deserialize, Serialize};

use crate::settings::organisations::Settings;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Write;
use crate::table::settings_key::{SettingsKey, mail_partition};
use domain::{Email, Member, MemberId, OrgId};

/// How many organisations are found by an address.
const MEMBERSHIPS_MAX: i32 = 20;

/// That an address belongs to a member of an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Membership {
    /// The organisation.
    pub org: OrgId,
    /// The member.
    pub member_id: MemberId,
}

impl Settings {
    /// The first 20 organisations of which an address is a member, in the order of their ids.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn memberships(&self, email: &Email) -> Result<Vec<Membership>, Fault> {
        let query = ItemQuery::new(mail_partition(&email.hash()), SortKeys::All);
        let page = self.table.query(query.limit(MEMBERSHIPS_MAX), "find members by an address").await?;
        page.items.into_iter().map(|item| decode("a membership", item)).collect()
    }
}

/// The write that makes a member findable by the address.
pub(crate) fn add_membership<'a>(member: &Member, hash: &'a str) -> Result<Write<'a>, Fault> {
    let membership = Membership { org: member.org, member_id: member.member_id };
    Ok(Write::Put(with_key(&Key::Settings(SettingsKey::Membership(hash, member.org)), &membership)?))
}

/// The write that ends it.
pub(crate) fn end_membership<'a>(member: &Member, hash: &'a str) -> Write<'a> {
    Write::Delete(Key::Settings(SettingsKey::Membership(hash, member.org)))
}
