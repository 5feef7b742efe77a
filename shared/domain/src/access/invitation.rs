//! Invitations: how a person becomes a member.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Actor, Budget, BudgetAction, BudgetId, BudgetLevel, BudgetSubject, Email, InvitationId, Member, MemberId,
    MemberLimit, MemberRole, OrgId, Reference,
};

/// An invitation as stored: everything but its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// The public id. It has the time from which the invitation's days are counted.
    pub invitation_id: InvitationId,
    /// The organisation.
    pub org: OrgId,
    /// The invited address.
    pub email: Email,
    /// The role that the member will have.
    pub role: MemberRole,
    /// How many credits the member may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<MemberLimit>,
    /// Who made it.
    pub invited_by: Actor,
    /// The hash of its token.
    pub hash: String,
    /// What has become of it.
    pub state: InvitationState,
}

/// What has become of an invitation, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitationState {
    /// It has a seat, and can be accepted until it ends.
    Open,
    /// It was accepted; the member has its seat.
    Accepted,
    /// It was withdrawn, and its seat is free.
    Withdrawn,
    /// It has ended, and its seat is free.
    Ended,
}

/// What has become of an invitation, as callers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InvitationStatus {
    /// It can be accepted.
    Open,
    /// It was accepted.
    Accepted,
    /// It was withdrawn.
    Withdrawn,
    /// It has ended.
    Expired,
}

impl Invitation {
    /// For how many days an invitation can be accepted.
    pub const DAYS: i64 = 7;

    /// When it ends.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        let end = self.invitation_id.time().checked_add_signed(TimeDelta::days(Self::DAYS));
        end.unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// The last instant at which an invitation was made that has ended at `now`.
    #[must_use]
    pub fn ended_if_made_at(now: DateTime<Utc>) -> DateTime<Utc> {
        now.checked_sub_signed(TimeDelta::days(Self::DAYS)).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// What has become of it at `now`.
    #[must_use]
    pub fn status(&self, now: DateTime<Utc>) -> InvitationStatus {
        match self.state {
            InvitationState::Open if now < self.expires_at() => InvitationStatus::Open,
            InvitationState::Open | InvitationState::Ended => InvitationStatus::Expired,
            InvitationState::Accepted => InvitationStatus::Accepted,
            InvitationState::Withdrawn => InvitationStatus::Withdrawn,
        }
    }

    /// The budget of its member, if it has a limit. It is created with the invitation, so that what is done with it later stays
    /// done.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        let limit = self.limit?;
        let member = MemberId::from(self.invitation_id);
        let id = Reference::try_from(member.to_string()).ok()?;
        Some(Budget {
            id: BudgetId::from_bytes(member.bytes()),
            subject: BudgetSubject::part(BudgetLevel::Member, &id),
            only: None,
            limit: limit.credits.into(),
            period: limit.period,
            action: BudgetAction::Block,
            alert_at: Budget::ALERT_AT.to_vec(),
            raises: vec![],
            created_at: self.invitation_id.time(),
        })
    }

    /// The member that it makes when it is accepted at `now`.
    #[must_use]
    pub fn member(&self, name: Option<Reference>, now: DateTime<Utc>) -> Member {
        Member {
            member_id: MemberId::from(self.invitation_id),
            org: self.org,
            email: self.email.clone(),
            name,
            role: self.role,
            invited_by: self.invited_by,
            joined_at: now,
            removed_at: None,
            revision: 0,
        }
    }
}

/// The token of an invitation in plain text: `join_`, the organisation, the invitation, and 32 random bytes. Shown once,
/// never stored, never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationToken {
    /// The organisation.
    pub org: OrgId,
    /// The invitation.
    pub invitation: InvitationId,
    secret: [u8; Self::BYTES],
}

impl InvitationToken {
    const BYTES: usize = 32;
    const PREFIX: &str = "join_";
    /// The characters of an id without its prefix.
    const ID_CHARS: usize = 26;

