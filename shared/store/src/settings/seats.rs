//! The seats of an organisation: how many its members and open invitations take.
//!
//! One item has their number. Every change of it is a part of the transaction that makes, ends or removes what takes the
//! seat, and its condition holds the bound. An invitation that has ended gives its seat back when the next one needs it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::settings::organisations::Settings;
use crate::table::attribute::{number, text};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::key::Key;
use crate::table::requests::Write;
use crate::table::settings_key::SettingsKey;
use domain::{Invitation, InvitationId, OrgId};

/// The seats that are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seats {
    /// How many members and open invitations there are. An invitation that has ended counts until the next one needs its
    /// seat.
    #[serde(default)]
    pub taken: u64,
    /// How many members are owners.
    #[serde(default)]
    pub owners: u64,
    /// The sort key through which invitations that have ended have given their seats back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ended_through: Option<String>,
}

impl Settings {
    /// The seats of an organisation that are taken.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn seats(&self, org: OrgId) -> Result<Seats, Fault> {
        let item = self.table.get(&Key::Settings(SettingsKey::Seats(org)), "read the seats").await?;
        item.map_or(Ok(Seats::default()), |item| decode("the seats of an organisation", item))
    }

    /// The seats of an organisation that are taken, after invitations that have ended at `now` have given theirs back.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn seats_at(&self, org: OrgId, now: DateTime<Utc>) -> Result<Seats, Fault> {
        loop {
            let seats = self.seats(org).await?;
            if !self.free_ended(org, &seats, now).await? {
                return self.seats(org).await;
            }
        }
    }
}

/// Takes a seat, if fewer than `limit` are taken.
pub(crate) fn take_seat<'a>(org: OrgId, limit: u64) -> Write<'a> {
    let more = UpdateExpression::new("SET taken = if_not_exists(taken, :none) + :one")
        .only_if("attribute_not_exists(taken) OR taken < :limit")
        .value(":none", number(0))
        .value(":one", number(1))
        .value(":limit", number(limit));
    Write::Update(Key::Settings(SettingsKey::Seats(org)), more)
}

/// Gives back the seat of an invitation.
pub(crate) fn free_seat<'a>(org: OrgId) -> Write<'a> {
    let fewer = UpdateExpression::new("SET taken = taken - :one").only_if("taken > :none");
    let fewer = fewer.value(":one", number(1)).value(":none", number(0));
    Write::Update(Key::Settings(SettingsKey::Seats(org)), fewer)
}

/// Counts another owner.
pub(crate) fn add_owner<'a>(org: OrgId) -> Write<'a> {
    let more = UpdateExpression::new("SET owners = if_not_exists(owners, :none) + :one");
    let more = more.value(":one", number(1)).value(":none", number(0));
    Write::Update(Key::Settings(SettingsKey::Seats(org)), more)
}

/// Counts an owner less, if another one is left; gives back the seat too, if the owner is removed.
pub(crate) fn end_owner<'a>(org: OrgId, gives_seat_back: bool) -> Write<'a> {
    let expression = match gives_seat_back {
        true => "SET owners = owners - :one, taken = taken - :one",
        false => "SET owners = owners - :one",
    };
    let fewer = UpdateExpression::new(expression).only_if("owners > :one").value(":one", number(1));
    Write::Update(Key::Settings(SettingsKey::Seats(org)), fewer)
}

/// Takes an email address for an invitation, if no other invitation or member has it.
pub(crate) fn take_address<'a>(invitation: &Invitation, hash: &'a str) -> Write<'a> {
    let taken = UpdateExpression::new("SET holder = :holder")
        .only_if("attribute_not_exists(holder)")
        .value(":holder", text(invitation.invitation_id.to_string()));
    Write::Update(Key::Settings(SettingsKey::Address(invitation.org, hash)), taken)
}

/// Gives back the email address of an invitation, or of the member that it has made.
pub(crate) fn free_address<'a>(org: OrgId, hash: &'a str, holder: InvitationId) -> Write<'a> {
    let free = UpdateExpression::new("REMOVE holder")
        .only_if("holder = :holder")
        .value(":holder", text(holder.to_string()));
    Write::Update(Key::Settings(SettingsKey::Address(org, hash)), free)
}
