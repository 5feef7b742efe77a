use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::Sha256;

use super::ApiError;
use domain::AccountId;
use store::Fault;

/// Characters that the deployment's key has at least.
const KEY_CHARS_MIN: usize = 32;

/// Bytes of the authentication code in a cursor.
const TAG_BYTES: usize = 16;

/// Characters of a cursor at most: a longer text is not read at all.
const CURSOR_CHARS_MAX: usize = 512;

/// Writes and reads cursors: a place in a list, which the caller sends back to continue there. Each carries an
/// HMAC-SHA-256 over the list, the account, the question and the place, under a key of this deployment, so a
/// cursor that was edited, made up, or given for another question does not read.
pub struct CursorKey(Option<SecretString>);

/// The list that a cursor belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Listing<'a, Q> {
    /// The list's name; no two lists share one.
    pub list: &'static str,
    /// Whose list it is.
    pub account: AccountId,
    /// What was asked of it: its filters.
    pub question: &'a Q,
}

/// The key for cursors is too short to keep anybody from making them up.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the key for cursors has fewer than {KEY_CHARS_MIN} characters")]
pub struct WeakKey;

impl CursorKey {
    /// Cursors under a key of at least 32 characters.
    ///
    /// # Errors
    /// [`WeakKey`] when it is shorter.
    pub fn new(key: String) -> Result<Self, WeakKey> {
        if key.chars().count() < KEY_CHARS_MIN { Err(WeakKey) } else { Ok(Self(Some(key.into()))) }
    }

    /// For a function whose answers carry no cursor.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The cursor for a place in a list.
    ///
    /// # Errors
    /// When this function has no key.
    pub fn write<Q: Serialize>(&self, listing: &Listing<'_, Q>, place: &str) -> Result<String, ApiError> {
        let tag = self.mac(listing, place)?.finalize().into_bytes();
        let bytes: Vec<u8> = tag.into_iter().take(TAG_BYTES).chain(place.bytes()).collect();
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The place that a cursor names.
    ///
    /// # Errors
    /// [`ApiError::InvalidCursor`] unless this deployment gave it for this very list, account and question; when
    /// this function has no key.
    pub fn read<Q: Serialize>(&self, listing: &Listing<'_, Q>, cursor: &str) -> Result<String, ApiError> {
        let place = || {
            let text = Some(cursor).filter(|text| text.len() <= CURSOR_CHARS_MAX)?;
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let (tag, place) = bytes.split_at_checked(TAG_BYTES)?;
            Some((tag.to_vec(), String::from_utf8(place.to_vec()).ok()?))
        };
        let (tag, place) = place().ok_or(ApiError::InvalidCursor)?;
        let mac = self.mac(listing, &place)?;
        mac.verify_truncated_left(&tag).map_err(|_| ApiError::InvalidCursor)?;
        Ok(place)
    }

    fn mac<Q: Serialize>(&self, listing: &Listing<'_, Q>, place: &str) -> Result<Hmac<Sha256>, ApiError> {
        let missing =
            || Fault::Unavailable { doing: "sign a cursor", source: "CURSOR_KEY is not set".into() };
        let key = self.0.as_ref().ok_or_else(missing)?.expose_secret();
        let Listing { list, account, question } = listing;
        // As JSON, so that no two of the parts can be read as others.
        let bound = serde_json::to_vec(&("cursor/1", list, account.to_string(), question, place));
        let bound = bound.map_err(ApiError::unwritable)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| missing())?;
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
    fn a_cursor_reads_for_its_own_list_account_and_question_alone() {
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

    /// Every single change of a cursor, and every text without the key.
    #[test]
    fn a_cursor_that_was_changed_or_made_up_does_not_read() {
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
        for made_up in ["", "A", "%%", "ABCD", &unkeyed, &long, cursor.get(..TAG_BYTES).unwrap()] {
            let refused = key('k').read(&listing, made_up);
            assert!(matches!(refused, Err(ApiError::InvalidCursor)), "{made_up}");
        }
    }

    #[test]
    fn without_a_key_no_cursor_is_made_and_a_short_key_is_none() {
        let listing = Listing { list: "a", account: account(Mode::Live), question: &() };
        assert!(matches!(CursorKey::none().write(&listing, "7"), Err(ApiError::Failed(_))));
        assert!(CursorKey::new("short".to_owned()).is_err());
    }
}
