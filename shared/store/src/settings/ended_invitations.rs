//! Invitations that end: withdrawn, or found to have expired when their seat is needed.

use chrono::{DateTime, Utc};

use crate::settings::organisations::Settings;
use crate::settings::seats::{Seats, free_address, free_seat};
use crate::table::attribute::{text, text_of};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::key::Key;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Write;
use crate::table::settings_key::{INVITATIONS, SettingsKey, team_partition};
use domain::{Invitation, InvitationId, InvitationState, InvitationStatus, OrgId};

/// How many invitations that may have ended are read at once.
const ENDED_PAGE: i32 = 25;

/// How many pages of them one attempt reads at most.
const ENDED_PAGES_MAX: u32 = 40;

impl Settings {
    /// Gives back the seats of invitations that have ended; `false` when there are none. Each is read once, because the register
    /// says through which one this was done.
    pub(crate) async fn free_ended(
        &self,
        org: OrgId,
        seats: &Seats,
        now: DateTime<Utc>,
    ) -> Result<bool, Fault> {
        let last = InvitationId::new(Invitation::ended_if_made_at(now), u128::MAX);
        let last = format!("{INVITATIONS}{last}");
        let mut through = seats.ended_through.clone();
        for _ in 0..ENDED_PAGES_MAX {
            let first = through.as_ref().map_or_else(|| INVITATIONS.to_owned(), |last| format!("{last}!"));
            if last < first {
                break;
            }
            let query = ItemQuery::new(team_partition(org), SortKeys::Between(first, last.clone()));
            let page = self.table.query(query.limit(ENDED_PAGE), "find invitations that have ended").await?;
            let is_last = page.last.is_none();
            let (mut freed, mut stays) = (false, false);
            for item in page.items {
                let place = text_of(&item, "sk").map(str::to_owned);
                let invitation: Invitation = decode("an invitation", item)?;
                let is_open = invitation.state == InvitationState::Open;
                if is_open && !self.end(&invitation, InvitationState::Ended).await? {
                    // Others have changed it first; it may still be open, with another token.
                    let known = self.invitation(org, invitation.invitation_id).await?;
                    stays = known.is_some_and(|known| known.state == InvitationState::Open);
                }
                if stays {
                    break;
                }
                freed |= is_open;
                through = place;
            }
            self.note_ended(org, through.as_deref()).await?;
            if freed || stays {
                return Ok(true);
            }
            if is_last {
                break;
            }
        }
        Ok(false)
    }

    async fn note_ended(&self, org: OrgId, through: Option<&str>) -> Result<(), Fault> {
        let Some(through) = through else { return Ok(()) };
        let update = UpdateExpression::new("SET endedThrough = :through")
            .only_if("attribute_not_exists(endedThrough) OR endedThrough < :through")
            .value(":through", text(through));
        self.table
            .update(&Key::Settings(SettingsKey::Seats(org)), update, "give back seats")
            .await
            .map(|_| ())
    }

    /// Gives back the address of an invitation that has ended, with its seat; `false` when the address belongs to a member,
    /// or to an open invitation.
    pub(crate) async fn free_address_if_ended(
        &self,
        wanted: &Invitation,
        hash: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, Fault> {
        let key = Key::Settings(SettingsKey::Address(wanted.org, hash));
        let item = self.table.get(&key, "read who has an address").await?;
        let Some(holder) = item.as_ref().and_then(|item| text_of(item, "holder")) else { return Ok(true) };
        let holder = InvitationId::try_from(holder.to_owned());
        let holder = holder.map_err(|bad| Fault::corrupt("the holder of an address", bad))?;
        match self.invitation(wanted.org, holder).await? {
            Some(known) if known.status(now) == InvitationStatus::Expired => {
                self.end(&known, InvitationState::Ended).await?;
                Ok(true)
            }
            Some(_) | None => Ok(false),
        }
    }

    /// Ends an open invitation; `false` when it was accepted or ended meanwhile.
    pub(crate) async fn end(&self, invitation: &Invitation, state: InvitationState) -> Result<bool, Fault> {
        let hash = invitation.email.hash();
        let writes = vec![
            becomes(invitation, state),
            free_address(invitation.org, &hash, invitation.invitation_id),
            free_seat(invitation.org),
        ];
        Ok(self.table.write_together(writes, "end an invitation").await?.is_none())
    }
}

/// The open invitation gets another state. Its token must be the one that was read.
pub(crate) fn becomes<'a>(invitation: &Invitation, state: InvitationState) -> Write<'a> {
    let word = match state {
        InvitationState::Open => "open",
        InvitationState::Accepted => "accepted",
        InvitationState::Withdrawn => "withdrawn",
        InvitationState::Ended => "ended",
    };
    let update = UpdateExpression::new("SET #state = :state")
        .only_if("#state = :open AND #hash = :hash")
        .name("#state", "state")
        .name("#hash", "hash")
        .value(":state", text(word))
        .value(":open", text("open"))
        .value(":hash", text(invitation.hash.clone()));
    Write::Update(Key::Settings(SettingsKey::Invitation(invitation.org, invitation.invitation_id)), update)
}
