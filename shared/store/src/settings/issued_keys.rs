//! The keys of an organisation: issuing and listing them.

use chrono::NaiveDate;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::settings::organisations::Settings;
use crate::table::attribute::{number, text_of};
use crate::table::condition::{Condition, UpdateExpression};
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Write;
use crate::table::settings_key::{ISSUED_KEYS, owner_partition};
use domain::{ApiKey, ApiKeySecret, KeyId, OrgId};

/// The most keys of an organisation, or of the operators, that are not revoked.
pub const KEYS_MAX: u64 = 1_000;

/// A sort key above those of all issued keys. Nothing in the partition is below them.
const LAST_ISSUED_KEY: &str = "KEY#~";

/// Where the secrets of a key are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct IssuedKeyItem {
    /// The hash of its secret.
    pub(crate) hash: String,
    /// The hash of the secret that it had before it was rolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    /// The last requests that have rolled it, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rolled_by: Vec<String>,
    /// Whether it is counted as one of its owner's keys. Older keys are not, and revoked ones are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) counted: bool,
    /// How often it was changed; 0 also for older keys.
    #[serde(default)]
    pub(crate) revision: u64,
}

/// How a key was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuedKey {
    /// It was issued, and has this secret.
    New(Box<ApiKey>),
    /// A key with its id was issued before. Its secret is not stored and cannot be shown again.
    Known(Box<ApiKey>),
    /// Its owner has [`KEYS_MAX`] keys already.
    TooMany,
}

/// A key in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The key.
    pub key: ApiKey,
    /// The day on which it was last used; `None` if it was never used, or not since this is recorded.
    pub last_used: Option<NaiveDate>,
    /// The secret that it had before it was rolled, while that is accepted.
    pub previous: Option<ApiKey>,
}

/// A page of keys, the newest first.
#[derive(Clone, Debug)]
pub struct KeyPage {
    /// The keys.
    pub keys: Vec<ListedKey>,
    /// The last one that was read; `None` on the last page.
    pub next: Option<KeyId>,
}

impl IssuedKeyItem {
    /// A key that is not counted, because it is a key of the first start.
    pub(crate) fn uncounted(hash: String) -> Self {
        Self { hash, previous: None, rolled_by: vec![], counted: false, revision: 0 }
    }

    /// The hashes of its secrets.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        [Some(self.hash.as_str()), self.previous.as_deref()].into_iter().flatten()
    }

    /// The write that replaces it, if nothing has changed it since it was read.
    pub(crate) fn replace<'a>(
        &self,
        owner: Option<OrgId>,
        key: KeyId,
        next: Self,
    ) -> Result<Write<'a>, Fault> {
        let next = Self { revision: self.revision.saturating_add(1), ..next };
        let item = with_key(&Key::issued(owner, key), &next)?;
        Ok(Write::PutIf(item, Condition::new(self.same()).value(":revision", number(self.revision))))
    }

    /// The write that says that its key was changed, if nothing has changed it since it was read.
    pub(crate) fn change<'a>(&self, owner: Option<OrgId>, key: KeyId) -> Write<'a> {
        let update = UpdateExpression::new("SET revision = :next")
            .only_if(self.same())
            .value(":next", number(self.revision.saturating_add(1)))
            .value(":revision", number(self.revision));
        Write::Update(Key::issued(owner, key), update)
    }

    /// The condition that nothing has changed it since it was read.
    fn same(&self) -> &'static str {
        match self.revision {
            0 => "attribute_not_exists(revision) OR revision = :revision",
            _ => "revision = :revision",
        }
    }
}

