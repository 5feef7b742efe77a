//! The items of a remainder: a main item whose size stays the same from the first part to the hundredth, and pages of
//! finished parts, which are written once.
//!
//! The main item holds the last few finished parts in a text of fixed width. When they fill a page, they move to a page
//! before the next part is taken.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::table::attribute::sort_key;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem};
use domain::{
    AccountId, ClaimKey, Credits, Details, Drawdown, DrawdownKind, EntryId, Fingerprint, PendingDrawdown,
    RefundReason, Remainder, Share,
};

/// How many finished parts a page holds.
pub(crate) const PAGE_PARTS: usize = 8;

/// How many characters the parts of a page take at most: an id, a letter, 13 digits and a separator each.
const WIDTH: usize = PAGE_PARTS * 41;

/// The main item of a remainder.
#[derive(Serialize, Deserialize)]
struct RemainderItem {
    of: EntryId,
    rest: Vec<Share>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends: Option<DateTime<Utc>>,
    /// Finished parts that are on no page.
    #[serde(default)]
    made: String,
    /// How many finished parts are on pages.
    #[serde(default)]
    paged: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<PendingDrawdown>,
    #[serde(default)]
    closed: bool,
    #[serde(default)]
    revision: u64,
    /// All parts, in the format that was written before there were pages.
    #[serde(default, rename = "draws", skip_serializing)]
    legacy: Vec<LegacyPart>,
}

#[derive(Deserialize)]
struct LegacyPart {
    key: ClaimKey,
    asked: Fingerprint,
    details: Details,
    closes: bool,
    made: Option<EntryId>,
}

/// A page of finished parts.
#[derive(Serialize, Deserialize)]
struct RemainderPageItem {
    made: String,
}

/// The main item of a remainder.
pub(crate) fn item_of(account: AccountId, remainder: &Remainder) -> Result<StoredItem, Fault> {
    let made = packed(remainder.made.get(remainder.paged..).unwrap_or_default());
    let item = RemainderItem {
        of: remainder.of,
        rest: remainder.rest.clone(),
        ends: remainder.ends,
        made: format!("{made:<WIDTH$}"),
        paged: remainder.paged,
        open: remainder.open.clone(),
        closed: remainder.closed,
        revision: remainder.revision,
        legacy: vec![],
    };
    with_key(&Key::Remainder(account, remainder.of), &item)
}

/// The pages that finished parts move to before another part is taken, counted in `remainder.paged`. The parts are
/// stored in the main item already, so every process that writes a page writes the same.
pub(crate) fn pages_of(account: AccountId, remainder: &mut Remainder) -> Result<Vec<StoredItem>, Fault> {
    let mut pages = Vec::new();
    while let Some(page) = remainder.made.get(remainder.paged..remainder.paged.saturating_add(PAGE_PARTS)) {
        let number = remainder.paged.checked_div(PAGE_PARTS).unwrap_or(0);
        let item = RemainderPageItem { made: packed(page) };
        pages.push(with_key(&Key::RemainderPage(account, remainder.of, number), &item)?);
        remainder.paged = remainder.paged.saturating_add(PAGE_PARTS);
    }
    Ok(pages)
}

/// Reads a remainder from its main item and its pages in their order. A page that the main item does not count yet
/// repeats what the main item holds.
pub(crate) fn read(item: StoredItem, pages: Vec<StoredItem>) -> Result<Remainder, Fault> {
    let RemainderItem { of, rest, ends, made, paged, open, closed, revision, legacy } =
        decode("a remainder", item)?;
    let mut all = Vec::new();
    for page in pages {
        let RemainderPageItem { made } = decode("a page of a remainder", page)?;
        all.extend(unpacked(&made)?);
    }
    if all.len() < paged {
        return Err(Fault::corrupt("a remainder", "a page of its parts is missing"));
    }
    all.truncate(paged);
    all.extend(unpacked(&made)?);
    let mut remainder = Remainder { of, rest, ends, made: all, paged, open, closed, revision };
    for LegacyPart { key, asked, details, closes, made } in legacy {
        let part = PendingDrawdown { key, asked, details, closes };
        remainder.closed = part.closes;
        match made {
            Some(id) => {
                let cause =
                    part.cause().ok_or_else(|| Fault::corrupt("a remainder", "a part has no cause"))?;
                remainder.made.push(Drawdown { id, amount: part.amount(), cause });
            }
            None => remainder.open = Some(part),
        }
    }
    Ok(remainder)
}

/// Items of remainders by rising sort keys, each main item with its pages.
pub(crate) fn grouped(items: Vec<StoredItem>) -> Vec<(StoredItem, Vec<StoredItem>)> {
    let mut remainders: Vec<(StoredItem, Vec<StoredItem>)> = Vec::new();
    for item in items {
        let is_page = sort_key(&item).is_some_and(|sort| sort.contains('#'));
        match remainders.last_mut().filter(|_| is_page) {
            Some((_, pages)) => pages.push(item),
            None => remainders.push((item, vec![])),
        }
    }
    remainders
}

/// The letter of each cause of a part.
const CAUSES: [(char, DrawdownKind); 8] = [
    ('c', DrawdownKind::Capture),
    ('r', DrawdownKind::Release),
    ('e', DrawdownKind::Expiry),
    ('t', DrawdownKind::Refund(RefundReason::TechnicalFailure)),
    ('d', DrawdownKind::Refund(RefundReason::DuplicateOperation)),
    ('v', DrawdownKind::Refund(RefundReason::CanceledVerification)),
    ('q', DrawdownKind::Refund(RefundReason::PoorQualityDocument)),
    ('f', DrawdownKind::Refund(RefundReason::FalsePositive)),
];

/// Finished parts as a text, `01HM…c12 01HM…r3`: of each its id, the letter of its cause, and its credits.
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
    parts.ok_or_else(|| Fault::corrupt("a remainder", "its finished parts are unreadable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawdown(number: u64, cause: DrawdownKind) -> Drawdown {
        let amount = Credits::try_from(number.saturating_mul(125_000_000_000)).unwrap();
        Drawdown { id: EntryId::FIRST.after(number), amount, cause }
    }

    #[test]
    fn finished_parts_are_read_back_unchanged() {
        let made: Vec<_> = (1..).zip(CAUSES).map(|(number, (_, cause))| drawdown(number, cause)).collect();
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
