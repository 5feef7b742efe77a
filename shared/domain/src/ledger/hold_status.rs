//! How a hold stands.

/// How a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldStatus {
    /// Some of it is set aside.
    Held,
    /// All of it was spent.
    Captured,
    /// What was not spent was given back before its time.
    Released,
    /// What was not spent was given back when its time had come.
    Expired,
}

impl HoldStatus {
    /// As callers know it.
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