impl Settings {
    /// Issues a key of its organisation or of the operators, unless one with its id was issued before.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn issue_key(&self, secret: &ApiKeySecret, key: &ApiKey) -> Result<IssuedKey, Fault> {
        let hash = secret.hash();
        let issued = IssuedKeyItem { counted: true, ..IssuedKeyItem::uncounted(hash.clone()) };
        let counted = UpdateExpression::new("SET active = if_not_exists(active, :none) + :one")
            .only_if("attribute_not_exists(active) OR active < :max")
            .value(":none", number(0))
            .value(":one", number(1))
            .value(":max", number(KEYS_MAX));
        let writes = vec![
            Write::PutIf(with_key(&Key::issued(key.org, key.key_id), &issued)?, Condition::absent()),
            Write::PutIf(with_key(&Key::secret(&hash), key)?, Condition::absent()),
            Write::Update(Key::key_count(key.org), counted),
        ];
        let refused = self.table.write_together(writes, "issue an API key").await?;
        self.unknown_keys.remove(&hash);
        if refused.is_none() {
            return Ok(IssuedKey::New(key.clone().into()));
        }
        match self.key_of(key.org, key.key_id).await? {
            // The answer of the write was lost and it was sent again.
            Some((issued, known)) if issued.hash == hash => Ok(IssuedKey::New(known.into())),
            Some((_, known)) => Ok(IssuedKey::Known(known.into())),
            None => Ok(IssuedKey::TooMany),
        }
    }

    /// Issues a key for a request that was not answered yet. If an earlier attempt of it has issued the key, its secret was
    /// shown to no one, and this one takes its place; unless the key was changed, rolled or revoked since: the caller may
    /// have been allowed to create the key as it was, and not as it is.
    ///
    /// # Errors
    /// When the table does not answer; when the key is changed at the same time.
    pub async fn issue_unanswered(&self, secret: &ApiKeySecret, key: &ApiKey) -> Result<IssuedKey, Fault> {
        let issued = self.issue_key(secret, key).await?;
        let IssuedKey::Known(known) = issued else { return Ok(issued) };
        if (&known.scopes, known.role) != (&key.scopes, key.role) {
            return Ok(IssuedKey::Known(known));
        }
        let fresh = self.reissue_key(secret, &known).await?;
        Ok(fresh.map_or(IssuedKey::Known(known), |fresh| IssuedKey::New(fresh.into())))
    }

    /// Gives a key another secret in place of the only one that it has had. Returns the key; `None` when it was rolled or
    /// revoked since it was issued.
    async fn reissue_key(&self, secret: &ApiKeySecret, issued: &ApiKey) -> Result<Option<ApiKey>, Fault> {
        let Some((found, known)) = self.key_of(issued.org, issued.key_id).await? else { return Ok(None) };
        if !found.rolled_by.is_empty() || known.revoked_at.is_some() {
            return Ok(None);
        }
        let hash = secret.hash();
        let next = IssuedKeyItem { hash: hash.clone(), ..found.clone() };
        let fresh = ApiKey { last4: secret.last4(), ..known };
        let end = UpdateExpression::new("SET rolledUntil = :end")
            .only_if("attribute_exists(pk)")
            .value(":end", number(0));
        let writes = vec![
            found.replace(issued.org, issued.key_id, next)?,
            Write::PutIf(with_key(&Key::secret(&hash), &fresh)?, Condition::absent()),
            Write::Update(Key::secret(&found.hash), end),
        ];
        match self.table.write_together(writes, "issue an API key again").await? {
            None => Ok(Some(fresh)),
            Some(_) => Err(Fault::Busy),
        }
    }

    /// A key of an organisation or, without one, of the operators; `None` when there is no such key.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn issued_key(&self, owner: Option<OrgId>, key: KeyId) -> Result<Option<ListedKey>, Fault> {
        let Some((issued, key)) = self.key_of(owner, key).await? else { return Ok(None) };
        let mut uses = self.uses(owner, key.key_id, key.key_id).await?;
        let previous = self.previous(&issued).await?;
        Ok(Some(ListedKey { last_used: uses.remove(&key.key_id.to_string()), key, previous }))
    }

    /// Up to `limit` keys of an organisation or, without one, of the operators, the newest first, older than the key `after`, also revoked ones.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn issued_keys(
        &self,
        owner: Option<OrgId>,
        after: Option<KeyId>,
        limit: u16,
    ) -> Result<KeyPage, Fault> {
        let end = after.map_or_else(|| LAST_ISSUED_KEY.to_owned(), |after| format!("{ISSUED_KEYS}{after}"));
        let query = ItemQuery::new(owner_partition(owner), SortKeys::Below(end));
        let query = query.falling().limit(limit.into());
        let page = self.table.query(query, "list API keys").await?;
        let has_more = page.last.is_some();
        let read = async |item| {
            let id = text_of(&item, "sk").and_then(|sk| sk.strip_prefix(ISSUED_KEYS)).map(str::to_owned);
            let issued: IssuedKeyItem = decode("an issued key", item)?;
            let key = self.table.get(&Key::secret(&issued.hash), "read an API key").await?;
            let key = key.ok_or_else(|| Fault::corrupt("an API key", format!("{id:?} has no secret")))?;
            let key: ApiKey = decode("an API key", key)?;
            Ok::<_, Fault>((key, self.previous(&issued).await?))
        };
        let found = try_join_all(page.items.into_iter().map(read)).await?;
        let (Some((newest, _)), Some((oldest, _))) = (found.first(), found.last()) else {
            return Ok(KeyPage { keys: vec![], next: None });
        };
        let next = oldest.key_id;
        let mut uses = self.uses(owner, next, newest.key_id).await?;
        let listed = |(key, previous): (ApiKey, Option<ApiKey>)| ListedKey {
            last_used: uses.remove(&key.key_id.to_string()),
            key,
            previous,
        };
        Ok(KeyPage { keys: found.into_iter().map(listed).collect(), next: has_more.then_some(next) })
    }

    /// A key of an organisation or of the operators, and where its secrets are.
    pub(crate) async fn key_of(
        &self,
        owner: Option<OrgId>,
        key: KeyId,
    ) -> Result<Option<(IssuedKeyItem, ApiKey)>, Fault> {
        let issued = self.table.get(&Key::issued(owner, key), "find an API key").await?;
        let Some(issued) = issued else { return Ok(None) };
        let issued: IssuedKeyItem = decode("an issued key", issued)?;
        let known = self.table.get(&Key::secret(&issued.hash), "read an API key").await?;
        let gone = || Fault::corrupt("an API key", "it was issued and cannot be found");
        let known = decode("an API key", known.ok_or_else(gone)?)?;
        Ok(Some((issued, known)))
    }

    /// The previous secret of a key; `None` when it was never rolled.
    pub(crate) async fn previous(&self, issued: &IssuedKeyItem) -> Result<Option<ApiKey>, Fault> {
        let Some(hash) = &issued.previous else { return Ok(None) };
        let item = self.table.get(&Key::secret(hash), "read an API key").await?;
        item.map(|item| decode("an API key", item)).transpose()
    }
}
