//! The item of an account as its rows tell it, with what only the item itself tells.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::broken::{self, Damage};
use super::key::Item;
use super::lot_key;
use domain::{Account, AccountId, Allowance, EntryId, Period, RowFacts, Totals};

/// The account that `totals` describes, without its last entry. What no row tells comes from the item, as far as
/// that reads: the post-paid limit, a freeze, what open disputes are about. What neither tells is a problem.
pub(super) fn rebuilt(
    id: AccountId,
    raw: &Item,
    totals: &Totals,
    facts: &RowFacts,
) -> Result<Account, Vec<String>> {
    let damages = broken::damages(id, raw);
    let mut make = Make { problems: Vec::new(), item: HashMap::new(), raw, damages: &damages };
    make.known(id, totals, facts);
    make.subscription(totals);
    make.lots(totals, facts);
    let Make { mut problems, item, .. } = make;
    if problems.is_empty() {
        match broken::read(id, item.clone()) {
            Ok(account) => return Ok(account),
            Err(_) => problems.extend(broken::damages(id, &item).iter().map(unknown)),
        }
    }
    Err(problems)
}

fn unknown(Damage { attribute, problem }: &Damage) -> String {
    format!("no row tells what `{attribute}` is, which does not read: {problem}")
}

struct Make<'a> {
    problems: Vec<String>,
    item: Item,
    raw: &'a Item,
    damages: &'a [Damage],
}

impl Make<'_> {
    /// An attribute of the item itself, if it is there and reads.
    fn sound(&self, name: &str) -> Option<AttributeValue> {
        let is_broken = self.damages.iter().any(|damage| damage.attribute == name);
        self.raw.get(name).filter(|_| !is_broken).cloned()
    }

    /// A number of credits; the rows of a sound ledger never come to less than none.
    fn credits(&mut self, name: &str, count: i128) -> AttributeValue {
        if count < 0 {
            self.problems.push(format!("the rows come to {count} for `{name}`"));
        }
        AttributeValue::N(count.max(0).to_string())
    }

    fn set(&mut self, name: &str, value: AttributeValue) {
        self.item.insert(name.to_owned(), value);
    }

    fn known(&mut self, id: AccountId, totals: &Totals, facts: &RowFacts) {
        // Attributes that this code knows nothing of stay as they are.
        self.item = self.raw.clone();
        self.item.remove("last");
        let number = |number: u64| AttributeValue::N(number.to_string());
        let text = |text: String| AttributeValue::S(text);
        self.set("seq", number(totals.sequence));
        for (name, otherwise) in [
            ("rev", number(totals.sequence)),
            ("since", number(0)),
            ("fenced", number(totals.sequence)),
            ("frozen", AttributeValue::Bool(totals.frozen)),
        ] {
            let value = self.sound(name).unwrap_or(otherwise);
            self.set(name, value);
        }
        let last = facts.last().map_or(EntryId::FIRST, |last| last.entry.id);
        let fence = match self.sound("fence") {
            Some(AttributeValue::S(fence)) => EntryId::from_bare(&fence).unwrap_or(last).max(last),
            Some(_) | None => last,
        };
        self.set("fence", text(fence.bare()));
        let period = totals.period.unwrap_or_else(|| Period::of(id.org.time()).previous());
        self.set("period", text(period.to_string()));
        if let Some(plan) = &totals.plan {
            self.set("plan", text(plan.0.clone()));
        }
        let told = totals.allowance.or(totals.unlimited.then_some(Allowance::Unlimited));
        if let Some(allowance) = told.and_then(|told| serde_dynamo::to_attribute_value(told).ok()) {
            self.set("allow", allowance);
        }
        for (name, count) in [("used", totals.used), ("held", totals.held), ("owed", totals.owed())] {
            let count = self.credits(name, count);
            self.set(name, count);
        }
        if let Some(limit) = totals.limit {
            self.set("limit", number(limit.get()));
        }
    }

    fn subscription(&mut self, totals: &Totals) {
        let left = self.credits("sub.left", totals.subscription());
        let mut sub = match self.raw.get("sub") {
            Some(AttributeValue::M(sub)) => sub.clone(),
            Some(_) | None => HashMap::new(),
        };
        let is_broken = |part: &str| {
            let name = format!("sub.{part}");
            self.damages.iter().any(|damage| damage.attribute == name || damage.attribute == "sub")
        };
        if is_broken("left") || is_broken("granted") {
            let granted = totals.subscription().saturating_add(totals.spent).max(0);
            sub.insert("granted".to_owned(), AttributeValue::N(granted.to_string()));
        }
        sub.insert("left".to_owned(), left);
        self.set("sub", AttributeValue::M(sub));
    }

    /// The lots that hold something, on the terms that the rows tell.
    fn lots(&mut self, totals: &Totals, facts: &RowFacts) {
        let mut lots = HashMap::new();
        for (id, left) in totals.granted() {
            let left = self.credits(&format!("lots.{}", id.bare()), left);
            let Some(lot) = facts.lot(id) else { continue };
            lots.insert(lot_key::of(id, &lot), left);
        }
        self.set("lots", AttributeValue::M(lots));
    }
}
