//! Which ids are those of present members, for requests that name one.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;

use crate::settings::last_known::Known;
use crate::settings::organisations::Settings;
use crate::table::error::Fault;
use domain::{MemberId, MemberStatus, OrgId};

/// A member of an organisation.
pub(crate) type MemberKey = (OrgId, MemberId);

impl Settings {
    /// Which of these ids are those of members who were not removed, see [`Settings::has_member`].
    ///
    /// # Errors
    /// As [`Settings::has_member`].
    pub async fn present_members(
        &self,
        org: OrgId,
        members: BTreeSet<MemberId>,
        wall: DateTime<Utc>,
    ) -> Result<BTreeSet<MemberId>, Fault> {
        let looked_up = members.into_iter().map(async |member| {
            let is_present = self.has_member(org, member, wall).await?;
            Ok::<_, Fault>(Some(member).filter(|_| is_present))
        });
        Ok(try_join_all(looked_up).await?.into_iter().flatten().collect())
    }

    /// Whether an organisation has a member who was not removed, as others have changed it at most five seconds before `wall`,
    /// or at most 15 minutes while the table does not answer. An id that is not found costs one read in five seconds.
    ///
    /// # Errors
    /// When the table does not answer and the member was not read in the last 15 minutes.
    pub async fn has_member(&self, org: OrgId, member: MemberId, wall: DateTime<Utc>) -> Result<bool, Fault> {
        let key = (org, member);
        if self.unknown_members.contain(&key, wall) {
            return Ok(false);
        }
        self.forget_changed(self.members.read_at(&key), wall).await;
        let read = async {
            let found = self.member(org, member).await?;
            Ok(found.filter(|found| found.status() == MemberStatus::Active).map(|_| ()))
        };
        let Some(known) = self.members.get(&key, wall, read).await? else {
            self.unknown_members.add(key, wall);
            return Ok(false);
        };
        let Known { value: (), .. } = self.log.note(known, "a member", wall);
        Ok(true)
    }
}
