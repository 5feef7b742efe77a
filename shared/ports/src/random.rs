/// The system gave no random bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes: {0}")]
pub struct NoRandomness(pub String);

/// Bytes for a secret. Unlike an id, a secret is never made without the system's randomness.
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
    // Without the system's randomness there is nothing sensible to go on with. Two attempts with one id are still
    // told apart by the claim, which only one of them can hold.
    if getrandom::fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random bytes");
    }
    u128::from_be_bytes(bytes)
}
