//! Changes of issued keys: new terms, a new secret, revocation.
//!
//! A key has one secret, and after a roll for a while the one before. Both carry the key's terms, so a change writes both.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use crate::settings::change_log::ChangedSetting;
use crate::settings::issued_keys::{IssuedKeyItem, ListedKey};
use crate::settings::organisations::Settings;
use crate::table::attribute::{number, number_of};
use crate::table::backoff::backoff;
use crate::table::condition::{Condition, UpdateExpression};
use crate::table::error::Fault;
use crate::table::item::{encode, with_key};
use crate::table::key::Key;
use crate::table::requests::Write;
use crate::table::settings_key::SettingsKey;
use domain::{ApiKey, ApiKeyChange, ApiKeySecret, Denial, EntryId, KeyId, OrgId};

/// How often a change is made again because another one was made first.
const ATTEMPTS_MAX: u32 = 32;

/// How many earlier rolls of a key are remembered, to know a retry of them.
const ROLLS_KEPT: usize = 9;

/// How a key was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedKey {
    /// The key as it is now.
    Changed(Box<ApiKey>),
    /// It was revoked, and stays as it is.
    Revoked,
    /// The caller may not change it, or not in this way.
    Denied(Denial),
    /// There is no such key.
    Absent,
    /// It is the last key of an operator that is an owner's and has no end, and stays as it is: without it, operators' keys
    /// could no longer be issued.
    LastOwner,
}

/// How a key was rolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolledKey {
    /// It has the new secret, also where an earlier attempt of the request has given it another one that was never answered.
    Rolled(Box<RolledSecrets>),
    /// The same request has rolled it before, and others have since.
    Before(Box<ApiKey>),
    /// It was revoked, and stays as it is.
    Revoked,
    /// The caller may not have a secret of it.
    Denied(Denial),
    /// There is no such key.
    Absent,
}

/// A key that was rolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledSecrets {
    /// The key.
    pub key: ApiKey,
    /// The secret that it had before.
    pub previous: Option<ApiKey>,
}

/// A new secret of a key.
#[derive(Clone, Copy, Debug)]
pub struct Roll<'a> {
    /// The request, the same for each retry of it.
    pub request: EntryId,
    /// The new secret.
    pub secret: &'a ApiKeySecret,
    /// Until when the present secret is accepted. The one before it ends now.
    pub until: DateTime<Utc>,
    /// The present time.
    pub now: DateTime<Utc>,
}

