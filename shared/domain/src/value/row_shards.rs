//! The shards of an account's rows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One shard of an account's rows: 0 to 15. An entry's id contains it, so the id is enough to find the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowShard(pub(crate) u8);

impl RowShard {
    /// The shard of accounts that have only one.
    pub const FIRST: Self = Self(0);
}

impl fmt::Display for RowShard {
    /// One hexadecimal digit.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x}", self.0)
    }
}

/// How many shards the rows of an account are spread over: 1, 2, 4, 8 or 16. It never falls, so the rows of any time are
/// in the shards of the account's present number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct RowShards(u8);

/// The number is no number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1, 2, 4, 8 or 16")]
pub struct BadRowShards;

impl RowShards {
    /// One shard: what an account begins with.
    pub const ONE: Self = Self(1);
    /// The highest number: an id has four bits for the shard.
    pub const MAX: Self = Self(16);

    /// The number.
    #[must_use]
    pub fn count(self) -> u8 {
        self.0
    }

    /// Twice as many; `None` at the highest number.
    #[must_use]
    pub fn doubled(self) -> Option<Self> {
        self.0.checked_mul(2).map(Self).filter(|doubled| *doubled <= Self::MAX)
    }

    /// The shards.
    pub fn all(self) -> impl Iterator<Item = RowShard> {
        (0..self.0).map(RowShard)
    }

    /// Whether a shard is one of them.
    #[must_use]
    pub fn contains(self, shard: RowShard) -> bool {
        shard.0 < self.0
    }

    /// One of them, each with the same probability.
    pub(crate) fn pick(self, random: u8) -> RowShard {
        RowShard(random & self.0.saturating_sub(1))
    }
}

impl Default for RowShards {
    fn default() -> Self {
        Self::ONE
    }
}

impl TryFrom<u8> for RowShards {
    type Error = BadRowShards;

    fn try_from(count: u8) -> Result<Self, BadRowShards> {
        if count.is_power_of_two() && count <= Self::MAX.0 { Ok(Self(count)) } else { Err(BadRowShards) }
    }
}

impl From<RowShards> for u8 {
    fn from(shards: RowShards) -> u8 {
        shards.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_doubles_up_to_sixteen() {
        let doubled = |shards: &RowShards| shards.doubled();
        let all: Vec<_> =
            std::iter::successors(Some(RowShards::ONE), doubled).map(RowShards::count).collect();
        assert_eq!(all, [1, 2, 4, 8, 16]);
        for wrong in [0, 3, 5, 15, 17, 32, u8::MAX] {
            assert_eq!(RowShards::try_from(wrong), Err(BadRowShards), "{wrong}");
        }
    }

    #[test]
    fn a_shard_is_picked_among_all() {
        let four = RowShards::try_from(4).unwrap();
        let picked: Vec<_> = (0..=7).map(|random| four.pick(random).to_string()).collect();
        assert_eq!(picked, ["0", "1", "2", "3", "0", "1", "2", "3"]);
        assert_eq!(four.all().collect::<Vec<_>>(), (0..4).map(RowShard).collect::<Vec<_>>());
        assert!(four.contains(RowShard(3)) && !four.contains(RowShard(4)));
        assert_eq!(RowShards::ONE.pick(u8::MAX), RowShard::FIRST);
        assert_eq!(RowShards::MAX.pick(u8::MAX).to_string(), "f");
    }
}
