//! The status of a hold.

/// The status of a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStatus {
    /// Some of its credits are still held.
    Held,
    /// All of its credits were captured.
    Captured,
    /// The remaining credits were released before its end.
    Released,
    /// The remaining credits were released at its end.
    Expired,
}

impl HoldStatus {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Captured => "captured",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}