impl Settings {
    /// Changes the terms of a key, if `may` allows it for the key as it is and as it would be.
    ///
    /// # Errors
    /// When the table does not answer; when others change the key too often at the same time.
    pub async fn change_key(
        &self,
        owner: Option<OrgId>,
        key: KeyId,
        change: &ApiKeyChange,
        may: impl Fn(&ApiKey) -> Result<(), Denial>,
    ) -> Result<ChangedKey, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some((issued, known)) = self.key_of(owner, key).await? else { return Ok(ChangedKey::Absent) };
            if known.revoked_at.is_some() {
                return Ok(ChangedKey::Revoked);
            }
            let (before, changed) = (known.clone(), known.changed(change.clone()));
            if let Err(denial) = may(&before).and_then(|()| may(&changed)) {
                return Ok(ChangedKey::Denied(denial));
            }
            let guard = match self.guard_of_owners(&before, &changed).await? {
                OwnersGuard::LastOwner => return Ok(ChangedKey::LastOwner),
                OwnersGuard::Writes(writes) => writes,
            };
            let terms = TermsUpdate::of(&changed)?;
            let terms = issued.secrets().map(|hash| Write::Update(Key::secret(hash), terms.update()));
            let same = issued.replace(owner, key, issued.clone())?;
            let writes = [same].into_iter().chain(terms).chain(guard).collect();
            if self.table.write_together(writes, "change an API key").await?.is_none() {
                self.log_change(ChangedSetting::keys_of(owner)).await?;
                return Ok(ChangedKey::Changed(changed.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// Gives a key a new secret, if `may` allows it for the key. It keeps its id and its terms.
    ///
    /// # Errors
    /// When the table does not answer; when others change the key too often at the same time.
    pub async fn roll_key(
        &self,
        owner: Option<OrgId>,
        key: KeyId,
        roll: Roll<'_>,
        may: impl Fn(&ApiKey) -> Result<(), Denial>,
    ) -> Result<RolledKey, Fault> {
        let (hash, request) = (roll.secret.hash(), roll.request.to_string());
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some((issued, known)) = self.key_of(owner, key).await? else { return Ok(RolledKey::Absent) };
            // An earlier attempt has rolled it and was not answered, or it would not be repeated: its secret was never shown.
            let is_repeated = issued.rolled_by.last() == Some(&request);
            if issued.rolled_by.contains(&request) && !is_repeated {
                return Ok(RolledKey::Before(known.into()));
            }
            if known.revoked_at.is_some() {
                return Ok(RolledKey::Revoked);
            }
            if let Err(denial) = may(&known) {
                return Ok(RolledKey::Denied(denial));
            }
            let previous = self.previous(&issued).await?;
            let is_accepted = |secret: &ApiKey| secret.rolled_until.is_none_or(|end| roll.now < end);
            let end = |hash, at: DateTime<Utc>| {
                let end = UpdateExpression::new("SET rolledUntil = :end")
                    .only_if("attribute_exists(pk)")
                    .value(":end", AttributeValue::N(at.timestamp().to_string()));
                Write::Update(Key::secret(hash), end)
            };
            let rolled = ApiKey { last4: roll.secret.last4(), ..known.clone() };
            let next = if is_repeated {
                IssuedKeyItem { hash: hash.clone(), ..issued.clone() }
            } else {
                let earlier = issued.rolled_by.iter().rev().take(ROLLS_KEPT).rev();
                IssuedKeyItem {
                    hash: hash.clone(),
                    previous: Some(issued.hash.clone()),
                    rolled_by: earlier.chain([&request]).cloned().collect(),
                    ..issued.clone()
                }
            };
            let mut writes = vec![
                issued.replace(owner, key, next)?,
                Write::PutIf(with_key(&Key::secret(&hash), &rolled)?, Condition::absent()),
                end(&issued.hash, if is_repeated { roll.now } else { roll.until }),
            ];
            let ends_now = previous.as_ref().is_some_and(is_accepted) && !is_repeated;
            writes.extend(issued.previous.as_deref().filter(|_| ends_now).map(|hash| end(hash, roll.now)));
            if self.table.write_together(writes, "roll an API key").await?.is_none() {
                self.log_change(ChangedSetting::keys_of(owner)).await?;
                let outgoing = ApiKey { rolled_until: Some(roll.until), ..known };
                let previous = if is_repeated { previous } else { Some(outgoing) };
                return Ok(RolledKey::Rolled(RolledSecrets { key: rolled, previous }.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// Revokes a key. One that was revoked before keeps its time.
    ///
    /// # Errors
    /// When the table does not answer; when others change the key too often at the same time.
    pub async fn revoke(
        &self,
        owner: Option<OrgId>,
        key: KeyId,
        now: DateTime<Utc>,
    ) -> Result<ChangedKey, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some((issued, known)) = self.key_of(owner, key).await? else { return Ok(ChangedKey::Absent) };
            if known.revoked_at.is_some() {
                // The earlier attempt may not have logged it.
                self.log_change(ChangedSetting::keys_of(owner)).await?;
                return Ok(ChangedKey::Changed(known.into()));
            }
            let revoked = ApiKey { revoked_at: Some(now), ..known.clone() };
            let guard = match self.guard_of_owners(&known, &revoked).await? {
                OwnersGuard::LastOwner => return Ok(ChangedKey::LastOwner),
                OwnersGuard::Writes(writes) => writes,
            };
            let end = |hash| {
                let end = UpdateExpression::new("SET revokedAt = :now")
                    .only_if("attribute_exists(pk) AND attribute_not_exists(revokedAt)")
                    .value(":now", AttributeValue::N(now.timestamp().to_string()));
                Write::Update(Key::secret(hash), end)
            };
            let next = IssuedKeyItem { counted: false, ..issued.clone() };
            let mut writes = vec![issued.replace(owner, key, next)?];
            writes.extend(issued.secrets().map(end));
            writes.extend(guard);
            if issued.counted {
                let fewer = UpdateExpression::new("SET active = active - :one").value(":one", number(1));
                writes.push(Write::Update(Key::key_count(owner), fewer));
            }
            if self.table.write_together(writes, "revoke an API key").await?.is_none() {
                self.log_change(ChangedSetting::keys_of(owner)).await?;
                return Ok(ChangedKey::Changed(revoked.into()));
            }
        }
        Err(Fault::Busy)
    }
}

/// What keeps an owner among the operators' keys.
enum OwnersGuard {
    /// The change is possible with these writes.
    Writes(Vec<Write<'static>>),
    /// The change would leave no owner.
    LastOwner,
}

impl Settings {
    /// Makes sure that a change leaves an owner without an end. Two such changes at the same time exclude each other: each
    /// writes that the owners have changed, at the revision at which it has looked for another one.
    async fn guard_of_owners(&self, before: &ApiKey, after: &ApiKey) -> Result<OwnersGuard, Fault> {
        if !before.is_lasting_owner() || after.is_lasting_owner() {
            return Ok(OwnersGuard::Writes(vec![]));
        }
        let count =
            self.table.get(&Key::Settings(SettingsKey::Owners), "read how often owners were changed").await?;
        let seen = count.as_ref().and_then(|count| number_of(count, OWNERS));
        let mut after = None;
        loop {
            let page = self.issued_keys(None, after, OWNERS_PAGE).await?;
            let is_another =
                |listed: &ListedKey| listed.key.key_id != before.key_id && listed.key.is_lasting_owner();
            if page.keys.iter().any(is_another) {
                break;
            }
            after = page.next;
            if after.is_none() {
                return Ok(OwnersGuard::LastOwner);
            }
        }
        let next = UpdateExpression::new("SET #owners = :next")
            .only_if(if seen.is_some() { "#owners = :seen" } else { "attribute_not_exists(#owners)" })
            .name("#owners", OWNERS)
            .value(":next", number(seen.unwrap_or_default().saturating_add(1)));
        let next = seen.map_or(next.clone(), |seen| next.value(":seen", number(seen)));
        Ok(OwnersGuard::Writes(vec![Write::Update(Key::Settings(SettingsKey::Owners), next)]))
    }
}

/// The attribute that counts how often an owner was changed to something else.
const OWNERS: &str = "changes";

/// How many operators' keys are read at once.
const OWNERS_PAGE: u16 = 100;

/// The update that gives a secret the terms of its key.
struct TermsUpdate(Vec<(&'static str, Option<AttributeValue>)>);

impl TermsUpdate {
    /// The attributes of the terms, as a key stores them.
    const TERMS: [&'static str; 6] =
        ["description", "scopes", "role", "expiresAt", "allowedIps", "rateLimit"];

    fn of(key: &ApiKey) -> Result<Self, Fault> {
        let mut item = encode(key)?;
        Ok(Self(Self::TERMS.map(|name| (name, item.remove(name))).into()))
    }

    fn update(&self) -> UpdateExpression {
        let (kept, gone): (Vec<_>, Vec<_>) = self.0.iter().partition(|(_, value)| value.is_some());
        let sets: Vec<_> = kept.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
        let removes: Vec<_> = gone.iter().map(|(name, _)| format!("#{name}")).collect();
        let mut text = format!("SET {}", sets.join(", "));
        if !removes.is_empty() {
            text.push_str(" REMOVE ");
            text.push_str(&removes.join(", "));
        }
        let update =
            UpdateExpression::new(&text).only_if("attribute_exists(pk) AND attribute_not_exists(revokedAt)");
        self.0.iter().fold(update, |update, (name, value)| {
            let update = update.name(&format!("#{name}"), name);
            match value {
                Some(value) => update.value(&format!(":{name}"), value.clone()),
                None => update,
            }
        })
    }
}
