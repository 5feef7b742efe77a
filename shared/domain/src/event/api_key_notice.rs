//! Events about API keys.

use serde_json::{Value, json};

use crate::value::timestamp;
use crate::{Actor, ApiKey, EntryId, EventName};

/// Something that was done with an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyNotice {
    /// The key, after it was done.
    pub key: ApiKey,
    /// Who has done it.
    pub by: Actor,
    /// What was done.
    pub action: ApiKeyAction,
}

/// What was done with an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyAction {
    /// It was created.
    Created,
    /// Its terms were changed by this request.
    Changed(EntryId),
    /// It was given a new secret by this request.
    Rolled(EntryId),
    /// It was revoked.
    Revoked,
}

impl ApiKeyNotice {
    pub(super) fn name(&self) -> EventName {
        match self.action {
            ApiKeyAction::Created => EventName::ApiKeyCreated,
            ApiKeyAction::Changed(_) => EventName::ApiKeyChanged,
            ApiKeyAction::Rolled(_) => EventName::ApiKeyRolled,
            ApiKeyAction::Revoked => EventName::ApiKeyRevoked,
        }
    }

    pub(super) fn source(&self) -> String {
        let key = self.key.key_id;
        match self.action {
            ApiKeyAction::Created => format!("key created/{key}"),
            ApiKeyAction::Changed(request) => format!("key changed/{key}/{}", request.bare()),
            ApiKeyAction::Rolled(request) => format!("key rolled/{key}/{}", request.bare()),
            ApiKeyAction::Revoked => format!("key revoked/{key}"),
        }
    }

    pub(super) fn data(&self) -> Value {
        let ApiKey { key_id, name, mode, scopes, last4, expires_at, allowed_ips, rate_limit, .. } = &self.key;
        json!({
            "keyId": key_id,
            "name": name,
            "mode": mode,
            "scopes": scopes,
            "last4": last4,
            "expiresAt": expires_at.map(timestamp),
            "allowedIps": allowed_ips,
            "rateLimit": rate_limit,
            "by": self.by,
            "message": match self.action {
                ApiKeyAction::Created => "An API key was created",
                ApiKeyAction::Changed(_) => "The terms of an API key were changed",
                ApiKeyAction::Rolled(_) => "An API key was given a new secret",
                ApiKeyAction::Revoked => "An API key was revoked",
            },
        })
    }
}
