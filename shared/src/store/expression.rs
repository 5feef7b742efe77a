use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::Fault;
use super::item::{AccountItem, EntryItem, LotItem, encode};
use crate::domain::{Account, Allowance, Effect, Entry, Guard, LotId, Period, PlanId, Posting};

/// One conditional update: what changes, and what must be true for it.
#[derive(Default)]
pub(super) struct Expression {
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
    /// What stands for each `#name`.
    pub(super) names: HashMap<String, String>,
    /// What stands for each `:value`.
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Expression {
    /// The update that makes `posting`: its guards as the condition, its effects as arithmetic.
    pub(super) fn of(posting: &Posting) -> Result<Self, Fault> {
        let mut update = Self::default();
        let rows = update.number(posting.entry.rows());
        let sequence = update.name("seq");
        update.sets.push(format!("{sequence} = {sequence} + {rows}"));
        if posting.revises() {
            let revision = update.name("rev");
            let one = update.number(1);
            update.sets.push(format!("{revision} = {revision} + {one}"));
        }
        update.set_last(&posting.entry)?;
        for guard in &posting.guards {
            update.require(*guard);
        }
        for effect in &posting.effects {
            update.change(effect)?;
        }
        Ok(update)
    }

    pub(super) fn update(&self) -> String {
        let mut text = format!("SET {}", self.sets.join(", "));
        if !self.removes.is_empty() {
            text = format!("{text} REMOVE {}", self.removes.join(", "));
        }
        text
    }

    pub(super) fn condition(&self) -> String {
        self.conditions.join(" AND ")
    }

    fn set_last(&mut self, entry: &Entry) -> Result<(), Fault> {
        let last = encode(&EntryItem::from(entry))?;
        let (name, value) = (self.name("last"), self.value(AttributeValue::M(last)));
        self.sets.push(format!("{name} = {value}"));
        Ok(())
    }

    fn require(&mut self, guard: Guard) {
        // An account that never owed anything has no such attribute.
        let none_or = |none: bool| if none { "attribute_not_exists(#owed) OR " } else { "" };
        let (path, comparison, value) = match guard {
            Guard::Revision(seen) => (self.name("rev"), "=", self.number(seen)),
            Guard::Period(period) => (self.name("period"), "=", self.text(period.to_string())),
            Guard::AtLeast(lot, amount) => (self.left(lot), ">=", self.number(amount.get())),
            Guard::Exactly(lot, amount) => (self.left(lot), "=", self.number(amount.get())),
            Guard::Granted(amount) => {
                (format!("{}.{}", self.name("sub"), self.name("granted")), "=", self.number(amount.get()))
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
        };
        self.conditions.push(format!("({path} {comparison} {value})"));
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
                let lot = encode(&LotItem::from(lot))?;
                let (path, value) = (self.lot(&id.bare()), self.value(AttributeValue::M(lot)));
                self.sets.push(format!("{path} = {value}"));
            }
            Effect::Drop(id) => {
                let path = self.lot(&id.bare());
                self.removes.push(path);
            }
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
            Effect::Over(amount) => self.set_over(amount.get()),
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

    /// More or less of the month's subscription credits.
    fn shift(&mut self, sign: &str, parts: &[&str], amount: u64) {
        let value = self.number(amount);
        for part in parts {
            let path = format!("{}.{}", self.name("sub"), self.name(part));
            self.sets.push(format!("{path} = {path} {sign} {value}"));
        }
    }

    /// More of a number that most accounts do not have.
    fn raise(&mut self, attribute: &str, amount: u64) {
        let (name, value, zero) = (self.name(attribute), self.number(amount), self.number(0));
        self.sets.push(format!("{name} = if_not_exists({name}, {zero}) + {value}"));
    }

    fn set_over(&mut self, amount: u64) {
        let over = format!("{}.{}", self.name("sub"), self.name("over"));
        if amount == 0 {
            self.removes.push(over);
        } else {
            let value = self.number(amount);
            self.sets.push(format!("{over} = {value}"));
        }
    }

    /// Less of a number of the account's.
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

    /// The path of what is left in a lot.
    fn left(&mut self, lot: LotId) -> String {
        let left = self.name("left");
        match lot {
            LotId::Subscription(_) => format!("{}.{left}", self.name("sub")),
            LotId::Granted(id) => format!("{}.{left}", self.lot(&id.bare())),
            // No lot: a posting that took it for one does not land.
            LotId::PostPaid => format!("{}.{left}", self.name("post_paid")),
        }
    }

    fn lot(&mut self, bare: &str) -> String {
        let (lots, lot) = (self.name("lots"), self.name(bare));
        format!("{lots}.{lot}")
    }

    /// Every attribute goes by a `#name`, for some of ours are words of the language.
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

/// The item of an account that is just opened.
pub(super) fn opened(account: &Account) -> Result<super::key::Item, Fault> {
    super::item::with_key(&super::key::Key::Account(account.id), &AccountItem::from(account))
}
