//! How a remainder is stored: one item that is as large after a hundred parts as after the first, and pages of
//! finished parts, which are written once.
//!
//! The item holds the last few finished parts in a text of fixed width. When they are as many as a page holds, the
//! next part that is taken moves them to a page first.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Fault;
use super::item::{decode, with_key};
use super::key::{Item, Key};
use domain::{
    AccountId, ClaimKey, Credits, Details, Draw, Drawdown, DrawdownCause, EntryId, Fingerprint, Pot, Reason,
    Share,
};

/// How many finished parts a page holds.
pub(super) const PAGE_PARTS: usize = 8;

/// How many characters a page's parts have at most: an id, a letter, 13 digits and a separator each.
const WIDTH: usize = PAGE_PARTS * 41;

/// The main item of a remainder.
#[derive(Serialize, Deserialize)]
struct PotItem {
    of: EntryId,
    rest: Vec<Share>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<DateTime<Utc>>,
    /// Finished parts that are not on a page.
    #[serde(default)]
    made: String,
    /// How many are.
    #[serde(default)]
    paged: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Draw>,
    #[serde(default)]
    closed: bool,
    #[serde(default)]
    revision: u64,
    /// All parts, as they were stored before there were pages.
    #[serde(default, skip_serializing)]
    draws: Vec<OldDraw>,
}

#[derive(Deserialize)]
struct OldDraw {
    key: ClaimKey,
    asked: Fingerprint,
    details: Details,
    closes: bool,
    made: Option<EntryId>,
}

/// A page of finished parts.
#[derive(Serialize, Deserialize)]
struct PageItem {
    made: String,
}

/// The item of a remainder.
pub(super) fn item_of(account: AccountId, pot: &Pot) -> Result<Item, Fault> {
    let made = packed(pot.made.get(pot.paged..).unwrap_or_default());
    let item = PotItem {
        of: pot.of,
        rest: pot.rest.clone(),
        ends: pot.ends,
        made: format!("{made:<WIDTH$}"),
        paged: pot.paged,
        open: pot.open.clone(),
        closed: pot.closed,
        revision: pot.revision,
        draws: vec![],
    };
    with_key(&Key::Pot(account, pot.of), &item)
}

/// The pages that finished parts move to before another part is taken; `pot` then knows of them. All of these
/// parts were stored before, so every process that writes a page writes the same.
pub(super) fn pages_of(account: AccountId, pot: &mut Pot) -> Result<Vec<Item>, Fault> {
    let mut pages = Vec::new();
    while let Some(page) = pot.made.get(pot.paged..pot.paged.saturating_add(PAGE_PARTS)) {
        let number = pot.paged.checked_div(PAGE_PARTS).unwrap_or(0);
        let item = PageItem { made: packed(page) };
        pages.push(with_key(&Key::PotPage(account, pot.of, number), &item)?);
        pot.paged = pot.paged.saturating_add(PAGE_PARTS);
    }
    Ok(pages)
}

/// A remainder, from its item and its pages in their order. A page that the item does not know of yet repeats
/// what the item holds.
pub(super) fn pot_of(item: Item, pages: Vec<Item>) -> Result<Pot, Fault> {
    let PotItem { of, rest, ends, made, paged, open, closed, revision, draws } = decode("a pot", item)?;
    let mut all = Vec::new();
    for page in pages {
        let PageItem { made } = decode("a page of a pot", page)?;
        all.extend(unpacked(&made)?);
    }
    if all.len() < paged {
        return Err(Fault::corrupt("a pot", "a page of its parts is missing"));
    }
    all.truncate(paged);
    all.extend(unpacked(&made)?);
    let mut pot = Pot { of, rest, ends, made: all, paged, open, closed, revision };
    for OldDraw { key, asked, details, closes, made } in draws {
        let draw = Draw { key, asked, details, closes };
        pot.closed = draw.closes;
        match made {
            Some(id) => {
                let cause = draw.cause().ok_or_else(|| Fault::corrupt("a pot", "a draw of nothing"))?;
                pot.made.push(Drawdown { id, amount: draw.amount(), cause });
            }
            None => pot.open = Some(draw),
        }
    }
    Ok(pot)
}

/// The letters of why a part was drawn.
const CAUSES: [(char, DrawdownCause); 8] = [
    ('c', DrawdownCause::Capture),
    ('r', DrawdownCause::Release),
    ('e', DrawdownCause::Expiry),
    ('t', DrawdownCause::Refund(Reason::TechnicalFailure)),
    ('d', DrawdownCause::Refund(Reason::DuplicateOperation)),
    ('v', DrawdownCause::Refund(Reason::CanceledVerification)),
    ('q', DrawdownCause::Refund(Reason::PoorQualityDocument)),
    ('f', DrawdownCause::Refund(Reason::FalsePositive)),
];

/// Finished parts, `01HM…c12 01HM…r3`: of each the id, why, and how many credits.
fn packed(made: &[Drawdown]) -> String {
    let part = |part: &Drawdown| {
        let letter = CAUSES.iter().find(|(_, cause)| *cause == part.cause).map_or(' ', |(letter, _)| *letter);
        format!("{}{letter}{}", part.id.bare(), part.amount.get())
    };
    made.iter().map(part).collect::<Vec<_>>().join(" ")
}

fn unpacked(text: &str) -> Result<Vec<Drawdown>, Fault> {
    let part = |text: &str| {
        let (id, rest) = text.split_at_checked(26)?;
        let mut rest = rest.chars();
        let letter = rest.next()?;
        let (_, cause) = CAUSES.iter().find(|(known, _)| *known == letter)?;
        let amount = Credits::try_from(rest.as_str().parse::<u64>().ok()?).ok()?;
        Some(Drawdown { id: EntryId::from_bare(id)?, amount, cause: *cause })
    };
    let parts = text.split_whitespace().map(part).collect::<Option<Vec<_>>>();
    parts.ok_or_else(|| Fault::corrupt("a pot", "its finished parts do not read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawdown(number: u64, (_, cause): (char, DrawdownCause)) -> Drawdown {
        let amount = Credits::try_from(number.saturating_mul(125_000_000_000)).unwrap();
        Drawdown { id: EntryId::FIRST.after(number), amount, cause }
    }

    #[test]
    fn finished_parts_are_read_as_they_were_written() {
        let made: Vec<_> = (1..).zip(CAUSES).map(|(number, cause)| drawdown(number, cause)).collect();
        for count in 0..=made.len() {
            let text = packed(&made[..count]);
            assert!(text.len() <= WIDTH, "{text}");
            assert_eq!(unpacked(&format!("{text:<WIDTH$}")).unwrap(), made[..count]);
        }
        for wrong in [
            "x",
            "01HM6QY8R0Z3V9Q2T5W7X8Y9ZA",
            "01HM6QY8R0Z3V9Q2T5W7X8Y9ZAx1",
            "01HM6QY8R0Z3V9Q2T5W7X8Y9ZAc-1",
        ] {
            assert!(unpacked(wrong).is_err(), "{wrong}");
        }
    }
}
