//! The open sessions of a member or a key, and the links with which the next ones begin.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{Actor, Reference, SessionId, SignInKind, SignInToken};

/// A session, or the link with which it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// The id, which a session has from its link.
    pub id: SessionId,
    /// The hash of the token.
    pub hash: String,
    /// Which of the two it is.
    pub stage: SignInStage,
    /// The hash of the key's secret; `None` for a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who made the link, if that was not the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
    /// When the link was made, or the session began.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// From when it is refused.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub expires_at: DateTime<Utc>,
    /// The browser, as it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Reference>,
}

/// Whether a session has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignInStage {
    /// A link, not used yet.
    Link,
    /// A session.
    Session,
}

/// The sessions and links of one owner, the oldest first. All of them are changed in one write, so that a link begins one
/// session, and that signing out everywhere leaves none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignIns {
    /// How often they were changed.
    #[serde(default)]
    pub revision: u64,
    /// Those that were not ended. Some may have passed their end.
    #[serde(default)]
    pub open: Vec<SignIn>,
}

impl SignInStage {
    /// How many an owner has at most. The oldest one is ended for the next one.
    #[must_use]
    pub const fn most(self) -> usize {
        match self {
            Self::Link => 5,
            Self::Session => 20,
        }
    }
}

impl SignIn {
    /// How long a link works.
    pub const LINK_MINUTES: i64 = 15;

    /// How long a session lasts: a week, for an operator half a day.
    #[must_use]
    pub const fn hours(is_operator: bool) -> i64 {
        if is_operator { 12 } else { 7 * 24 }
    }

    /// A link that is made at `now`.
    #[must_use]
    pub fn link(token: &SignInToken, key: Option<String>, now: DateTime<Utc>) -> Self {
        let end = now.checked_add_signed(TimeDelta::minutes(Self::LINK_MINUTES));
        Self {
            id: token.id,
            hash: token.hash(),
            stage: SignInStage::Link,
            key,
            by: None,
            created_at: now,
            expires_at: end.unwrap_or(now),
            agent: None,
        }
    }

    /// A session that begins at `now`.
    #[must_use]
    pub fn session(
        token: &SignInToken,
        key: Option<String>,
        agent: Option<Reference>,
        now: DateTime<Utc>,
    ) -> Self {
        let end = now.checked_add_signed(TimeDelta::hours(Self::hours(token.owner.is_operator())));
        Self {
            id: token.id,
            hash: token.hash(),
            stage: SignInStage::Session,
            key,
            by: None,
            created_at: now,
            expires_at: end.unwrap_or(now),
            agent,
        }
    }

    fn is_of(&self, token: &SignInToken, now: DateTime<Utc>) -> bool {
        let stage = match token.kind {
            SignInKind::Session => SignInStage::Session,
            SignInKind::Link => SignInStage::Link,
        };
        self.stage == stage && self.id == token.id && self.hash == token.hash() && now < self.expires_at
    }
}

impl SignIns {
    /// The session or link of a token; `None` when there is none, or its end has passed.
    #[must_use]
    pub fn find(&self, token: &SignInToken, now: DateTime<Utc>) -> Option<&SignIn> {
        self.open.iter().find(|known| known.is_of(token, now))
    }

    /// With another one. What has passed its end is left out, and the oldest of those that are too many.
    #[must_use]
    pub fn with(self, new: SignIn, now: DateTime<Utc>) -> Self {
        let mut open = self.open;
        open.retain(|known| now < known.expires_at && known.id != new.id);
        while new.stage.most() <= open.iter().filter(|known| known.stage == new.stage).count() {
            let Some(oldest) = open.iter().position(|known| known.stage == new.stage) else { break };
            open.remove(oldest);
        }
        open.push(new);
        Self { revision: self.revision.saturating_add(1), open }
    }

    /// Without one; `None` when it is not there.
    #[must_use]
    pub fn without(self, id: SessionId) -> Option<Self> {
        let mut open = self.open;
        let known = open.len();
        open.retain(|known| known.id != id);
        (open.len() < known).then(|| Self { revision: self.revision.saturating_add(1), open })
    }

