//! The moves of an entry and the parts of a batch as short texts, because every debit pays for the account's whole item.

use serde::{Deserialize, Serialize};

use super::lot_key;
use domain::{BadId, Credits, Direction, Entry, LotId, Move, Period, Source, Terms};

/// The outcome of each item of a batch as a text: `2x50 3/1 u` for fifty items that were charged 2 credits, one that costs
/// 3 when 1 was available, and one without a price.
pub(crate) mod parts {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use domain::{BatchOutcome, Credits};

    pub(crate) fn serialize<S: Serializer>(parts: &[BatchOutcome], out: S) -> Result<S::Ok, S::Error> {
        let runs =
            parts.chunk_by(|one, other| one == other).filter_map(|run| Some((run.first()?, run.len())));
        let text = runs.map(|(part, times)| {
            let part = match part {
                BatchOutcome::Taken(amount) => amount.get().to_string(),
                BatchOutcome::Short { required, available } => {
                    format!("{}/{}", required.get(), available.get())
                }
                BatchOutcome::Unpriced => "u".to_owned(),
            };
            if times == 1 { part } else { format!("{part}x{times}") }
        });
        out.serialize_str(&text.collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<BatchOutcome>, D::Error> {
        let text = String::deserialize(input)?;
        let runs = text.split(' ').map(read).collect::<Option<Vec<_>>>();
        Ok(runs.ok_or_else(|| D::Error::custom("not the outcome of a batch"))?.concat())
    }

    fn read(run: &str) -> Option<Vec<BatchOutcome>> {
        let (part, times) = run.split_once('x').unwrap_or((run, "1"));
        let credits = |digits: &str| digits.parse().ok().and_then(|count: u64| Credits::try_from(count).ok());
        let part = match part.split_once('/') {
            Some((required, available)) => {
                BatchOutcome::Short { required: credits(required)?, available: credits(available)? }
            }
            None if part == "u" => BatchOutcome::Unpriced,
            None => BatchOutcome::Taken(credits(part)?),
        };
        let times: u8 = times.parse().ok()?;
        Some(vec![part; times.into()])
    }
}

/// An entry's moves: a list in a row, a packed text in the account's item.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Moves {
    Each(Vec<MoveItem>),
    Packed(Packed),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MoveItem {
    lot: LotId,
    src: Source,
    dir: Direction,
    n: Credits,
    #[serde(flatten)]
    terms: Terms,
}

/// Moves as a text, `s2024-01=s cAY1v…=pc1abc|0-4 1-2 0+3`: the lots that took part, each with its bucket and its terms;
/// then the moves in order, each with the index of its lot, a sign and the credits.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Packed(Vec<Move>);

impl Moves {
    /// In the form of the account's item.
    pub(crate) fn of(entry: &Entry) -> Self {
        Self::Packed(Packed(entry.moves.clone()))
    }

    /// In the form of a row.
    pub(crate) fn each(entry: &Entry) -> Self {
        let part = |part: &Move| {
            let Move { lot, source: src, direction: dir, amount: n, terms } = *part;
            MoveItem { lot, src, dir, n, terms }
        };
        Self::Each(entry.moves.iter().map(part).collect())
    }

    pub(crate) fn moves(self) -> Vec<Move> {
        let part = |part: MoveItem| {
            let MoveItem { lot, src: source, dir: direction, n: amount, terms } = part;
            Move { lot, source, direction, amount, terms }
        };
        match self {
            Self::Each(moves) => moves.into_iter().map(part).collect(),
            Self::Packed(Packed(moves)) => moves,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Each(moves) => moves.is_empty(),
            Self::Packed(Packed(moves)) => moves.is_empty(),
        }
    }
}

impl Default for Moves {
    fn default() -> Self {
        Self::Each(vec![])
    }
}

impl From<Packed> for String {
    fn from(Packed(moves): Packed) -> Self {
        let mut lots: Vec<String> = Vec::new();
        let mut moved = Vec::new();
        for part in &moves {
            let lot =
                format!("{}={}{}", name(part.lot), lot_key::bucket(part.source), lot_key::terms(part.terms));
            let place = lots.iter().position(|known| *known == lot).unwrap_or_else(|| {
                lots.push(lot);
                lots.len().saturating_sub(1)
            });
            let sign = if part.direction == Direction::Debit { '-' } else { '+' };
            moved.push(format!("{place}{sign}{}", part.amount.get()));
        }
        format!("{}|{}", lots.join(" "), moved.join(" "))
    }
}

impl TryFrom<String> for Packed {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        read(&text).map(Self).ok_or(BadId::MOVES)
    }
}

fn read(text: &str) -> Option<Vec<Move>> {
    let (lots, moved) = text.split_once('|')?;
    let lot = |text: &str| {
        let (lot, rest) = text.split_once('=')?;
        let (bucket, terms) = rest.split_at_checked(1)?;
        Some((read_name(lot)?, lot_key::read_bucket(bucket)?, lot_key::read_terms(terms)?))
    };
    let lots = split(lots).map(lot).collect::<Option<Vec<_>>>()?;
    let part = |text: &str| {
        let sign = text.find(['-', '+'])?;
        let (place, amount) = text.split_at_checked(sign)?;
        let direction = if amount.starts_with('-') { Direction::Debit } else { Direction::Credit };
        let amount = amount.get(1..).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
        let (lot, source, terms) = *lots.get(place.parse::<usize>().ok()?)?;
        let amount = Credits::try_from(amount.parse::<u64>().ok()?).ok()?;
        Some(Move { lot, source, direction, amount, terms })
    };
    split(moved).map(part).collect()
}

/// Splits at single spaces only, so that each list of moves has exactly one text.
fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(move |_| !text.is_empty())
}

