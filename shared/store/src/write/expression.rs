//! The conditional update that writes a posting.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::error::Fault;
use crate::table::item::{AccountItem, DisputeItem, EntryItem, encode, with_key};
use crate::table::key::{Key, StoredItem};
use crate::table::lot_key;
use domain::{
    Account, Allowance, Bound, Counter, DisputedCredits, Effect, Entry, EntryId, Extras, Guard, LotId,
    Period, PlanId, Posting, RowShards,
};

/// One conditional update: its changes, and the condition for them.
pub(crate) struct Expression {
    /// The name of each lot in the item that the posting was decided on.
    lots: BTreeMap<EntryId, String>,
    disputes: BTreeMap<EntryId, DisputedCredits>,
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    /// The attribute of each `#name`.
    pub(crate) names: HashMap<String, String>,
    /// The value of each `:name`.
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// The update that writes `posting`, which was decided on `account`. Its condition has the guards, the bounds of all
    /// numbers that grow, and that `posting` was not written last; the effects are arithmetic.
    pub(crate) fn of(posting: &Posting, account: &Account) -> Result<Self, Fault> {
        let mut update = Self {
            lots: account.lots.iter().map(|(id, lot)| (*id, lot_key::of(*id, lot))).collect(),
            disputes: account.disputes.clone(),
            sets: vec![],
            removes: vec![],
            conditions: vec![],
            names: HashMap::new(),
            values: HashMap::new(),
        };
        let rows = update.number(posting.entry.rows());
        let sequence = update.name("seq");
        update.sets.push(format!("{sequence} = {sequence} + {rows}"));
        if posting.revises() {
            let revision = update.name("rev");
            let one = update.number(1);
            update.sets.push(format!("{revision} = {revision} + {one}"));
        }
        update.set_last(&posting.entry)?;
        update.require_other_last(posting.entry.id);
        for guard in &posting.guards {
            update.require(*guard);
        }
        for effect in &posting.effects {
            effect.bounds().into_iter().for_each(|bound| update.bound(bound));
            update.change(effect)?;
        }
        if posting.effects.iter().any(|effect| matches!(effect, Effect::Dispute(..))) {
            update.set_disputes()?;
        }
        Ok(update)
    }

    /// Spreads the account's rows over more shards. The number never falls.
    pub(crate) fn spread_rows(&mut self, shards: RowShards) {
        let (name, value) = (self.name("shards"), self.number(shards.count().into()));
        self.conditions.push(format!("(attribute_not_exists({name}) OR {name} < {value})"));
        self.sets.push(format!("{name} = {value}"));
    }

    pub(crate) fn update(&self) -> String {
        let mut text = format!("SET {}", self.sets.join(", "));
        if !self.removes.is_empty() {
            text = format!("{text} REMOVE {}", self.removes.join(", "));
        }
        text
    }

    pub(crate) fn condition(&self) -> String {
        self.conditions.join(" AND ")
    }

    fn set_last(&mut self, entry: &Entry) -> Result<(), Fault> {
        let last = encode(&EntryItem::from(entry))?;
        let (name, value) = (self.name("last"), self.value(AttributeValue::M(last)));
        self.sets.push(format!("{name} = {value}"));
        Ok(())
    }

    /// Requires that the account's last entry is not `id`. A new account has none.
    fn require_other_last(&mut self, id: EntryId) {
        let (last, field, value) = (self.name("last"), self.name("id"), self.text(id.bare()));
        self.conditions.push(format!("(attribute_not_exists({last}) OR {last}.{field} <> {value})"));
    }

    fn require(&mut self, guard: Guard) {
        // The item of an account that never owed anything has no such attribute.
        let none_or = |none: bool| if none { "attribute_not_exists(#owed) OR " } else { "" };
        let (path, comparison, value) = match guard {
            Guard::Revision(known) => (self.name("rev"), "=", self.number(known)),
            Guard::Period(period) => (self.name("period"), "=", self.text(period.to_string())),
            Guard::AtLeast(lot, amount) => (self.left(lot), ">=", self.number(amount.get())),
            Guard::Exactly(lot, amount) => (self.left(lot), "=", self.number(amount.get())),
            Guard::Granted(amount) => {
                (format!("{}.{}", self.name("sub"), self.name("granted")), "=", self.number(amount.get()))
            }
            Guard::GrantedAtMost(most) => {
                (format!("{}.{}", self.name("sub"), self.name("granted")), "<=", self.number(most.get()))
            }
            Guard::OwingAtMost(most) => {
                (format!("{}{}", none_or(true), self.name("owed")), "<=", self.number(most.get()))
            }
            Guard::Owing(amount) => {
                let start = none_or(amount.is_zero());
                (format!("{start}{}", self.name("owed")), "=", self.number(amount.get()))
            }
            Guard::Held(amount) => (self.name("held"), ">=", self.number(amount.get())),
            Guard::FenceBelow(id) => (self.name("fence"), "<", self.text(id.bare())),
            Guard::Budgets(mark) if mark.get() == 0 => {
                let name = self.name("bud");
                self.conditions.push(format!("attribute_not_exists({name})"));
                return;
            }
            Guard::Budgets(mark) => (self.name("bud"), "=", self.number(mark.get())),
        };
        self.conditions.push(format!("({path} {comparison} {value})"));
    }

