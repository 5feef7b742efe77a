//! Random numbers for ids and secrets.

/// The system returned no random bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system returned no random bytes: {0}")]
pub struct NoRandomness(pub String);

/// Random bytes for a secret. Unlike an id, a secret is never created without system randomness.
///
/// # Errors
/// [`NoRandomness`].
pub fn secret_bytes<const BYTES: usize>() -> Result<[u8; BYTES], NoRandomness> {
    let mut bytes = [0u8; BYTES];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(NoRandomness(error.to_string())),
    }
}

/// 128 random bits for an id.
#[must_use]
pub fn random() -> u128 {
    let mut bytes = [0u8; 16];
    // Without system randomness the id is zero. Two attempts with the same id remain safe: only one can hold the claim.
    if getrandom::fill(&mut bytes).is_err() {
        tracing::error!("the system returns no random bytes");
    }
    u128::from_be_bytes(bytes)
}
