//! Invitations: made within the seats of the plan, accepted once, withdrawn, ended.

use chrono::{DateTime, Utc};

use crate::settings::ended_invitations::becomes;
use crate::settings::memberships::add_membership;
use crate::settings::organisations::{Organisation, Settings};
use crate::settings::seats::{add_owner, take_address, take_seat};
use crate::table::attribute::text;
use crate::table::backoff::backoff;
use crate::table::condition::{Condition, UpdateExpression};
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Write;
use crate::table::settings_key::{INVITATIONS, SettingsKey, team_partition};
use domain::{Denial, Invitation, InvitationId, InvitationState, InvitationStatus, InvitationToken};
use domain::{Member, MemberRole, OrgId, Reference};
use ports::Moment;

/// How often something is decided again because others have changed what it was decided on.
const ATTEMPTS_MAX: u32 = 32;

/// The most seats of an organisation whose plan has no limit.
const SEATS_MAX: u64 = 1_000_000;

/// How an invitation was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invited {
    /// It was made, and has this token.
    New(Box<Invitation>),
    /// The same request has made it before, and it was accepted or withdrawn, or has ended, since.
    Known(Box<Invitation>),
    /// The address belongs to a member, or to another open invitation.
    Taken,
    /// The request was first sent so long ago that its invitation would have ended.
    TooLate,
    /// All seats of the plan are taken.
    Full {
        /// How many the plan has.
        limit: u64,
        /// How many are taken; more than the plan has after a change of the plan.
        taken: u64,
    },
}

/// How an invitation was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It has made this member.
    Joined(Box<Member>),
    /// No invitation has this token.
    Absent,
    /// It was accepted or withdrawn before, or has ended.
    Over(InvitationStatus),
    /// Its organisation is closed.
    Closed,
}

/// How an invitation was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It can no longer be accepted.
    Withdrawn(Box<Invitation>),
    /// It was accepted before.
    Accepted,
    /// The caller may not withdraw it.
    Denied(Denial),
    /// There is no such invitation.
    Absent,
}

/// A page of invitations, the oldest first.
#[derive(Clone, Debug)]
pub struct InvitationPage {
    /// The invitations.
    pub invitations: Vec<Invitation>,
    /// The last one that was read; `None` on the last page.
    pub next: Option<InvitationId>,
}

/// The writes that make an invitation, in their order in the transaction.
const MADE: usize = 0;
const SAME_PLAN: usize = 1;
const ADDRESS: usize = 2;

