//! Which attributes of an account's item are unreadable, and why.

use std::error::Error;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::DateTime;

use crate::table::error::Fault;
use crate::table::item::{AccountItem, decode, encode};
use crate::table::key::StoredItem;
use domain::{Account, AccountId, Allowance, Credits, PlanId};

/// What is wrong with one attribute of a stored item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The attribute by its stored name, `used` or `lots.01HM…`.
    pub attribute: String,
    /// Why it is unreadable.
    pub problem: String,
}

/// Reads an account from its item.
pub(crate) fn read_account(id: AccountId, item: StoredItem) -> Result<Account, Fault> {
    let raw = item.clone();
    decoded(id, item).map_err(|_| {
        let damages = damages(id, &raw).into_iter();
        let attributes: Vec<_> =
            damages.map(|Damage { attribute, problem }| format!("{attribute}: {problem}")).collect();
        Fault::BrokenAccount { account: id, attributes: attributes.join("; ") }
    })
}

fn decoded(id: AccountId, item: StoredItem) -> Result<Account, Fault> {
    decode::<AccountItem>("an account", item)?.account(id)
}

/// The unreadable attributes of an account's item. Each attribute is tested in an otherwise sound item, so attributes
/// that are added to accounts later are covered too.
pub(crate) fn damages(id: AccountId, raw: &StoredItem) -> Vec<Damage> {
    let Err(whole) = decoded(id, raw.clone()) else { return vec![] };
    let open =
        Account::open(id, PlanId("free".to_owned()), Allowance::Monthly(Credits::ZERO), DateTime::UNIX_EPOCH);
    let sound = encode(&AccountItem::from(&open)).unwrap_or_default();
    let problem = |item: StoredItem| decoded(id, item).err().map(|fault| reason(&fault));
    let mut found = Vec::new();
    let mut names: Vec<_> = raw.keys().filter(|name| !["pk", "sk"].contains(&name.as_str())).collect();
    names.sort();
    for name in names {
        let Some(value) = raw.get(name) else { continue };
        for (attribute, part) in parts(name, value, sound.get(name)) {
            let mut item = sound.clone();
            item.insert(name.clone(), part);
            found.extend(problem(item).map(|problem| Damage { attribute, problem }));
        }
    }
    let mut needed: Vec<_> = sound.keys().filter(|name| !raw.contains_key(*name)).collect();
    needed.sort();
    for name in needed {
        let mut item = sound.clone();
        item.remove(name);
        if problem(item).is_some() {
            found.push(Damage { attribute: name.clone(), problem: "is missing".to_owned() });
        }
    }
    if found.is_empty() {
        found.push(Damage { attribute: "(the whole item)".to_owned(), problem: reason(&whole) });
    }
    found
}

/// An attribute, or each part of a composite one, as a value that can replace the sound one.
fn parts(
    name: &str,
    value: &AttributeValue,
    sound: Option<&AttributeValue>,
) -> Vec<(String, AttributeValue)> {
    let (AttributeValue::M(children), Some(AttributeValue::M(sound))) = (value, sound) else {
        return vec![(name.to_owned(), value.clone())];
    };
    let with = |child: &String, value: &AttributeValue| {
        let mut whole = sound.clone();
        whole.insert(child.clone(), value.clone());
        (format!("{name}.{child}"), AttributeValue::M(whole))
    };
    let without = |child: &String| {
        let mut whole = sound.clone();
        whole.remove(child);
        (format!("{name}.{child}"), AttributeValue::M(whole))
    };
    let mut parts: Vec<_> = children.iter().map(|(child, value)| with(child, value)).collect();
    parts.extend(sound.keys().filter(|child| !children.contains_key(*child)).map(without));
    parts.sort_by(|(one, _), (other, _)| one.cmp(other));
    parts
}

fn reason(fault: &Fault) -> String {
    fault.source().map_or_else(|| fault.to_string(), ToString::to_string)
}
