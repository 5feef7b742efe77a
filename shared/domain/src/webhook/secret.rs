//! The secret that signs deliveries.

use std::fmt;
use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;

/// The length of a secret in bytes (Standard Webhooks 1.0.0: 24 to 64).
const BYTES: RangeInclusive<usize> = 24..=64;

/// The prefix of every secret.
const PREFIX: &str = "whsec_";

/// The secret that signs deliveries to an endpoint: `whsec_` and the base64 of 24 to 64 bytes. The customer
/// verifies with the bytes, so each secret has exactly one spelling: padded, in the standard alphabet. It
/// deliberately has no `Serialize`, so that code that stores or shows it must do so explicitly.
#[derive(Clone)]
pub struct WebhookSecret {
    text: SecretString,
    bytes: SecretSlice<u8>,
}

/// The text is not a secret of a webhook. The error does not contain the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {PREFIX} and the base64, padded, of {} to {} random bytes; omit it to have one generated", BYTES.start(), BYTES.end())]
pub struct BadWebhookSecret;

impl WebhookSecret {
    /// A secret of 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        let text = format!("{PREFIX}{}", STANDARD.encode(bytes));
        Self { text: text.into(), bytes: bytes.to_vec().into() }
    }

    /// The secret in plain text: `whsec_…`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.text.expose_secret()
    }

    /// Its key, 24 to 64 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.expose_secret()
    }
}

impl TryFrom<String> for WebhookSecret {
    type Error = BadWebhookSecret;

    fn try_from(text: String) -> Result<Self, BadWebhookSecret> {
        let coded = text.strip_prefix(PREFIX).ok_or(BadWebhookSecret)?;
        let bytes = STANDARD.decode(coded).map_err(|_| BadWebhookSecret)?;
        if !BYTES.contains(&bytes.len()) {
            return Err(BadWebhookSecret);
        }
        Ok(Self { text: text.into(), bytes: bytes.into() })
    }
}

impl<'de> Deserialize<'de> for WebhookSecret {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(input)?).map_err(serde::de::Error::custom)
    }
}

impl PartialEq for WebhookSecret {
    fn eq(&self, other: &Self) -> bool {
        self.reveal() == other.reveal()
    }
}

impl Eq for WebhookSecret {}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WebhookSecret({PREFIX}…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<WebhookSecret, BadWebhookSecret> {
        WebhookSecret::try_from(text.to_owned())
    }

    #[test]
    fn an_invalid_secret_is_refused_with_the_format() {
        let coded = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for bytes in 24..=64 {
            assert_eq!(read(&coded(bytes)).unwrap().bytes(), vec![7; bytes]);
        }
        let url_safe = format!("whsec_{}", "-_".repeat(16));
        let unpadded = coded(32).trim_end_matches('=').to_owned();
        for wrong in [
            "",
            "whsec_",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
            " whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_my-very-own-password-of-mine",
            &coded(23),
            &coded(65),
            &unpadded,
            &url_safe,
        ] {
            let said = "must be whsec_ and the base64, padded, of 24 to 64 random bytes; omit it to have one generated";
            assert_eq!(read(wrong).unwrap_err().to_string(), said, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_never_printed_by_accident() {
        let secret = WebhookSecret::new([0x5a; 32]);
        let coded = secret.reveal().strip_prefix("whsec_").unwrap();
        let printed = format!("{secret:?} {:?}", Some([&secret]));
        assert!(!printed.contains(coded), "{printed}");
        let refused = serde_json::from_str::<WebhookSecret>(r#""whsec_aGVsbG8=""#).unwrap_err().to_string();
        assert!(!refused.contains("aGVsbG8"), "{refused}");
    }

    proptest! {
        #[test]
        fn a_secret_has_one_spelling(bytes in any::<[u8; 32]>()) {
            let secret = WebhookSecret::new(bytes);
            prop_assert_eq!(secret.bytes(), bytes);
            prop_assert_eq!(read(secret.reveal()).unwrap(), secret.clone());
            // The last digit before the padding has two unused bits, which must be zero.
            let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let last = secret.reveal().len().checked_sub(2).unwrap();
            let spellings = digits.iter().filter(|digit| {
                let mut text = secret.reveal().to_owned();
                text.replace_range(last..=last, &char::from(**digit).to_string());
                read(&text).is_ok_and(|read| read.bytes() == bytes)
            });
            prop_assert_eq!(spellings.count(), 1);
        }
    }
}
