//! Members: listed, changed and removed.

use chrono::{DateTime, Utc};

use crate::settings::change_log::ChangedSetting;
use crate::settings::memberships::end_membership;
use crate::settings::organisations::Settings;
use crate::settings::seats::{add_owner, end_owner, free_address, free_seat};
use crate::table::attribute::number;
use crate::table::backoff::backoff;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Write;
use crate::table::settings_key::{MEMBERS, SettingsKey, team_partition};
use domain::{Denial, InvitationId, Member, MemberChange, MemberId, MemberStatus, OrgId};

/// How often a change is made again because another one was made first.
const ATTEMPTS_MAX: u32 = 32;

/// How a member was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedMember {
    /// The member after it.
    Changed(Box<Member>),
    /// The member was removed before.
    Removed,
    /// It would leave no owner.
    LastOwner,
    /// The caller may not change this member, or not in this way.
    Denied(Denial),
    /// There is no such member.
    Absent,
}

/// A page of members, the first to join first.
#[derive(Clone, Debug)]
pub struct MemberPage {
    /// The members.
    pub members: Vec<Member>,
    /// The last one that was read; `None` on the last page.
    pub next: Option<MemberId>,
}

impl Settings {
    /// A member of an organisation, also one who was removed; `None` when there is no such member.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn member(&self, org: OrgId, id: MemberId) -> Result<Option<Member>, Fault> {
        let item = self.table.get(&Key::Settings(SettingsKey::Member(org, id)), "read a member").await?;
        item.map(|item| decode("a member", item)).transpose()
    }

    /// Up to `limit` members in the order of their invitations, after `after`, also those who were removed.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn members(
        &self,
        org: OrgId,
        after: Option<MemberId>,
        limit: u16,
    ) -> Result<MemberPage, Fault> {
        let first = after.map_or_else(|| MEMBERS.to_owned(), |after| format!("{MEMBERS}{after}!"));
        let query = ItemQuery::new(team_partition(org), SortKeys::Between(first, format!("{MEMBERS}~")));
        let page = self.table.query(query.limit(limit.into()), "list members").await?;
        let has_more = page.last.is_some();
        let read = |item| decode("a member", item);
        let members = page.items.into_iter().map(read).collect::<Result<Vec<Member>, _>>()?;
        let next = members.last().map(|last| last.member_id).filter(|_| has_more);
        Ok(MemberPage { members, next })
    }

    /// Changes a member, if `may` allows it for the member before and after. An organisation keeps its last owner.
    ///
    /// # Errors
    /// When the table does not answer; when others change the member too often at the same time.
    pub async fn change_member(
        &self,
        org: OrgId,
        id: MemberId,
        change: &MemberChange,
        may: impl Fn(&Member) -> Result<(), Denial>,
    ) -> Result<ChangedMember, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some(known) = self.member(org, id).await? else { return Ok(ChangedMember::Absent) };
            if known.status() == MemberStatus::Removed {
                return Ok(ChangedMember::Removed);
            }
            let next = known.clone().changed(change.clone());
            if let Err(denial) = may(&known).and_then(|()| may(&next)) {
                return Ok(ChangedMember::Denied(denial));
            }
            if *change == MemberChange::default() {
                return Ok(ChangedMember::Changed(known.into()));
            }
            let owners = match (known.is_owner(), next.is_owner()) {
                (false, true) => Some(add_owner(org)),
                (true, false) => Some(end_owner(org, false)),
                (true, true) | (false, false) => None,
            };
            let mut writes = vec![replace(&known, &next)?];
            writes.extend(owners);
            match self.table.write_together(writes, "change a member").await? {
                None => {
                    self.log_change(ChangedSetting::Organisation(org)).await?;
                    return Ok(ChangedMember::Changed(next.into()));
                }
                Some(REPLACED) => {}
                Some(_) => return Ok(ChangedMember::LastOwner),
            }
        }
        Err(Fault::Busy)
    }

    /// Removes a member, if `may` allows it, and gives back the seat. One who was removed before keeps the time. An
    /// organisation keeps its last owner. Functions that have seen the member notice it within five seconds.
    ///
    /// # Errors
    /// When the table does not answer; when others change the member too often at the same time.
    pub async fn remove_member(
        &self,
        org: OrgId,
        id: MemberId,
        now: DateTime<Utc>,
        may: impl Fn(&Member) -> Result<(), Denial>,
    ) -> Result<ChangedMember, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some(known) = self.member(org, id).await? else { return Ok(ChangedMember::Absent) };
            if let Err(denial) = may(&known) {
                return Ok(ChangedMember::Denied(denial));
            }
            if known.status() == MemberStatus::Removed {
                // The attempt that has removed it may have ended before it was logged.
                self.log_change(ChangedSetting::Organisation(org)).await?;
                return Ok(ChangedMember::Changed(known.into()));
            }
            let next = known.clone().removed(now);
            let seat = if known.is_owner() { end_owner(org, true) } else { free_seat(org) };
            let hash = known.email.hash();
            let address = free_address(org, &hash, InvitationId::from(id));
            let writes = vec![replace(&known, &next)?, seat, address, end_membership(&known, &hash)];
            match self.table.write_together(writes, "remove a member").await? {
                None => {
                    self.log_change(ChangedSetting::Organisation(org)).await?;
                    return Ok(ChangedMember::Changed(next.into()));
                }
                Some(REPLACED) => {}
                Some(_) if known.is_owner() => return Ok(ChangedMember::LastOwner),
                Some(_) => return Err(Fault::corrupt("the seats of an organisation", "a member has none")),
            }
        }
        Err(Fault::Busy)
    }
}

/// The place of the write of the member in each transaction.
const REPLACED: usize = 0;

/// The write that replaces a member, if nothing has changed it since it was read.
fn replace<'a>(known: &Member, next: &Member) -> Result<Write<'a>, Fault> {
    let item = with_key(&Key::Settings(SettingsKey::Member(next.org, next.member_id)), next)?;
    Ok(Write::PutIf(item, Condition::equal("revision", number(known.revision))))
}