impl Settings {
    /// Makes an invitation if the plan that the organisation has at `moment` has a seat for it. If an earlier attempt of the
    /// same request has made it, its token was shown to no one, and this one takes its place.
    ///
    /// # Errors
    /// When the table does not answer; when others change the same too often at the same time.
    pub async fn invite(&self, invitation: &Invitation, moment: Moment) -> Result<Invited, Fault> {
        let hash = invitation.email.hash();
        if invitation.status(moment.now) != InvitationStatus::Open {
            return Ok(Invited::TooLate);
        }
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let (organisation, limit) = self.seats_of_plan(invitation.org, moment).await?;
            let seats = self.seats(invitation.org).await?;
            if limit <= seats.taken
                && self.invitation(invitation.org, invitation.invitation_id).await?.is_none()
            {
                if self.free_ended(invitation.org, &seats, moment.now).await? {
                    continue;
                }
                return Ok(Invited::Full { limit, taken: seats.taken });
            }
            let key = Key::Settings(SettingsKey::Invitation(invitation.org, invitation.invitation_id));
            let writes = vec![
                Write::PutIf(with_key(&key, invitation)?, Condition::absent()),
                same_plan(&organisation),
                take_address(invitation, &hash),
                take_seat(invitation.org, limit),
            ];
            match self.table.write_together(writes, "invite a member").await? {
                None => return Ok(Invited::New(invitation.clone().into())),
                Some(MADE) => return self.invite_again(invitation, moment.now).await,
                Some(SAME_PLAN) => {}
                Some(ADDRESS) if !self.free_address_if_ended(invitation, &hash, moment.now).await? => {
                    return Ok(Invited::Taken);
                }
                // The address is free now; or the last seat was taken at the same time, or is free now.
                Some(_) => {}
            }
        }
        Err(Fault::Busy)
    }

    /// How many seats the plan has that the organisation has now.
    ///
    /// # Errors
    /// When the table does not answer; when there is no such organisation.
    pub async fn seat_limit(&self, org: OrgId, moment: Moment) -> Result<Option<u32>, Fault> {
        let organisation = self.current_organisation(org).await?;
        let organisation = organisation.ok_or_else(|| Fault::corrupt("an organisation", "it is gone"))?;
        self.limit_of(&organisation, moment).await
    }

    /// An invitation of an organisation; `None` when there is no such invitation.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn invitation(&self, org: OrgId, id: InvitationId) -> Result<Option<Invitation>, Fault> {
        let key = Key::Settings(SettingsKey::Invitation(org, id));
        let item = self.table.get(&key, "read an invitation").await?;
        item.map(|item| decode("an invitation", item)).transpose()
    }

    /// Up to `limit` invitations, the oldest first, newer than `after`.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn invitations(
        &self,
        org: OrgId,
        after: Option<InvitationId>,
        limit: u16,
    ) -> Result<InvitationPage, Fault> {
        let first = after.map_or_else(|| INVITATIONS.to_owned(), |after| format!("{INVITATIONS}{after}!"));
        let keys = SortKeys::Between(first, format!("{INVITATIONS}~"));
        let query = ItemQuery::new(team_partition(org), keys).limit(limit.into());
        let page = self.table.query(query, "list invitations").await?;
        let has_more = page.last.is_some();
        let read = |item| decode("an invitation", item);
        let invitations = page.items.into_iter().map(read).collect::<Result<Vec<Invitation>, _>>()?;
        let next = invitations.last().map(|last| last.invitation_id).filter(|_| has_more);
        Ok(InvitationPage { invitations, next })
    }

    /// Accepts the invitation of a token once: makes its member.
    ///
    /// # Errors
    /// When the table does not answer; when others change the invitation too often at the same time.
    pub async fn accept(
        &self,
        token: &InvitationToken,
        name: Option<Reference>,
        now: DateTime<Utc>,
    ) -> Result<Accepted, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let found = self.invitation(token.org, token.invitation).await?;
            let Some(invitation) = found.filter(|found| found.hash == token.hash()) else {
                return Ok(Accepted::Absent);
            };
            match invitation.status(now) {
                InvitationStatus::Open => {}
                over @ (InvitationStatus::Accepted
                | InvitationStatus::Withdrawn
                | InvitationStatus::Expired) => return Ok(Accepted::Over(over)),
            }
            let organisation = self.current_organisation(token.org).await?;
            if organisation.is_none_or(|organisation| organisation.closed_at.is_some()) {
                return Ok(Accepted::Closed);
            }
            let member = invitation.member(name.clone(), now);
            let key = Key::Settings(SettingsKey::Member(member.org, member.member_id));
            let hash = member.email.hash();
            let mut writes = vec![
                becomes(&invitation, InvitationState::Accepted),
                Write::PutIf(with_key(&key, &member)?, Condition::absent()),
                add_membership(&member, &hash)?,
            ];
            if member.role == MemberRole::Owner {
                writes.push(add_owner(member.org));
            }
            if self.table.write_together(writes, "accept an invitation").await?.is_none() {
                return Ok(Accepted::Joined(member.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// Withdraws an invitation, if `may` allows it, and gives back its seat. One that has ended is withdrawn too, and one that
    /// was withdrawn stays so.
    ///
    /// # Errors
    /// When the table does not answer; when others change the invitation too often at the same time.
    pub async fn withdraw(
        &self,
        org: OrgId,
        id: InvitationId,
        may: impl Fn(&Invitation) -> Result<(), Denial>,
    ) -> Result<Withdrawn, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some(invitation) = self.invitation(org, id).await? else { return Ok(Withdrawn::Absent) };
            if let Err(denial) = may(&invitation) {
                return Ok(Withdrawn::Denied(denial));
            }
            match invitation.state {
                InvitationState::Open => {}
                InvitationState::Accepted => return Ok(Withdrawn::Accepted),
                InvitationState::Withdrawn | InvitationState::Ended => {
                    return Ok(Withdrawn::Withdrawn(invitation.into()));
                }
            }
            if self.end(&invitation, InvitationState::Withdrawn).await? {
                let withdrawn = Invitation { state: InvitationState::Withdrawn, ..invitation };
                return Ok(Withdrawn::Withdrawn(withdrawn.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// Continues a request that has made its invitation before: gives it another token, if it is still open.
    async fn invite_again(&self, wanted: &Invitation, now: DateTime<Utc>) -> Result<Invited, Fault> {
        let known = self.invitation(wanted.org, wanted.invitation_id).await?;
        let known = known.ok_or_else(|| Fault::corrupt("an invitation", "it was made and is gone"))?;
        if known.hash == wanted.hash {
            // The answer of the write was lost and it was sent again.
            return Ok(Invited::New(known.into()));
        }
        if known.status(now) != InvitationStatus::Open {
            return Ok(Invited::Known(known.into()));
        }
        let update = UpdateExpression::new("SET #hash = :hash")
            .only_if("#state = :open AND #hash = :known")
            .name("#hash", "hash")
            .name("#state", "state")
            .value(":hash", text(wanted.hash.clone()))
            .value(":known", text(known.hash.clone()))
            .value(":open", text("open"));
        let key = Key::Settings(SettingsKey::Invitation(wanted.org, wanted.invitation_id));
        match self.table.update(&key, update, "give an invitation another token").await? {
            true => Ok(Invited::New(Invitation { hash: wanted.hash.clone(), ..known }.into())),
            false => Err(Fault::Busy),
        }
    }

    async fn seats_of_plan(&self, org: OrgId, moment: Moment) -> Result<(Organisation, u64), Fault> {
        let organisation = self.current_organisation(org).await?;
        let organisation = organisation.ok_or_else(|| Fault::corrupt("an organisation", "it is gone"))?;
        let limit = self.limit_of(&organisation, moment).await?;
        Ok((organisation, limit.map_or(SEATS_MAX, u64::from)))
    }

    async fn limit_of(&self, organisation: &Organisation, moment: Moment) -> Result<Option<u32>, Fault> {
        let catalogue = self.current_catalogue(moment.wall).await?;
        let plan = catalogue.plan(&organisation.plan, moment.now);
        let plan =
            plan.ok_or_else(|| Fault::corrupt("an organisation", "its plan is not in the catalogue"))?;
        Ok(plan.max_users)
    }
}

/// The organisation still has the plan on which was decided.
fn same_plan<'a>(organisation: &Organisation) -> Write<'a> {
    let same = UpdateExpression::new("SET #plan = :plan")
        .only_if("#plan = :plan")
        .name("#plan", "plan")
        .value(":plan", text(organisation.plan.0.clone()));
    Write::Update(Key::organisation(organisation.org), same)
}
