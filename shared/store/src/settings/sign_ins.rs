//! Sessions, and the links with which they begin: one item for each member or key.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::settings::api_keys::KnownKey;
use crate::settings::change_log::ChangedSetting;
use crate::settings::last_known::Known;
use crate::settings::organisations::Settings;
use crate::settings::signed_in_members::KnownMember;
use crate::table::backoff::backoff;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::settings_key::SettingsKey;
use domain::{Reference, SessionId, SignIn, SignInOwner, SignInToken, SignIns};
use ports::Moment;

/// How often sessions are changed again because others have changed them first.
const ATTEMPTS_MAX: u32 = 32;

/// For how many days after the last end the item stays.
const KEPT_DAYS: i64 = 1;

/// A session that was found, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownSession {
    /// The session.
    pub session: SignIn,
    /// The key or the member.
    pub owner: KnownOwner,
    /// Whether the session was read in the last minute.
    pub is_current: bool,
}

/// The key or the member of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownOwner {
    /// A key.
    Key(Box<KnownKey>),
    /// A member.
    Member(Box<KnownMember>),
}

/// The item.
#[derive(Serialize, Deserialize)]
struct SignInsItem {
    #[serde(flatten)]
    sign_ins: SignIns,
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

impl Settings {
    /// The sessions and links of an owner, as they are now.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn sign_ins(&self, owner: SignInOwner) -> Result<SignIns, Fault> {
        let item = self.table.get(&Key::Settings(SettingsKey::SignIns(owner)), "read sessions").await?;
        let item: Option<SignInsItem> = item.map(|item| decode("sessions", item)).transpose()?;
        Ok(item.map(|item| item.sign_ins).unwrap_or_default())
    }

    /// Keeps a new link or a new session.
    ///
    /// # Errors
    /// When the table does not answer; when others change the same sessions too often at the same time.
    pub async fn add_sign_in(&self, owner: SignInOwner, new: &SignIn, moment: Moment) -> Result<(), Fault> {
        let added = self.change_sign_ins(owner, moment, |known| Some(known.with(new.clone(), moment.now)));
        added.await.map(|_| ())
    }

    /// Begins the session of a link, once; `None` when there is no such link, it was used, or it has ended.
    ///
    /// # Errors
    /// When the table does not answer; when others change the same sessions too often at the same time.
    pub async fn use_link(
        &self,
        link: &SignInToken,
        session: &SignInToken,
        agent: Option<&Reference>,
        moment: Moment,
    ) -> Result<Option<SignIn>, Fault> {
        let begin = |known: SignIns| {
            if known.find(session, moment.now).is_some() {
                // The answer of the write was lost and it was sent again.
                return Some(known);
            }
            let SignIn { key, by, .. } = known.find(link, moment.now)?.clone();
            let begun = SignIn { by, ..SignIn::session(session, key, agent.cloned(), moment.now) };
            Some(known.with(begun, moment.now))
        };
        let begun = self.change_sign_ins(link.owner, moment, begin).await?;
        Ok(begun.and_then(|known| known.find(session, moment.now).cloned()))
    }

    /// Ends a session, or takes a link back; false when there is no such one.
    ///
    /// # Errors
    /// When the table does not answer; when others change the same sessions too often at the same time.
    pub async fn end_session(
        &self,
        owner: SignInOwner,
        id: SessionId,
        moment: Moment,
    ) -> Result<bool, Fault> {
        let ended = self.change_sign_ins(owner, moment, |known| known.without(id)).await?;
        self.log_change(ChangedSetting::keys_of(owner.org())).await?;
        Ok(ended.is_some())
    }

    /// Ends all sessions and links of an owner.
    ///
    /// # Errors
    /// When the table does not answer; when others change the same sessions too often at the same time.
    pub async fn end_sessions(&self, owner: SignInOwner, moment: Moment) -> Result<(), Fault> {
        self.change_sign_ins(owner, moment, |known| Some(known.emptied())).await?;
        self.log_change(ChangedSetting::keys_of(owner.org())).await
    }

    /// The session of a token with its key or member, as others have changed them at most five seconds before
    /// `moment.wall`, or at most 15 minutes while the table does not answer; `None` when there is none.
    ///
    /// # Errors
    /// When the table does not answer and they were not read in the last 15 minutes.
    pub async fn find_session(
        &self,
        token: &SignInToken,
        moment: Moment,
    ) -> Result<Option<KnownSession>, Fault> {
        let Some(Known { value: session, is_current, .. }) = self.known_session(token, moment).await? else {
            return Ok(None);
        };
        let owner = match (token.owner, &session.key) {
            (SignInOwner::Key(..), Some(hash)) => {
                let key = self.find_hashed_key(hash, moment).await?;
                key.map(|key| KnownOwner::Key(key.into()))
            }
            (SignInOwner::Member(org, id), _) => {
                let member = self.known_member(org, id, moment).await?;
                member.map(|member| KnownOwner::Member(member.into()))
            }
            (SignInOwner::Key(..), None) => None,
        };
        Ok(owner.map(|owner| KnownSession { session, owner, is_current }))
    }

    /// The session itself. One that another process has begun is not known here, and is read then; a token that is not found
    /// is not looked for again in the next moment.
    async fn known_session(
        &self,
        token: &SignInToken,
        moment: Moment,
    ) -> Result<Option<Known<SignIn>>, Fault> {
        let (owner, wall) = (token.owner, moment.wall);
        // With the owner and the id, so that a wrong token stands in no other one's way.
        let hash = format!("{owner}/{}/{}", token.id, token.hash());
        if self.unknown_sessions.contain(&hash, wall) {
            return Ok(None);
        }
        self.forget_changed(self.sign_ins.read_at(&owner), wall).await;
        for attempt in 0..2 {
            let read = async { self.sign_ins(owner).await.map(|known| Some(Arc::new(known))) };
            let known = self.sign_ins.get(&owner, wall, read).await?;
            let Some(known) = known.map(|known| self.log.note(known, "sessions", wall)) else { break };
            if let Some(session) = known.value.find(token, moment.now) {
                let (is_current, is_unread) = (known.is_current, known.is_unread);
                return Ok(Some(Known { value: session.clone(), is_current, is_unread }));
            }
            if attempt == 0 {
                self.sign_ins.forget(|known, _| *known == owner);
            }
        }
        self.unknown_sessions.add(hash, wall);
        Ok(None)
    }

    /// Changes what an owner has; `None` when `change` changes nothing.
    async fn change_sign_ins(
        &self,
        owner: SignInOwner,
        moment: Moment,
        change: impl Fn(SignIns) -> Option<SignIns>,
    ) -> Result<Option<SignIns>, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let known = self.sign_ins(owner).await?;
            let revision = known.revision;
            let Some(next) = change(known) else { return Ok(None) };
            let end = next.end().unwrap_or(moment.now).max(moment.wall);
            let ttl = end.checked_add_signed(TimeDelta::days(KEPT_DAYS)).unwrap_or(end);
            let item = SignInsItem { sign_ins: next.clone(), ttl };
            let item = with_key(&Key::Settings(SettingsKey::SignIns(owner)), &item)?;
            let revision = (0 < revision).then_some(revision);
            if self.table.replace(item, revision, "change sessions").await? {
                self.sign_ins.forget(|known, _| *known == owner);
                return Ok(Some(next));
            }
        }
        Err(Fault::Busy)
    }
}
