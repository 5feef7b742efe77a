use super::Fault;

/// Bytes that nobody can guess, for a secret. Unlike an id, a secret is never made without the system's
/// randomness.
///
/// # Errors
/// [`Fault::Unavailable`] when the system gives no random bytes.
pub fn secret_bytes<const BYTES: usize>() -> Result<[u8; BYTES], Fault> {
    let mut bytes = [0u8; BYTES];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Fault::Unavailable { doing: "make a secret", source: error.to_string().into() }),
    }
}
