//! Cursors: places in lists, authenticated so that only this deployment can make them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;

use domain::AccountId;

/// The fewest characters that the deployment's key may have.
const KEY_CHARS_MIN: usize = 32;

/// Bytes of the authentication code in a cursor.
const TAG_BYTES: usize = 16;

/// The most characters that a cursor may have. A longer text is refused unread.
const CURSOR_CHARS_MAX: usize = 512;

/// Writes and reads cursors. A cursor is a place in a list, which the caller sends back to continue there. It carries an
/// HMAC-SHA-256 over the list, the account, the filters and the place, under a key of this deployment. A cursor that was
/// edited, invented, or issued for other filters is refused.
pub struct CursorKey(Option<SecretString>);

/// The list that a cursor belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a, Q> {
    /// The list's name, different for every list.
    pub list: &'static str,
    /// The account that the list belongs to.
    pub account: AccountId,
    /// The filters of the list.
    pub question: &'a Q,
}

/// The key for cursors is too short to be safe.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the key for cursors has fewer than {KEY_CHARS_MIN} characters")]
pub struct WeakKey;

/// Why a cursor was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum CursorError {
    /// This deployment did not issue the cursor for this list, account and filters.
    #[error("the cursor does not belong to this list")]
    Invalid,
    /// The filters or the place cannot be written as JSON.
    #[error("a cursor cannot be written")]
    Unwritable(#[source] serde_json::Error),
    /// The function has no key for cursors.
    #[error("CURSOR_KEY is not set")]
    NoKey,
}

impl CursorKey {
    /// Cursors under a key of at least 32 characters.
    ///
    /// # Errors
    /// [`WeakKey`] when it is shorter.
    pub fn new(key: String) -> Result<Self, WeakKey> {
        if key.chars().count() < KEY_CHARS_MIN { Err(WeakKey) } else { Ok(Self(Some(key.into()))) }
    }

    /// The key of a function whose lists have no cursors.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The cursor for a place in a list.
    ///
    /// # Errors
    /// [`CursorError::NoKey`], [`CursorError::Unwritable`].
    pub fn write<Q: Serialize>(&self, listing: &Listing<'_, Q>, place: &str) -> Result<String, CursorError> {
        let tag = self.mac(listing, place)?.finalize().into_bytes();
        let bytes: Vec<u8> = tag.into_iter().take(TAG_BYTES).chain(place.bytes()).collect();
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The place that a cursor names.
    ///
    /// # Errors
    /// [`CursorError::Invalid`] unless this deployment issued it for this list, account and filters;
    /// [`CursorError::NoKey`].
    pub fn read<Q: Serialize>(&self, listing: &Listing<'_, Q>, cursor: &str) -> Result<String, CursorError> {
        let place = || {
            let text = Some(cursor).filter(|text| text.len() <= CURSOR_CHARS_MAX)?;
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let (tag, place) = bytes.split_at_checked(TAG_BYTES)?;
            Some((tag.to_vec(), String::from_utf8(place.to_vec()).ok()?))
        };
        let (tag, place) = place().ok_or(CursorError::Invalid)?;
        let mac = self.mac(listing, &place)?;
        mac.verify_truncated_left(&tag).map_err(|_| CursorError::Invalid)?;
        Ok(place)
    }

    fn mac<Q: Serialize>(&self, listing: &Listing<'_, Q>, place: &str) -> Result<Hmac<Sha256>, CursorError> {
        let key = self.0.as_ref().ok_or(CursorError::NoKey)?.expose_secret();
        let Listing { list, account, question } = listing;
        // JSON separates the parts, so no two different listings are signed alike.
        let bound = serde_json::to_vec(&("cursor/1", list, account.to_string(), question, place));
        let bound = bound.map_err(CursorError::Unwritable)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| CursorError::NoKey)?;
        mac.update(&bound);
        Ok(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Mode, OrgId};

    fn key(letter: char) -> CursorKey {
        CursorKey::new(letter.to_string().repeat(KEY_CHARS_MIN)).unwrap()
    }

    fn account(mode: Mode) -> AccountId {
        let org = OrgId::try_from("org_01HKZNPZB0YQ3T5N1C8V6W2X4G".to_owned()).unwrap();
        AccountId { org, mode }
    }

    #[test]
    fn a_cursor_is_valid_only_for_its_list_account_and_filters() {
        let listing = Listing { list: "a", account: account(Mode::Live), question: &Some(1) };
        let cursor = key('k').write(&listing, "7.place").unwrap();
        assert_eq!(key('k').read(&listing, &cursor).unwrap(), "7.place");
        assert!(key('o').read(&listing, &cursor).is_err());
        for other in [
            Listing { list: "b", ..listing },
            Listing { account: account(Mode::Test), ..listing },
            Listing { question: &Some(2), ..listing },
            Listing { question: &None, ..listing },
        ] {
            assert!(key('k').read(&other, &cursor).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_cursor_that_was_changed_or_invented_is_refused() {
        let listing = Listing { list: "a", account: account(Mode::Live), question: &() };
        let cursor = key('k').write(&listing, "7.place").unwrap();
        for at in 0..cursor.len() {
            let mut changed: Vec<_> = cursor.bytes().collect();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(key('k').read(&listing, &changed).is_err(), "{changed}");
        }
        let unkeyed = URL_SAFE_NO_PAD.encode([&[0; TAG_BYTES][..], b"7.place"].concat());
        let long = "A".repeat(CURSOR_CHARS_MAX + 4);
        for invented in ["", "A", "%%", "ABCD", &unkeyed, &long, cursor.get(..TAG_BYTES).unwrap()] {
            let refused = key('k').read(&listing, invented);
            assert!(matches!(refused, Err(CursorError::Invalid)), "{invented}");
        }
    }

    #[test]
    fn a_missing_or_short_key_issues_no_cursor() {
        let listing = Listing { list: "a", account: account(Mode::Live), question: &() };
        assert!(matches!(CursorKey::none().write(&listing, "7"), Err(CursorError::NoKey)));
        assert!(CursorKey::new("short".to_owned()).is_err());
    }
}
