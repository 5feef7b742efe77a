//! What a batch says of a hundred items, in as few bytes as the account's item can have.

use serde::{Deserialize, Serialize};

use crate::domain::{BadId, Credits, Direction, Entry, LotId, Move, Source};

/// What became of a batch's items, as short as a hundred of them must be: `2x50 3/1 u` for fifty that were
/// charged 2 credits, one that costs 3 and could have used 1, and one without a price.
pub(super) mod parts {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::{Credits, Part};

    pub(in crate::store) fn serialize<S: Serializer>(parts: &[Part], out: S) -> Result<S::Ok, S::Error> {
        let runs =
            parts.chunk_by(|one, other| one == other).filter_map(|run| Some((run.first()?, run.len())));
        let text = runs.map(|(part, times)| {
            let part = match part {
                Part::Taken(amount) => amount.get().to_string(),
                Part::Short { required, available } => format!("{}/{}", required.get(), available.get()),
                Part::Unpriced => "u".to_owned(),
            };
            if times == 1 { part } else { format!("{part}x{times}") }
        });
        out.serialize_str(&text.collect::<Vec<_>>().join(" "))
    }

    pub(in crate::store) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Part>, D::Error> {
        let text = String::deserialize(input)?;
        let runs = text.split(' ').map(read).collect::<Option<Vec<_>>>();
        Ok(runs.ok_or_else(|| D::Error::custom("not what became of a batch"))?.concat())
    }

    fn read(run: &str) -> Option<Vec<Part>> {
        let (part, times) = run.split_once('x').unwrap_or((run, "1"));
        let credits = |digits: &str| digits.parse().ok().and_then(|count: u64| Credits::try_from(count).ok());
        let part = match part.split_once('/') {
            Some((required, available)) => {
                Part::Short { required: credits(required)?, available: credits(available)? }
            }
            None if part == "u" => Part::Unpriced,
            None => Part::Taken(credits(part)?),
        };
        let times: u8 = times.parse().ok()?;
        Some(vec![part; times.into()])
    }
}

/// An entry's moves: one by one, or packed into a text where they may be a hundred.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Moves {
    Each(Vec<MoveItem>),
    Packed(Packed),
}

#[derive(Serialize, Deserialize)]
pub(super) struct MoveItem {
    lot: LotId,
    src: Source,
    dir: Direction,
    n: Credits,
}

/// The debits of a batch, `sub_2024-01=s credit_01HM…=b|0x4 1x2 0x3`: the lots that gave, each with the first
/// letter of its bucket, and how much which of them gave, in order.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Packed(Vec<Move>);

impl Moves {
    /// As the account has them.
    pub(super) fn of(entry: &Entry) -> Self {
        if entry.parts.is_empty() { Self::each(entry) } else { Self::Packed(Packed(entry.moves.clone())) }
    }

    /// As a row has them.
    pub(super) fn each(entry: &Entry) -> Self {
        let part =
            |part: &Move| MoveItem { lot: part.lot, src: part.source, dir: part.direction, n: part.amount };
        Self::Each(entry.moves.iter().map(part).collect())
    }

    pub(super) fn moves(self) -> Vec<Move> {
        let part =
            |part: MoveItem| Move { lot: part.lot, source: part.src, direction: part.dir, amount: part.n };
        match self {
            Self::Each(moves) => moves.into_iter().map(part).collect(),
            Self::Packed(Packed(moves)) => moves,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Each(moves) if moves.is_empty())
    }
}

impl Default for Moves {
    fn default() -> Self {
        Self::Each(vec![])
    }
}

/// The buckets that a debit may take from, by their letters.
const BUCKETS: [(&str, Source); 4] =
    [("s", Source::Subscription), ("p", Source::Purchased), ("b", Source::Bonus), ("o", Source::PostPaid)];

impl From<Packed> for String {
    fn from(Packed(moves): Packed) -> Self {
        let mut lots: Vec<(LotId, Source)> = Vec::new();
        let mut taken = Vec::new();
        for part in &moves {
            let known = (part.lot, part.source);
            let place = lots.iter().position(|lot| *lot == known).unwrap_or_else(|| {
                lots.push(known);
                lots.len().saturating_sub(1)
            });
            taken.push(format!("{place}x{}", part.amount.get()));
        }
        let letter =
            |source| BUCKETS.iter().find(|(_, bucket)| *bucket == source).map_or("", |(letter, _)| letter);
        let lots: Vec<_> =
            lots.into_iter().map(|(lot, source)| format!("{lot}={}", letter(source))).collect();
        format!("{}|{}", lots.join(" "), taken.join(" "))
    }
}

impl TryFrom<String> for Packed {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        read(&text).map(Self).ok_or(BadId::MOVES)
    }
}

fn read(text: &str) -> Option<Vec<Move>> {
    let (lots, taken) = text.split_once('|')?;
    let lot = |text: &str| {
        let (lot, letter) = text.split_once('=')?;
        let (_, source) = BUCKETS.iter().find(|(known, _)| *known == letter)?;
        Some((LotId::try_from(lot.to_owned()).ok()?, *source))
    };
    let lots = lots.split_whitespace().map(lot).collect::<Option<Vec<_>>>()?;
    let part = |text: &str| {
        let (place, amount) = text.split_once('x')?;
        let (lot, source) = *lots.get(place.parse::<usize>().ok()?)?;
        let amount = Credits::try_from(amount.parse::<u64>().ok()?).ok()?;
        Some(Move { lot, source, direction: Direction::Debit, amount })
    };
    taken.split_whitespace().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EntryId;

    #[test]
    fn what_is_packed_is_read_as_it_was() {
        let credits = |count: u64| Credits::try_from(count).unwrap();
        let lot = |number| LotId::Granted(EntryId::FIRST.after(number));
        let month = LotId::try_from("sub_2024-01".to_owned()).unwrap();
        let moves = [
            Move::out(month, Source::Subscription, credits(3)),
            Move::out(lot(7), Source::Purchased, credits(1_000_000_000_000)),
            Move::out(lot(8), Source::Bonus, credits(1)),
            Move::out(lot(7), Source::Purchased, credits(2)),
            Move::out(LotId::PostPaid, Source::PostPaid, credits(4)),
        ];
        for count in 0..=moves.len() {
            let some: Vec<_> = moves.iter().take(count).copied().collect();
            let text = String::from(Packed(some.clone()));
            assert_eq!(Packed::try_from(text.clone()).unwrap().0, some, "{text}");
        }
        for wrong in
            ["", "0x1", "|0x1", "sub_2024-01=s|1x1", "sub_2024-01=q|0x1", "sub_2024-01=s|0x-1", "lot=s|0x1"]
        {
            assert!(Packed::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
