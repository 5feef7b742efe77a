//! The ids of entries: above a floor, derived, and with the shard of the row.

use chrono::{DateTime, Utc};
use ulid::Ulid;

use super::ids::{EntryId, RANDOM_BITS};
use super::row_shards::{RowShard, RowShards};

/// By how much an id may lie above a floor that lies above its time: a millisecond has room for 65,536 such steps.
const STEP_MAX: u128 = (1 << 60) - 1;

impl EntryId {
    /// The lowest id.
    pub const FIRST: Self = Self(Ulid::nil());

    /// The smallest id of a millisecond: the lower bound of the entries of that time.
    #[must_use]
    pub fn first_at(at: DateTime<Utc>) -> Self {
        Self::new(at, 0)
    }

    /// The highest id of a millisecond: the upper bound of the entries of that time.
    #[must_use]
    pub fn last_at(at: DateTime<Utc>) -> Self {
        let Self(first) = Self::first_at(at);
        Self(Ulid::from_parts(first.timestamp_ms(), u128::MAX))
    }

    /// The previous id.
    #[must_use]
    pub fn before(self) -> Self {
        Self(Ulid(self.0.0.saturating_sub(1)))
    }

    /// The next id.
    #[must_use]
    pub fn next(self) -> Self {
        self.after(1)
    }

    /// The id `places` after this one. The lines of a batch have consecutive ids.
    #[must_use]
    pub fn after(self, places: u64) -> Self {
        Self(Ulid(self.0.0.saturating_add(places.into())))
    }

    /// An id above `floor` for something created at `at`. Its time is `at`, or later when `floor` is later. Its row, if it
    /// gets one, is in one of `shards`.
    #[must_use]
    pub fn above(floor: Self, at: DateTime<Utc>, random: u128, shards: RowShards) -> Self {
        let wanted = Self::in_a_shard(at, random, shards);
        if wanted > floor {
            return wanted;
        }
        // A step of at most 2^60 stays close to the floor and still distinguishes concurrent attempts.
        let step = (random & STEP_MAX).saturating_add(1);
        let near = Self(Ulid(floor.0.0.saturating_add(step)));
        if shards.contains(near.row_shard()) {
            return near;
        }
        // The floor lies above all shards of its millisecond.
        Self::in_a_shard(Self::last_at(floor.time()).next().time(), random, shards)
    }

    /// An id whose row is in one of `shards`; the bits above the random part choose it.
    fn in_a_shard(at: DateTime<Utc>, random: u128, shards: RowShards) -> Self {
        let [choice, ..] = random.to_be_bytes();
        let shard = u128::from(shards.pick(choice).0).unbounded_shl(RANDOM_BITS);
        Self(Ulid(Self::new(at, random).0.0 | shard))
    }

    /// The shard of its row: the highest four bits of its eleventh character.
    #[must_use]
    pub fn row_shard(self) -> RowShard {
        let [low, ..] = self.0.0.unbounded_shr(RANDOM_BITS).to_le_bytes();
        RowShards::MAX.pick(low)
    }

    /// An id with `bits` as its random part, for entries whose id is derived.
    #[must_use]
    pub fn derived(at: DateTime<Utc>, bits: [u8; 16]) -> Self {
        Self::new(at, u128::from_be_bytes(bits) >> (u128::BITS.saturating_sub(RANDOM_BITS)))
    }

    /// Parses the 26 characters that [`EntryId::bare`] writes.
    #[must_use]
    pub fn from_bare(text: &str) -> Option<Self> {
        Ulid::from_string(text).ok().map(Self).filter(|id| id.bare() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> DateTime<Utc> {
        format!("2026-01-01T{time}Z").parse().unwrap()
    }

    fn four() -> RowShards {
        RowShards::try_from(4).unwrap()
    }

    #[test]
    fn an_id_above_a_floor_is_above_it_at_any_time() {
        let floors = [EntryId::new(at("00:05:00"), u128::MAX), EntryId::last_at(at("00:05:00"))];
        for floor in floors {
            for time in ["00:00:00", "00:05:00", "00:06:00"] {
                for random in [0, 1, u128::MAX] {
                    for shards in [RowShards::ONE, four(), RowShards::MAX] {
                        let id = EntryId::above(floor, at(time), random, shards);
                        assert!(id > floor, "{time} {random}");
                        assert!(shards.contains(id.row_shard()), "{time} {random} {id}");
                    }
                }
            }
        }
    }

    /// While a clock stands still, ids rise by steps so small that their time stays.
    #[test]
    fn ids_of_a_clock_that_stands_still_keep_their_time() {
        let mut floor = EntryId::FIRST;
        for _ in 0..65_000 {
            floor = EntryId::above(floor, at("00:05:00"), u128::from(u64::MAX), RowShards::ONE);
        }
        assert_eq!(floor.time(), at("00:05:00"));
    }

    #[test]
    fn an_id_contains_the_shard_of_its_row() {
        for (choice, character, shard) in
            [(0u128, '0', 0), (1, '2', 1), (2, '4', 2), (3, '6', 3), (7, '6', 3)]
        {
            let id = EntryId::above(EntryId::FIRST, at("00:05:00"), choice << 120, four());
            assert_eq!((id.row_shard(), id.bare().chars().nth(10)), (RowShard(shard), Some(character)));
        }
        assert_eq!(EntryId::new(at("00:05:00"), u128::MAX).row_shard(), RowShard::FIRST);
        assert_eq!(EntryId::derived(at("00:05:00"), [0xff; 16]).row_shard(), RowShard::FIRST);
        assert_eq!(EntryId::last_at(at("00:05:00")).row_shard(), RowShard(15));
    }

    #[test]
    fn the_bounds_of_a_millisecond_hold_its_ids() {
        let (first, last) = (EntryId::first_at(at("00:05:00")), EntryId::last_at(at("00:05:00")));
        assert_eq!((first.time(), last.time()), (at("00:05:00"), at("00:05:00")));
        assert_eq!(last.next().time(), at("00:05:00.001"));
        assert_eq!(first.before().time(), at("00:04:59.999"));
    }
}