/// The short form of a lot's id.
fn name(lot: LotId) -> String {
    match lot {
        LotId::Subscription(month) => format!("s{month}"),
        LotId::Unlimited(month) => format!("u{month}"),
        LotId::Granted(id) => format!("c{}", lot_key::short(id)),
        LotId::Disputed(id) => format!("d{}", lot_key::short(id)),
        LotId::PostPaid => "o".to_owned(),
    }
}

fn read_name(text: &str) -> Option<LotId> {
    let (kind, of) = text.split_at_checked(1)?;
    let month = || Period::try_from(of.to_owned()).ok();
    match kind {
        "s" => month().map(LotId::Subscription),
        "u" => month().map(LotId::Unlimited),
        "c" => lot_key::read_short(of).map(LotId::Granted),
        "d" => lot_key::read_short(of).map(LotId::Disputed),
        "o" => of.is_empty().then_some(LotId::PostPaid),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{EntryId, Service};

    #[test]
    fn packed_moves_are_read_back_unchanged() {
        let credits = |count: u64| Credits::try_from(count).unwrap();
        let lot = |number| LotId::Granted(EntryId::FIRST.after(number));
        let month = |text: &str| LotId::try_from(text.to_owned()).unwrap();
        let until = Some("2024-04-05T10:30:00Z".parse().unwrap());
        let scoped = Terms { service: Some(Service::Smartenroll), expires_at: until };
        let moves = [
            Move::out(month("sub_2024-01"), Source::Subscription, credits(3)),
            Move::out(lot(7), Source::Purchased, credits(1_000_000_000_000)),
            Move::out(lot(8), Source::Bonus, credits(1)).on(scoped),
            Move::into(lot(7), Source::Purchased, credits(2)),
            Move::out(lot(9), Source::Bonus, credits(5)).on(Terms { service: None, ..scoped }),
            Move::out(LotId::PostPaid, Source::PostPaid, credits(4)),
            Move::into(month("unlimited_2024-02"), Source::Subscription, credits(6)),
            Move::into(LotId::Disputed(EntryId::FIRST.after(9)), Source::Purchased, credits(7)),
        ];
        for count in 0..=moves.len() {
            let some: Vec<_> = moves.iter().take(count).copied().collect();
            let text = String::from(Packed(some.clone()));
            assert_eq!(Packed::try_from(text.clone()).unwrap().0, some, "{text}");
        }
        for wrong in [
            "",
            "0-1",
            "|0-1",
            "s2024-01=s|1-1",
            "s2024-01=q|0-1",
            "s2024-01=s|0--1",
            "s2024-01=s|0x1",
            "lot=s|0-1",
            "o1=o|0-1",
            "s2024-01=sq|0-1",
        ] {
            assert!(Packed::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
