//! The size of a page of a list.

use serde::{Deserialize, Deserializer, de::Error};

/// How many entries a page of a list has: 1 to `MAX`; by default `DEFAULT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit<const DEFAULT: u16, const MAX: u16>(u16);

impl<const DEFAULT: u16, const MAX: u16> PageLimit<DEFAULT, MAX> {
    /// The number of entries.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl<const DEFAULT: u16, const MAX: u16> Default for PageLimit<DEFAULT, MAX> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<'de, const DEFAULT: u16, const MAX: u16> Deserialize<'de> for PageLimit<DEFAULT, MAX> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let limit = u64::deserialize(input)?;
        let limit = u16::try_from(limit).ok().filter(|limit| (1..=MAX).contains(limit));
        limit.map(Self).ok_or_else(|| D::Error::custom(format!("must be a whole number from 1 to {MAX}")))
    }
}
