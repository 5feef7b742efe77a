//! The item of a budget's counter.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::DateTime;

use crate::table::attribute::{number_of, text_of};
use crate::table::error::Fault;
use crate::table::key::StoredItem;
use domain::{BudgetCounter, Credits, EntryId, OpenCharge};

/// The text of an open charge: its credits and its time in system time, in seconds.
pub(crate) fn open_text(open: OpenCharge) -> String {
    format!("{}@{}", open.amount.get(), open.wall.timestamp())
}

fn open_charge(text: &str) -> Option<OpenCharge> {
    let (amount, wall) = text.split_once('@')?;
    let amount = Credits::try_from(amount.parse::<u64>().ok()?).ok()?;
    Some(OpenCharge { amount, wall: DateTime::from_timestamp(wall.parse().ok()?, 0)? })
}

/// The counter of an item.
pub(crate) fn counter_of(item: &StoredItem) -> Result<BudgetCounter, Fault> {
    let broken = |what: &'static str| Fault::corrupt("a budget's counter", what);
    let used = Credits::try_from(number_of(item, "used").unwrap_or_default()).map_err(|_| broken("used"))?;
    let period = match item.get("period") {
        Some(AttributeValue::N(seconds)) => {
            let start = seconds.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            Some(start.ok_or_else(|| broken("period"))?)
        }
        Some(_) => return Err(broken("period")),
        None => None,
    };
    let empty = HashMap::new();
    let open = match item.get("open") {
        Some(AttributeValue::M(open)) => open,
        Some(_) => return Err(broken("open")),
        None => &empty,
    };
    let charge = |(id, text): (&String, &AttributeValue)| {
        let id = EntryId::from_bare(id)?;
        Some((id, open_charge(text.as_s().ok()?)?))
    };
    let open = open.iter().map(charge).collect::<Option<_>>().ok_or_else(|| broken("open"))?;
    let fence = text_of(item, "fence").map_or(Some(EntryId::FIRST), EntryId::from_bare);
    Ok(BudgetCounter { period, used, open, fence: fence.ok_or_else(|| broken("fence"))? })
}