    /// The token of an invitation, from random bytes.
    #[must_use]
    pub fn new(org: OrgId, invitation: InvitationId, secret: [u8; Self::BYTES]) -> Self {
        Self { org, invitation, secret }
    }

    /// Parses a token; `None` when it cannot be valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (org, rest) = text.strip_prefix(Self::PREFIX)?.split_at_checked(Self::ID_CHARS)?;
        let (invitation, secret) = rest.split_at_checked(Self::ID_CHARS)?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        let org = OrgId::try_from(format!("org_{org}")).ok()?;
        let invitation = InvitationId::try_from(format!("inv_{invitation}")).ok()?;
        Some(Self { org, invitation, secret })
    }

    /// The hash that is stored: SHA-256. A token has 256 random bits, so it needs no slow hash.
    #[must_use]
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret))
    }

    /// The token in plain text, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        format!("{}{}{}{secret}", Self::PREFIX, self.org.bare(), self.invitation.bare())
    }
}

impl fmt::Debug for InvitationToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Token(of {})", self.invitation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation(state: InvitationState) -> Invitation {
        let at = DateTime::UNIX_EPOCH;
        Invitation {
            invitation_id: InvitationId::new(at, 1),
            org: OrgId::new(at, 2),
            email: Email::try_from("Jo@example.com".to_owned()).unwrap(),
            role: MemberRole::Viewer,
            limit: None,
            invited_by: crate::KeyId::new(at, 3).into(),
            hash: String::new(),
            state,
        }
    }

    #[test]
    fn an_invitation_ends_after_seven_days() {
        const WEEK: i64 = 7 * 86_400;
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        for (state, before, after) in [
            (InvitationState::Open, InvitationStatus::Open, InvitationStatus::Expired),
            (InvitationState::Ended, InvitationStatus::Expired, InvitationStatus::Expired),
            (InvitationState::Accepted, InvitationStatus::Accepted, InvitationStatus::Accepted),
            (InvitationState::Withdrawn, InvitationStatus::Withdrawn, InvitationStatus::Withdrawn),
        ] {
            let known = invitation(state);
            assert_eq!((known.status(at(WEEK - 1)), known.status(at(WEEK))), (before, after), "{state:?}");
        }
        assert_eq!(Invitation::ended_if_made_at(at(WEEK)), at(0));
    }

    #[test]
    fn a_token_is_parsed_and_shows_itself_only_when_asked() {
        let Invitation { org, invitation_id, .. } = invitation(InvitationState::Open);
        let token = InvitationToken::new(org, invitation_id, [7; 32]);
        let text = token.reveal();
        assert_eq!(InvitationToken::parse(&text), Some(token.clone()));
        assert!(!format!("{token:?}").contains(&URL_SAFE_NO_PAD.encode([7; 32])));
        assert_ne!(InvitationToken::new(org, invitation_id, [8; 32]).hash(), token.hash());
        let short = &text[..text.len() - 1];
        for wrong in ["", "join_", "join_é", short, &format!("{text}A"), &text.replace("join", "inv")] {
            assert_eq!(InvitationToken::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_one_address_in_any_case() {
        let email = |text: &str| Email::try_from(text.to_owned());
        assert_eq!(email("Jo@Example.com").unwrap().hash(), email("jo@example.COM").unwrap().hash());
        assert_eq!(email("jos\u{e9}@a.com").unwrap().hash(), email("JOSE\u{301}@a.com").unwrap().hash());
        let several = ["a@b.com,c", "a;b@c.com", "Jo<jo@b.com>", "\"a\"@b.com", "mailto:a@b.com"];
        let blank = ["", "jo", "@example.com", "jo@", "jo@a@b", "jo @example.com", "jo@example.com\n"];
        for wrong in blank.into_iter().chain(several) {
            assert!(email(wrong).is_err(), "{wrong:?}");
        }
    }
}