    /// Adds the condition that a number is within its bound before it grows.
    fn bound(&mut self, bound: Bound) {
        let most = self.number(bound.at_most.get());
        let condition = match bound.counter {
            Counter::Left(lot) => format!("{} <= {most}", self.left(lot)),
            Counter::Granted => format!("{}.{} <= {most}", self.name("sub"), self.name("granted")),
            Counter::Used => format!("{} <= {most}", self.name("used")),
            Counter::Held => self.none_or_at_most("held", &most),
            Counter::Owed => self.none_or_at_most("owed", &most),
        };
        self.conditions.push(format!("({condition})"));
    }

    fn none_or_at_most(&mut self, attribute: &str, most: &str) -> String {
        let name = self.name(attribute);
        format!("attribute_not_exists({name}) OR {name} <= {most}")
    }

    fn change(&mut self, effect: &Effect) -> Result<(), Fault> {
        match effect {
            Effect::Take(lot, amount) => {
                let (path, value) = (self.left(*lot), self.number(amount.get()));
                self.sets.push(format!("{path} = {path} - {value}"));
            }
            Effect::Give(lot, amount) => {
                let (path, value) = (self.left(*lot), self.number(amount.get()));
                self.sets.push(format!("{path} = {path} + {value}"));
                if let LotId::Subscription(_) = lot {
                    self.shift("+", &["granted"], amount.get());
                }
            }
            Effect::Open(id, lot) => {
                let (path, value) = (self.lot(&lot_key::of(*id, lot)), self.number(lot.left.get()));
                self.sets.push(format!("{path} = {value}"));
            }
            Effect::Drop(id) => {
                let path = self.known_lot(*id);
                self.removes.push(path);
            }
            Effect::Extras(extras) => self.set_extras(*extras),
            Effect::Cap(cap) => {
                let (name, value) = (self.name("cap"), self.number(cap.get()));
                self.sets.push(format!("{name} = {value}"));
            }
            Effect::Dispute(id, Some(dispute)) => drop(self.disputes.insert(*id, *dispute)),
            Effect::Dispute(id, None) => drop(self.disputes.remove(id)),
            Effect::Owe(amount) => self.raise("owed", amount.get()),
            Effect::Repay(amount) => self.lower("owed", amount.get()),
            Effect::Limit(limit) => {
                let (name, value) = (self.name("limit"), self.number(limit.get()));
                self.sets.push(format!("{name} = {value}"));
            }
            Effect::Freeze(frozen) => {
                let (name, value) = (self.name("frozen"), self.value(AttributeValue::Bool(*frozen)));
                self.sets.push(format!("{name} = {value}"));
            }
            Effect::Withdraw(amount) => self.shift("-", &["left", "granted"], amount.get()),
            Effect::Spend(amount) => self.shift("+", &["granted"], amount.get()),
            Effect::Plan(plan, allowance, since) => self.set_plan(plan, *allowance, *since)?,
            Effect::Restore(amount) => self.shift("+", &["left"], amount.get()),
            Effect::Unspend(amount) => self.shift("-", &["granted"], amount.get()),
            Effect::Hold(amount) => self.raise("held", amount.get()),
            Effect::Unhold(amount) => self.lower("held", amount.get()),
            Effect::Use(amount) => {
                let (used, value) = (self.name("used"), self.number(amount.get()));
                self.sets.push(format!("{used} = {used} + {value}"));
            }
            Effect::Unuse(amount) => self.lower("used", amount.get()),
            Effect::Renew(period, allowance) => self.renew(*period, allowance.get()),
            Effect::Fence(up_to) => {
                let (fence, value) = (self.name("fence"), self.text(up_to.bare()));
                let (fenced, sequence, one) = (self.name("fenced"), self.name("seq"), self.number(1));
                self.sets.push(format!("{fence} = {value}, {fenced} = {sequence} + {one}"));
            }
        }
        Ok(())
    }

    /// Adds to the month's subscription credits, or takes from them.
    fn shift(&mut self, sign: &str, parts: &[&str], amount: u64) {
        let value = self.number(amount);
        for part in parts {
            let path = format!("{}.{}", self.name("sub"), self.name(part));
            self.sets.push(format!("{path} = {path} {sign} {value}"));
        }
    }

    /// Adds to a number that most items do not have.
    fn raise(&mut self, attribute: &str, amount: u64) {
        let (name, value, zero) = (self.name(attribute), self.number(amount), self.number(0));
        self.sets.push(format!("{name} = if_not_exists({name}, {zero}) + {value}"));
    }

    /// Sets the extra subscription credits; attributes that would be zero are left out.
    fn set_extras(&mut self, extras: Extras) {
        for (part, amount) in [("ext", extras.left), ("xsp", extras.spent), ("took", extras.taken)] {
            let path = format!("{}.{}", self.name("sub"), self.name(part));
            if amount.is_zero() {
                self.removes.push(path);
            } else {
                let value = self.number(amount.get());
                self.sets.push(format!("{path} = {value}"));
            }
        }
    }