    /// After signing out everywhere: without sessions and without links.
    #[must_use]
    pub fn emptied(self) -> Self {
        Self { revision: self.revision.saturating_add(1), open: Vec::new() }
    }

    /// The sessions that have not passed their end, the newest first.
    pub fn sessions(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SignIn> {
        let open = self.open.iter().rev();
        open.filter(move |known| known.stage == SignInStage::Session && now < known.expires_at)
    }

    /// When the last of them ends.
    #[must_use]
    pub fn end(&self) -> Option<DateTime<Utc>> {
        self.open.iter().map(|known| known.expires_at).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemberId, OrgId, SignInOwner};

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::minutes(minute)).unwrap()
    }

    fn token(kind: SignInKind, number: u128) -> SignInToken {
        let epoch = DateTime::UNIX_EPOCH;
        let owner = SignInOwner::Member(OrgId::new(epoch, 1), MemberId::new(epoch, 2));
        let secret = [u8::try_from(number % 251).unwrap(); 32];
        SignInToken::new(kind, owner, SessionId::new(epoch, number), secret)
    }

    fn session(number: u128, minute: i64) -> SignIn {
        SignIn::session(&token(SignInKind::Session, number), None, None, at(minute))
    }

    #[test]
    fn a_link_begins_one_session() {
        let link = token(SignInKind::Link, 7);
        let known = SignIns::default().with(SignIn::link(&link, None, at(0)), at(0));
        assert!(known.find(&link, at(14)).is_some());
        assert!(known.find(&link, at(15)).is_none(), "its end has passed");
        assert!(known.find(&token(SignInKind::Session, 7), at(0)).is_none(), "a link is no session");
        let begun = known.with(session(7, 1), at(1));
        assert!(begun.find(&link, at(1)).is_none(), "it was used");
        assert_eq!((begun.revision, begun.open.len()), (2, 1));
        assert!(begun.find(&token(SignInKind::Session, 7), at(1)).is_some());
        let guessed = SignInToken::new(SignInKind::Session, link.owner, link.id, [9; 32]);
        assert!(begun.find(&guessed, at(1)).is_none(), "another secret");
    }

    #[test]
    fn an_owner_has_a_bounded_number_of_each() {
        let mut known = SignIns::default();
        for number in 0..40 {
            known = known.with(session(number, 0), at(0));
            known = known.with(SignIn::link(&token(SignInKind::Link, 100 + number), None, at(0)), at(0));
        }
        let count = |stage| known.open.iter().filter(|one| one.stage == stage).count();
        assert_eq!((count(SignInStage::Session), count(SignInStage::Link)), (20, 5));
        let newest: Vec<_> = known.sessions(at(0)).map(|one| one.id).collect();
        assert_eq!(newest.first(), Some(&session(39, 0).id));
        assert_eq!(newest.last(), Some(&session(20, 0).id), "the oldest one was ended");
    }

    #[test]
    fn signing_out_ends_one_session_or_all() {
        let known = SignIns::default().with(session(1, 0), at(0)).with(session(2, 0), at(0));
        let link = SignIn::link(&token(SignInKind::Link, 3), None, at(0));
        let left = known.clone().with(link, at(0)).without(session(1, 0).id).unwrap();
        assert_eq!(left.sessions(at(0)).map(|one| one.id).collect::<Vec<_>>(), [session(2, 0).id]);
        assert_eq!(left.clone().without(session(1, 0).id), None);
        assert_eq!((left.clone().emptied().open, left.clone().emptied().revision), (vec![], 5));
        assert_eq!(left.end(), Some(at(7 * 24 * 60)));
        assert_eq!(left.sessions(at(7 * 24 * 60)).count(), 0, "a week is over");
    }

    #[test]
    fn a_session_lasts_a_week_and_an_operators_half_a_day() {
        let owner = SignInOwner::Key(None, crate::KeyId::new(at(0), 1));
        let operator = SignInToken::new(SignInKind::Session, owner, SessionId::new(at(0), 1), [1; 32]);
        assert_eq!(SignIn::session(&operator, None, None, at(0)).expires_at, at(12 * 60));
        assert_eq!(session(1, 0).expires_at, at(7 * 24 * 60));
    }
}
