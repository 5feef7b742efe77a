//! Blocks of the index of records: what each of 64 consecutive transactions is, and how many records lie before them.

use crate::{RecordFilter, RecordKind};

/// How many records of each kind there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Purchases and grants.
    pub purchases: u64,
    /// Usage that is paid.
    pub usage: u64,
    /// Usage that is partly owed.
    pub post_paid: u64,
}

/// A block: the transactions `64 n + 1` to `64 n + 64` of an account. It follows from the rows alone and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBlock {
    /// Its number `n`, from 0.
    pub number: u64,
    /// The records before it.
    pub before: RecordCounts,
    /// For each of [`RecordKind::RECORDS`] the last earlier block that has a record of this kind.
    pub earlier: [Option<u64>; 3],
    /// What each of its transactions is.
    pub kinds: [RecordKind; Self::ROWS],
}

impl RecordCounts {
    /// One more record of a kind.
    pub fn add(&mut self, kind: RecordKind) {
        let count = match kind {
            RecordKind::Nothing => return,
            RecordKind::Purchase => &mut self.purchases,
            RecordKind::Usage => &mut self.usage,
            RecordKind::PostPaid => &mut self.post_paid,
        };
        *count = count.saturating_add(1);
    }

    /// How many of them a list has.
    #[must_use]
    pub fn of(self, filter: RecordFilter) -> u64 {
        let counted = |is_counted: bool, count: u64| if is_counted { count } else { 0 };
        let counts = [
            counted(filter.purchases, self.purchases),
            counted(filter.usage, self.usage),
            counted(filter.post_paid, self.post_paid),
        ];
        counts.into_iter().fold(0, u64::saturating_add)
    }
}

impl RecordBlock {
    /// The number of transactions of a block. Their kinds take 16 bytes, which the watermark has room for.
    pub const ROWS: usize = 64;

    /// The same as a number of transactions.
    const ROWS_EACH: u64 = 64;

    /// How many blocks the first `sequence` transactions fill.
    #[must_use]
    pub fn full(sequence: u64) -> u64 {
        sequence.div_euclid(Self::ROWS_EACH)
    }

    /// The number of the block that has a transaction; numbers of transactions begin with 1.
    #[must_use]
    pub fn of_row(sequence: u64) -> u64 {
        Self::full(sequence.saturating_sub(1))
    }

    /// The number of the first transaction of a block.
    #[must_use]
    pub fn first_of(number: u64) -> u64 {
        number.saturating_mul(Self::ROWS_EACH).saturating_add(1)
    }

    /// The number of the last transaction of a block.
    #[must_use]
    pub fn last_of(number: u64) -> u64 {
        Self::first_of(number).saturating_add(Self::ROWS_EACH).saturating_sub(1)
    }

    /// The block that follows `previous`, or the first one.
    #[must_use]
    pub fn after(previous: Option<&Self>, kinds: [RecordKind; Self::ROWS]) -> Self {
        let Some(previous) = previous else {
            return Self { number: 0, before: RecordCounts::default(), earlier: [None; 3], kinds };
        };
        let mut earlier = previous.earlier;
        for (known, kind) in earlier.iter_mut().zip(RecordKind::RECORDS) {
            if previous.kinds.contains(&kind) {
                *known = Some(previous.number);
            }
        }
        Self { number: previous.number.saturating_add(1), before: previous.through(), earlier, kinds }
    }

    /// The records before it and in it.
    #[must_use]
    pub fn through(&self) -> RecordCounts {
        let mut counts = self.before;
        self.kinds.iter().for_each(|kind| counts.add(*kind));
        counts
    }

    /// The numbers of its records that a list has, the newest first.
    #[must_use]
    pub fn numbers(&self, filter: RecordFilter) -> Vec<u64> {
        let numbered = (Self::first_of(self.number)..).zip(self.kinds);
        let mut numbers: Vec<_> =
            numbered.filter(|(_, kind)| filter.has(*kind)).map(|(number, _)| number).collect();
        numbers.reverse();
        numbers
    }

    /// The last earlier block that has a record of a list.
    #[must_use]
    pub fn earlier(&self, filter: RecordFilter) -> Option<u64> {
        let kinds = self.earlier.iter().zip(RecordKind::RECORDS);
        kinds.filter(|(_, kind)| filter.has(*kind)).filter_map(|(number, _)| *number).max()
    }

    /// The records of a list up to a transaction of this block.
    #[must_use]
    pub fn count_through(&self, sequence: u64, filter: RecordFilter) -> u64 {
        let numbers = self.numbers(filter);
        let own = numbers.iter().filter(|number| **number <= sequence).count();
        self.before.of(filter).saturating_add(u64::try_from(own).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PURCHASES: RecordFilter =
        RecordFilter { purchases: true, usage: false, post_paid: false, pending: false, failed: false };

    fn kinds(of: impl Fn(usize) -> RecordKind) -> [RecordKind; RecordBlock::ROWS] {
        std::array::from_fn(of)
    }

    #[test]
    fn blocks_begin_at_fixed_numbers() {
        for (sequence, full, block) in [(0, 0, 0), (1, 0, 0), (63, 0, 0), (64, 1, 0), (65, 1, 1), (128, 2, 1)]
        {
            assert_eq!(
                (RecordBlock::full(sequence), RecordBlock::of_row(sequence)),
                (full, block),
                "{sequence}"
            );
        }
        assert_eq!((RecordBlock::first_of(1), RecordBlock::last_of(1)), (65, 128));
    }

    #[test]
    fn a_block_counts_what_lies_before_it_and_names_the_last_block_of_each_kind() {
        let first = RecordBlock::after(None, kinds(|place| RecordKind::ALL[place % 4]));
        let second = RecordBlock::after(Some(&first), kinds(|_| RecordKind::Usage));
        let third = RecordBlock::after(Some(&second), kinds(|_| RecordKind::Nothing));
        let fourth = RecordBlock::after(Some(&third), kinds(|place| RecordKind::ALL[place % 2]));
        assert_eq!((first.number, fourth.number), (0, 3));
        assert_eq!(third.before, RecordCounts { purchases: 16, usage: 80, post_paid: 16 });
        assert_eq!(fourth.through(), RecordCounts { purchases: 48, usage: 80, post_paid: 16 });
        assert_eq!(fourth.earlier, [Some(0), Some(1), Some(0)]);
        assert_eq!((fourth.earlier(PURCHASES), fourth.earlier(RecordFilter::ALL)), (Some(0), Some(1)));
        assert_eq!((first.earlier(RecordFilter::ALL), third.numbers(RecordFilter::ALL)), (None, vec![]));
        assert_eq!(first.numbers(PURCHASES)[..2], [62, 58]);
        assert_eq!((fourth.count_through(193, PURCHASES), fourth.count_through(194, PURCHASES)), (16, 17));
    }
}
