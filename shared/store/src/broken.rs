//! Accounts whose own item does not read: what is wrong with one, how it is stopped, and the records of the stream
//! that the projector had to skip because of it.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::DateTime;

use super::chain::number;
use super::item::{AccountItem, decode, encode};
use super::key::{Item, Key, skipped_partition};
use super::{Fault, Image, Ledger};
use domain::{Account, AccountId, Allowance, Credits, PlanId};

/// How many skipped records are read of an account at most: more changes than a broken account can take before
/// every function has met the broken item.
const SKIPPED_MAX: i32 = 1_000;

/// How many digits the place of a record has: the stream's numbers have up to 40.
const PLACE_DIGITS: usize = 40;

/// What is wrong with one attribute of a stored item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The attribute as the table has it, `used` or `lots.01HM…`.
    pub attribute: String,
    /// Why it does not read.
    pub problem: String,
}

/// An account as an operator's inspection finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspected {
    /// There is no item.
    Missing,
    /// It reads.
    Reads(Box<Account>),
    /// It does not read.
    Broken {
        /// The attributes that do not read.
        damages: Vec<Damage>,
        /// Whether an operator has stopped it; none when that does not read either.
        frozen: Option<bool>,
    },
}

/// Reads an account from its item.
pub(super) fn read(id: AccountId, item: Item) -> Result<Account, Fault> {
    let raw = item.clone();
    decoded(id, item).map_err(|_| {
        let damages = damages(id, &raw).into_iter();
        let attributes: Vec<_> =
            damages.map(|Damage { attribute, problem }| format!("{attribute}: {problem}")).collect();
        Fault::BrokenAccount { account: id, attributes: attributes.join("; ") }
    })
}

fn decoded(id: AccountId, item: Item) -> Result<Account, Fault> {
    decode::<AccountItem>("an account", item)?.account(id)
}

/// Which attributes of an account's item do not read. Each is tried by itself, in an item that is sound but for it,
/// so an attribute that is added to accounts is covered here without a word.
pub(super) fn damages(id: AccountId, raw: &Item) -> Vec<Damage> {
    let Err(whole) = decoded(id, raw.clone()) else { return vec![] };
    let open =
        Account::open(id, PlanId("free".to_owned()), Allowance::Monthly(Credits::ZERO), DateTime::UNIX_EPOCH);
    let sound = encode(&AccountItem::from(&open)).unwrap_or_default();
    let problem = |item: Item| decoded(id, item).err().map(|fault| reason(&fault));
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

/// An attribute, or each part of one that has parts, as a value that takes the place of a sound one.
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
    std::error::Error::source(fault).map_or_else(|| fault.to_string(), ToString::to_string)
}

impl Ledger {
    /// Reads an account from its item. One that does not read is forgotten: nothing more is decided on an account
    /// as it was remembered.
    pub(super) fn read_account(&self, id: AccountId, item: Item) -> Result<Account, Fault> {
        read(id, item).inspect_err(|_| self.hints.forget(id))
    }

    /// An account as its item is now, whether or not that reads.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn inspect(&self, id: AccountId) -> Result<Inspected, Fault> {
        let Some(item) = self.get(&Key::Account(id), true, "read an account").await? else {
            return Ok(Inspected::Missing);
        };
        let frozen = match item.get("frozen") {
            Some(AttributeValue::Bool(frozen)) => Some(*frozen),
            None => Some(false),
            Some(_) => None,
        };
        Ok(match self.read_account(id, item.clone()) {
            Ok(account) => Inspected::Reads(Box::new(account)),
            Err(_) => Inspected::Broken { damages: damages(id, &item), frozen },
        })
    }

    /// Stops an account, or has it go on, without reading its item: for one that does not read. False when there is
    /// no such account. The revision grows, so that a function that remembers the account as it was decides anew.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn set_frozen_unread(&self, id: AccountId, frozen: bool) -> Result<bool, Fault> {
        self.hints.forget(id);
        // A revision that is no number lets no decision land as it is.
        Ok(self.freeze_item(id, frozen, true).await? || self.freeze_item(id, frozen, false).await?)
    }

    async fn freeze_item(&self, id: AccountId, frozen: bool, revises: bool) -> Result<bool, Fault> {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Account(id).attributes()));
        let update = update.expression_attribute_names("#frozen", "frozen");
        let update = update.expression_attribute_values(":frozen", AttributeValue::Bool(frozen));
        let update = if revises {
            update
                .update_expression("SET #frozen = :frozen, #rev = #rev + :one")
                .condition_expression("attribute_exists(pk) AND attribute_type(#rev, :number)")
                .expression_attribute_names("#rev", "rev")
                .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
                .expression_attribute_values(":number", AttributeValue::S("N".to_owned()))
        } else {
            update.update_expression("SET #frozen = :frozen").condition_expression("attribute_exists(pk)")
        };
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                Some(_) | None => Err(Fault::unavailable("stop an account")(error.into())),
            },
        }
    }

    /// Keeps a record of the stream that the projector can't read, so that what it shows is found again once that is
    /// mended. Kept twice, it is there once.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn keep_skipped(
        &self,
        account: AccountId,
        place: &str,
        image: Image,
        why: &Fault,
    ) -> Result<(), Fault> {
        let mut image = Item::from(image);
        image.retain(|name, _| !["pk", "sk"].contains(&name.as_str()));
        let mut item = Key::Skipped(account, format!("{place:0>PLACE_DIGITS$}")).attributes();
        item.insert("why".to_owned(), AttributeValue::S(why.to_string()));
        item.insert("image".to_owned(), AttributeValue::M(image));
        self.put_new(item, "keep a record of the stream").await.map(|_| ())
    }

    /// The records of an account that the projector skipped, in the order of the stream: where each is kept, and the
    /// item that it shows.
    pub(super) async fn skipped(&self, account: AccountId) -> Result<Vec<(String, Item)>, Fault> {
        let query = self.client.query().table_name(&self.table).consistent_read(true).limit(SKIPPED_MAX);
        let query = query.key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", AttributeValue::S(skipped_partition(account)));
        let answer = query.send().await;
        let answer = answer.map_err(|error| Fault::unavailable("read skipped records")(error.into()))?;
        let mut records = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let place = match item.get("sk") {
                Some(AttributeValue::S(place)) => place.clone(),
                Some(_) | None => continue,
            };
            match item.get("image") {
                Some(AttributeValue::M(image)) => records.push((place, image.clone())),
                Some(_) | None => tracing::error!(%account, place, "a skipped record does not read"),
            }
        }
        Ok(records)
    }

    /// Makes sure that the rows of records exist that were skipped and read by now: what kept them from being made
    /// was mended. Whether there were any.
    ///
    /// # Errors
    /// When the table does not serve, or what they need does not read yet.
    pub async fn complete_skipped(&self, account: AccountId) -> Result<bool, Fault> {
        let mut completed = false;
        for (place, image) in self.skipped(account).await? {
            let known = self.complete(&read(account, image)?).await?;
            self.drop_skipped(account, place).await?;
            completed |= known.is_some();
        }
        Ok(completed)
    }

    pub(super) async fn drop_skipped(&self, account: AccountId, place: String) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.set_key(Some(Key::Skipped(account, place).attributes())).send().await;
        delete.map(|_| ()).map_err(|error| Fault::unavailable("drop a skipped record")(error.into()))
    }
}

/// The number of the last entry that an item of an account tells of, as far as that reads.
pub(super) fn sequence(item: &Item) -> Option<u64> {
    number(item, "seq")
}
