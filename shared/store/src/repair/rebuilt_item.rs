//! The item of an account, made from its rows and from the readable rest of its own item.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::damage::{Damage, damages, read_account};
use crate::table::key::StoredItem;
use crate::table::lot_key;
use domain::{Account, AccountId, Allowance, EntryId, Period, RowFacts, RowShards, Totals};

/// The account that `totals` describes, without its last entry. Values that are in no row are taken from the item, as
/// far as it is readable: the post-paid limit, a freeze, the subjects of open disputes. A value that neither has is a
/// problem.
pub(crate) fn rebuilt(
    id: AccountId,
    raw: &StoredItem,
    totals: &Totals,
    facts: &RowFacts,
) -> Result<Account, Vec<String>> {
    let known = damages(id, raw);
    let mut rebuilder = AccountRebuilder { problems: Vec::new(), item: HashMap::new(), raw, damages: &known };
    rebuilder.known(id, totals, facts);
    rebuilder.subscription(totals);
    rebuilder.lots(totals, facts);
    let AccountRebuilder { mut problems, item, .. } = rebuilder;
    if problems.is_empty() {
        match read_account(id, item.clone()) {
            Ok(account) => return Ok(account),
            Err(_) => problems.extend(damages(id, &item).iter().map(unknown)),
        }
    }
    Err(problems)
}

fn unknown(Damage { attribute, problem }: &Damage) -> String {
    format!("no row has a value for `{attribute}`, which is unreadable: {problem}")
}

struct AccountRebuilder<'a> {
    problems: Vec<String>,
    item: StoredItem,
    raw: &'a StoredItem,
    damages: &'a [Damage],
}

impl AccountRebuilder<'_> {
    /// An attribute of the item itself, if it is readable.
    fn sound(&self, name: &str) -> Option<AttributeValue> {
        let is_broken = self.damages.iter().any(|damage| damage.attribute == name);
        self.raw.get(name).filter(|_| !is_broken).cloned()
    }

    /// A number of credits. The rows of a sound ledger never add up to less than zero.
    fn credits(&mut self, name: &str, count: i128) -> AttributeValue {
        if count < 0 {
            self.problems.push(format!("the rows add up to {count} for `{name}`"));
        }
        AttributeValue::N(count.max(0).to_string())
    }

    fn set(&mut self, name: &str, value: AttributeValue) {
        self.item.insert(name.to_owned(), value);
    }

    fn known(&mut self, id: AccountId, totals: &Totals, facts: &RowFacts) {
        // Attributes that this version does not know stay as they are.
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
        // An item that is gone or damaged there may have had all shards.
        if self.raw.is_empty() || self.raw.contains_key("shards") {
            let shards = self.sound("shards").unwrap_or(number(RowShards::MAX.count().into()));
            self.set("shards", shards);
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
        let allowance = totals.allowance.or(totals.unlimited.then_some(Allowance::Unlimited));
        if let Some(allowance) =
            allowance.and_then(|allowance| serde_dynamo::to_attribute_value(allowance).ok())
        {
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

    /// The lots that are not empty, on the terms that the rows have.
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