    /// Sets all open disputes, because a change of one is decided on all of them.
    fn set_disputes(&mut self) -> Result<(), Fault> {
        let name = self.name("disp");
        if self.disputes.is_empty() {
            self.removes.push(name);
            return Ok(());
        }
        let mut disputes = HashMap::new();
        for (id, dispute) in &self.disputes {
            disputes.insert(id.bare(), AttributeValue::M(encode(&DisputeItem::from(dispute))?));
        }
        let value = self.value(AttributeValue::M(disputes));
        self.sets.push(format!("{name} = {value}"));
        Ok(())
    }

    /// Subtracts from a number.
    fn lower(&mut self, attribute: &str, amount: u64) {
        let (name, value) = (self.name(attribute), self.number(amount));
        self.sets.push(format!("{name} = {name} - {value}"));
    }

    fn renew(&mut self, period: Period, allowance: u64) {
        let (name, value) = (self.name("period"), self.text(period.to_string()));
        self.sets.push(format!("{name} = {value}"));
        let (sub, allowance) = (self.name("sub"), self.number(allowance));
        let (left, granted) = (self.name("left"), self.name("granted"));
        self.sets.push(format!("{sub}.{left} = {allowance}, {sub}.{granted} = {allowance}"));
        let (used, zero) = (self.name("used"), self.number(0));
        self.sets.push(format!("{used} = {zero}"));
        self.set_extras(Extras::default());
    }

    fn set_plan(&mut self, plan: &PlanId, allowance: Allowance, since: u64) -> Result<(), Fault> {
        let allowance = serde_dynamo::to_attribute_value(allowance)
            .map_err(|source| Fault::corrupt("an allowance", source))?;
        for (name, value) in [
            ("plan", AttributeValue::S(plan.0.clone())),
            ("since", AttributeValue::N(since.to_string())),
            ("allow", allowance),
        ] {
            let (name, value) = (self.name(name), self.value(value));
            self.sets.push(format!("{name} = {value}"));
        }
        Ok(())
    }

    /// The path of the credits that are left in a lot.
    fn left(&mut self, lot: LotId) -> String {
        match lot {
            LotId::Subscription(_) => format!("{}.{}", self.name("sub"), self.name("left")),
            LotId::Granted(id) => self.known_lot(id),
            // These are no lots: a posting that names one as a lot does not land.
            LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => self.lot(&lot.to_string()),
        }
    }

    /// The path of a lot; for a lot that the account does not have, a path that no item has.
    fn known_lot(&mut self, id: EntryId) -> String {
        let name = self.lots.get(&id).cloned().unwrap_or_else(|| id.bare());
        self.lot(&name)
    }

    fn lot(&mut self, key: &str) -> String {
        let lots = self.name("lots");
        // A lot's name may have characters that a `#name` must not have.
        let known = self.names.iter().find(|(_, attribute)| *attribute == key).map(|(name, _)| name.clone());
        let lot = known.unwrap_or_else(|| format!("#l{}", self.names.len()));
        self.names.insert(lot.clone(), key.to_owned());
        format!("{lots}.{lot}")
    }

    /// A `#name` of an attribute: some attributes are reserved words of DynamoDB.
    fn name(&mut self, attribute: &str) -> String {
        let name = format!("#{attribute}");
        self.names.insert(name.clone(), attribute.to_owned());
        name
    }

    fn number(&mut self, number: u64) -> String {
        self.value(AttributeValue::N(number.to_string()))
    }

    fn text(&mut self, text: String) -> String {
        self.value(AttributeValue::S(text))
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":v{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }
}

/// The item of a new account.
pub(crate) fn opened(account: &Account) -> Result<StoredItem, Fault> {
    with_key(&Key::Account(account.id), &AccountItem::from(account))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AccountId, Credits, Mode, OrgId, due};

    /// A process that knows an old account never lowers the number of shards: the rows in the others would be lost to readers.
    #[test]
    fn the_shards_of_an_account_never_fall() {
        let now = "2024-01-15T10:30:00Z".parse().unwrap();
        let id = AccountId { org: OrgId::new(now, 1), mode: Mode::Live };
        let account = Account::open(id, PlanId("free".to_owned()), Allowance::Monthly(Credits::ZERO), now);
        let mut update = Expression::of(&due(&account, now).unwrap(), &account).unwrap();
        update.spread_rows(RowShards::MAX);
        let (name, value) = update
            .sets
            .iter()
            .find_map(|set| set.split_once(" = ").filter(|(name, _)| *name == "#shards"))
            .unwrap();
        assert_eq!(update.names[name], "shards");
        assert_eq!(update.values[value], AttributeValue::N("16".to_owned()));
        let guard = format!("(attribute_not_exists({name}) OR {name} < {value})");
        assert!(update.conditions.contains(&guard), "{}", update.condition());
    }
}
