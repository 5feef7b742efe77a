//! The API keys that a warm function has read.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::settings::snapshot::is_fresh;
use domain::{ApiKey, OrgId, PlanId};

/// How many API keys a warm function caches. At this number the cache is emptied.
const KEYS_MAX: usize = 10_000;

/// An API key and the id of its organisation's plan. The catalogue has the plan as it is at each instant.
#[derive(Clone, Debug)]
pub(crate) struct CachedKey {
    pub(crate) key: ApiKey,
    pub(crate) plan: Option<PlanId>,
}

/// The cached keys by their hashes, each with the time when it was read.
#[derive(Debug, Default)]
pub(crate) struct KeyCache(Mutex<HashMap<String, (DateTime<Utc>, CachedKey)>>);

impl KeyCache {
    pub(crate) fn get(&self, hash: &str, wall: DateTime<Utc>) -> Option<CachedKey> {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(hash).filter(|(read, _)| is_fresh(*read, wall)).map(|(_, key)| key.clone())
    }

    pub(crate) fn put(&self, hash: String, wall: DateTime<Utc>, key: CachedKey) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(hash, (wall, key));
    }

    pub(crate) fn remove(&self, hash: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(hash);
    }

    /// Removes the keys of an organisation.
    pub(crate) fn forget(&self, org: OrgId) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|_, (_, known)| known.key.org != Some(org));
    }
}
