//! Secrets of API keys: what callers send.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::Mode;

/// An API key in plain text: a prefix of eight characters, 34 random ones and a checksum of six, so that a
/// typing error is recognised without the database. Shown once, never stored, never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    const PREFIXES: [&str; 3] = ["sk_live_", "sk_test_", "ok_live_"];
    const RANDOM_CHARS: usize = 34;
    const CHECKSUM_CHARS: usize = 6;
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    /// A key of an organisation, from 34 random bytes.
    #[must_use]
    pub fn for_organisation(mode: Mode, bytes: [u8; Self::RANDOM_CHARS]) -> Self {
        match mode {
            Mode::Live => Self::new("sk_live_", bytes),
            Mode::Test => Self::new("sk_test_", bytes),
        }
    }

    /// A key of an operator.
    #[must_use]
    pub fn for_operator(bytes: [u8; Self::RANDOM_CHARS]) -> Self {
        Self::new("ok_live_", bytes)
    }

    fn new(prefix: &str, bytes: [u8; Self::RANDOM_CHARS]) -> Self {
        // 256 is not a multiple of 62: the slight bias costs less than one of about 200 bits.
        let body: String = bytes.into_iter().map(|byte| Self::digit(u32::from(byte))).collect();
        let start = format!("{prefix}{body}");
        let checksum = Self::checksum(&start);
        Self(start + &checksum)
    }

    /// Parses a key; `None` when it cannot be valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ours = Self::PREFIXES.iter().any(|prefix| text.starts_with(prefix)) && text.is_ascii();
        let (start, checksum) = text.split_at_checked(text.len().checked_sub(Self::CHECKSUM_CHARS)?)?;
        let body = start.len().checked_sub(8)?;
        (ours && body == Self::RANDOM_CHARS && Self::checksum(start) == checksum)
            .then(|| Self(text.to_owned()))
    }

    /// The hash that is stored: SHA-256. A key has some 200 random bits, so it needs no slow hash.
    #[must_use]
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.as_bytes()))
    }

    /// The mode of the ledger that the key works on.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if self.0.starts_with("sk_test_") { Mode::Test } else { Mode::Live }
    }

    /// The last four characters.
    #[must_use]
    pub fn last4(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect()
    }

    /// The key in plain text, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn checksum(start: &str) -> String {
        let mut rest = crc32fast::hash(start.as_bytes());
        let mut digits = ['0'; Self::CHECKSUM_CHARS];
        for digit in digits.iter_mut().rev() {
            *digit = Self::digit(rest);
            rest /= 62;
        }
        digits.iter().collect()
    }

    fn digit(value: u32) -> char {
        let place = usize::try_from(value % 62).unwrap_or(0);
        Self::ALPHABET.get(place).map_or('0', |byte| char::from(*byte))
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Secret(…{})", self.last4())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_48_characters_and_is_parsed() {
        for key in [
            ApiKeySecret::for_organisation(Mode::Live, [7; 34]),
            ApiKeySecret::for_organisation(Mode::Test, [255; 34]),
            ApiKeySecret::for_operator([0; 34]),
        ] {
            assert_eq!(key.reveal().len(), 48);
            assert_eq!(ApiKeySecret::parse(key.reveal()), Some(key.clone()));
            assert!(!format!("{key:?}").contains(key.reveal()));
        }
    }

    #[test]
    fn one_wrong_character_is_recognised_without_the_database() {
        let key = ApiKeySecret::for_organisation(Mode::Live, [42; 34]);
        for place in 0..48 {
            let mut typed = key.reveal().to_owned();
            let other = if typed.as_bytes()[place] == b'x' { "y" } else { "x" };
            typed.replace_range(place..=place, other);
            assert_eq!(ApiKeySecret::parse(&typed), None, "{typed}");
        }
        for wrong in ["", "sk_live_", "\u{1f980}", &"sk_live_\u{e9}".repeat(5)] {
            assert_eq!(ApiKeySecret::parse(wrong), None);
        }
    }
}
