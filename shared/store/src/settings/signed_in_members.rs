//! Members in whose sessions requests are made.

use crate::settings::last_known::Known;
use crate::settings::organisations::Settings;
use crate::table::error::Fault;
use domain::{Member, MemberId, OrgId, OrganisationSwitches, RateLimit};
use ports::Moment;

/// A member who was found, and what counts for every member of the organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMember {
    /// The member.
    pub member: Member,
    /// Whether the organisation was closed.
    pub is_closed: bool,
    /// How many requests all callers of the organisation together may make.
    pub rate_limit: Option<RateLimit>,
    /// What the organisation has switched on or off.
    pub switches: OrganisationSwitches,
    /// Whether both were read in the last minute.
    pub is_current: bool,
}

/// A member as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct CachedMember {
    member: Member,
    is_closed: bool,
    rate_limit: Option<RateLimit>,
    switches: OrganisationSwitches,
}

impl Settings {
    /// A member, also one who was removed, as others have changed it at most five seconds before `moment.wall`, or at most
    /// 15 minutes while the table does not answer; `None` when there is no such member.
    ///
    /// # Errors
    /// When the table does not answer and the member was not read in the last 15 minutes.
    pub async fn known_member(
        &self,
        org: OrgId,
        id: MemberId,
        moment: Moment,
    ) -> Result<Option<KnownMember>, Fault> {
        let (of, wall) = ((org, id), moment.wall);
        self.forget_changed(self.signed_in_members.read_at(&of), wall).await;
        let Some(known) = self.signed_in_members.get(&of, wall, self.read_known_member(org, id)).await?
        else {
            return Ok(None);
        };
        let Known { value: CachedMember { member, is_closed, rate_limit, switches }, is_current, .. } =
            self.log.note(known, "a member", wall);
        Ok(Some(KnownMember { member, is_closed, rate_limit, switches, is_current }))
    }

    async fn read_known_member(&self, org: OrgId, id: MemberId) -> Result<Option<CachedMember>, Fault> {
        let Some(member) = self.member(org, id).await? else { return Ok(None) };
        let organisation = self.current_organisation(org).await?;
        let organisation =
            organisation.ok_or_else(|| Fault::corrupt("a member", "its organisation is gone"))?;
        let (is_closed, rate_limit) = (organisation.closed_at.is_some(), organisation.rate_limit);
        let switches = organisation.switches();
        Ok(Some(CachedMember { member, is_closed, rate_limit, switches }))
    }
}
