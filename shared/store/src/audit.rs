use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use super::chain::{Mark, checkpoint, full_span, number, place};
use super::item::{AccountItem, RowItem, decode};
use super::key::{Item, Key, chain_partition, checkpoint_partition, pot_partition};
use super::pots::grouped;
use super::raw::{RawRow, RawRows, place_of};
use super::{Fault, Ledger, pot_item};
use domain::{Account, AccountId, ChainCheck, EntryId, Finding, Hash, Period, Problem, Span, Sums, Tip};

/// How many rows that are missing past the end of the chain are named.
const NAMED_MAX: usize = 1_000;

/// What an audit of one account came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which account.
    pub account: AccountId,
    /// How many entries its item tells of.
    pub entries: u64,
    /// Through which number the chain goes, and its hash there: to be kept elsewhere, and to be compared.
    pub chained: (u64, Hash),
    /// Rows past the end of the chain: the projector is on its way to them.
    pub unchained: u64,
    /// Entries whose rows are not written yet: the projector will do so.
    pub unwritten: u64,
    /// How many days were closed.
    pub checkpoints: u64,
    /// Whether the rows were added up and compared with the account. They are when all of them are there and
    /// as they were chained.
    pub added_up: bool,
    /// What is wrong; nothing with a sound account.
    pub findings: Vec<Finding>,
}

impl Report {
    /// That of an account that is gone, while its chain is there.
    fn gone(account: AccountId, tip: &Tip) -> Self {
        Self {
            account,
            entries: 0,
            chained: (tip.sequence(), tip.open.hash()),
            unchained: 0,
            unwritten: 0,
            checkpoints: 0,
            added_up: false,
            findings: vec![Finding::account(Problem::Account("is gone, and its chain is there"))],
        }
    }
}

/// One audit under way.
struct Audit<'a> {
    ledger: &'a Ledger,
    id: AccountId,
    /// How many entries the account had as the audit began. What landed since is left to the next one.
    entries: u64,
    rows: RawRows<'a>,
    /// Rows that were read and not asked for yet. Ids and numbers differ by requests under way together, so
    /// there are few.
    ahead: BTreeMap<(Period, String), RawRow>,
    /// Whether all were read.
    ended: bool,
    chain: ChainCheck,
    sums: Sums,
    /// The months of its rows.
    months: (Period, Period),
    findings: Vec<Finding>,
}

impl Ledger {
    /// Goes through the whole ledger of an account as it is at `now`: every row against the chain, the chain
    /// against its checkpoints, the numbers 1, 2, 3, …, and what the rows add up to against the account.
    /// `None` when there is no such account. Every so many rows, `progress` is told how many there were.
    ///
    /// It reads as it goes and changes nothing; the account may be in use meanwhile.
    ///
    /// # Errors
    /// When the table does not serve. What does not read is a finding.
    pub async fn audit(
        &self,
        id: AccountId,
        now: DateTime<Utc>,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<Report>, Fault> {
        // The account before its chain, and ends before what they are the ends of: whatever lands meanwhile
        // is then known to be new.
        let Some(item) = self.get(&Key::Account(id), true, "read an account").await? else {
            let chained = self.read_mark(id, true).await?.tip.filter(|tip| tip.sequence() > 0);
            return Ok(chained.map(|tip| Report::gone(id, &tip)));
        };
        let account = decode::<AccountItem>("an account", item).and_then(|item| item.account(id)).ok();
        let checkpoints = self.all(checkpoint_partition(id)).await?;
        let mark = self.read_mark(id, true).await?;
        let mut audit = Audit::new(self, (id, account.as_ref()), &checkpoints, now);
        let mut after = None;
        loop {
            let (items, next) = self.page(chain_partition(id), after).await?;
            for item in &items {
                audit.part(item).await?;
            }
            progress(audit.chain.next().saturating_sub(1));
            after = next;
            if after.is_none() {
                break;
            }
        }
        audit.end(&mark).await?;
        let count = u64::try_from(checkpoints.len()).unwrap_or(u64::MAX);
        audit.report(account.as_ref(), &mark, count).await.map(Some)
    }

    /// All items of a partition.
    async fn all(&self, partition: String) -> Result<Vec<Item>, Fault> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (items, next) = self.page(partition.clone(), after).await?;
            all.extend(items);
            after = next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Items of a partition that follow a place, and where to go on.
    async fn page(&self, partition: String, after: Option<Item>) -> Result<(Vec<Item>, Option<Item>), Fault> {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", AttributeValue::S(partition));
        let answer = query.set_exclusive_start_key(after).send().await;
        let answer = answer.map_err(|error| Fault::unavailable("read a chain")(error.into()))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }
}

impl<'a> Audit<'a> {
    fn new(
        ledger: &'a Ledger,
        (id, account): (AccountId, Option<&Account>),
        checkpoints: &[Item],
        now: DateTime<Utc>,
    ) -> Self {
        let mut findings = Vec::new();
        if account.is_none() {
            findings.push(Finding::account(Problem::Account("does not read")));
        }
        let known: Vec<_> = checkpoints.iter().filter_map(checkpoint).collect();
        if known.len() < checkpoints.len() {
            findings.push(Finding::account(Problem::CheckpointUnreadable));
        }
        let latest = account.map_or(now, |account| account.floor().time().max(now));
        let months = (Period::of(id.org.time()), Period::of(latest));
        Self {
            ledger,
            id,
            entries: account.map_or(0, |account| account.sequence),
            rows: RawRows::of(ledger, id, months),
            ahead: BTreeMap::new(),
            ended: false,
            chain: ChainCheck::whole(id, known),
            sums: Sums::default(),
            months,
            findings,
        }
    }

    /// Goes along a full part of the chain, as its item has it.
    async fn part(&mut self, item: &Item) -> Result<(), Fault> {
        match full_span(item).filter(|span| self.chain.next() <= span.first) {
            Some(span) => self.span(&span).await,
            None => {
                let finding =
                    Finding { sequence: place(item), transaction: None, problem: Problem::SpanMissing };
                self.findings.push(finding);
                Ok(())
            }
        }
    }

    async fn span(&mut self, span: &Span) -> Result<(), Fault> {
        self.chain.begin(span);
        for (sequence, link) in span.numbered() {
            let row = self.take(link.id).await?;
            self.chain.row(link, row.as_ref().map(RawRow::text).as_deref());
            if let Some(row) = row {
                self.add(sequence, row);
            }
        }
        Ok(())
    }

    /// The last part of the chain stands with the watermark. That part may have become a full one since it
    /// was read, or before it could be moved.
    async fn end(&mut self, mark: &Mark) -> Result<(), Fault> {
        let is_sound = match &mark.tip {
            None => !mark.is_broken() && self.chain.next() == 1,
            Some(tip) if self.chain.next() <= tip.open.first => {
                self.span(&tip.open).await?;
                self.chain.is_at(tip.day) && tip.sequence() <= mark.through
            }
            Some(tip) => {
                let key = Key::Span(self.id, tip.open.first);
                let full = self.ledger.get(&key, true, "read a part of a chain").await?;
                full.as_ref().and_then(full_span).is_some_and(|full| tip.open.begins(&full))
            }
        };
        if !is_sound {
            self.findings.push(Finding::account(Problem::TipAltered));
        }
        Ok(())
    }

    /// The row of an id, if it is where it has to be.
    async fn take(&mut self, id: EntryId) -> Result<Option<RawRow>, Fault> {
        let place = place_of(id);
        // An id that somebody has changed may lie anywhere.
        let is_ahead = !self.rows.ends_before(place.0);
        while is_ahead && !self.ended && self.ahead.last_key_value().is_none_or(|(last, _)| *last < place) {
            self.read().await?;
        }
        Ok(self.ahead.remove(&place))
    }

    async fn read(&mut self) -> Result<(), Fault> {
        match self.rows.read().await? {
            Some(page) => self.ahead.extend(page.into_iter().map(|row| (row.place.clone(), row))),
            None => self.ended = true,
        }
        Ok(())
    }

    /// Adds a row to the sums.
    fn add(&mut self, sequence: u64, row: RawRow) {
        let id = row.id();
        let receipt = decode::<RowItem>("a transaction", row.item).map(RowItem::receipt).ok();
        let receipt = receipt.filter(|receipt| receipt.sequence == sequence && Some(receipt.entry.id) == id);
        match receipt {
            Some(receipt) if sequence <= self.entries => self.sums.add(receipt),
            Some(_) => (),
            None => self.findings.push(Finding::row(sequence, id, Problem::Unreadable)),
        }
    }

    /// Sorts what is left when the chain has ended: rows that follow it, in the order of their numbers, and
    /// rows that it should have.
    async fn rest(&mut self, chained: u64, gaps: &[(u64, u64)]) -> Result<BTreeMap<u64, RawRow>, Fault> {
        while !self.ended {
            self.read().await?;
        }
        let mut later = BTreeMap::new();
        for row in std::mem::take(&mut self.ahead).into_values() {
            match row.number() {
                // Nobody can say whether it belongs there.
                Some(number) if gaps.iter().any(|(from, to)| (*from..*to).contains(&number)) => (),
                Some(number) if chained < number && !later.contains_key(&number) => {
                    later.insert(number, row);
                }
                sequence => {
                    let finding = Finding { sequence, transaction: row.id(), problem: Problem::Stray };
                    self.findings.push(finding);
                }
            }
        }
        Ok(later)
    }

    async fn report(
        mut self,
        account: Option<&Account>,
        mark: &Mark,
        checkpoints: u64,
    ) -> Result<Report, Fault> {
        let chained = (self.chain.next().saturating_sub(1), self.chain.hash());
        let (found, gaps) = std::mem::replace(&mut self.chain, ChainCheck::from(1, chained.1)).finish();
        self.findings.extend(found);
        let later = self.rest(chained.0, &gaps).await?;
        let due = mark.through.min(self.entries);
        let missing = (chained.0.saturating_add(1)..=due).filter(|number| !later.contains_key(number));
        let missing = missing.map(|number| Finding::row(number, None, Problem::Missing)).take(NAMED_MAX);
        self.findings.extend(missing);
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let unchained = count(later.keys().filter(|number| **number <= self.entries).count());
        let known = chained.0.max(due);
        let seen = later.keys().filter(|number| known < **number && **number <= self.entries).count();
        let unwritten = self.entries.saturating_sub(known).saturating_sub(count(seen));
        for (number, row) in later {
            self.add(number, row);
        }
        self.look_again(account, mark, unwritten).await?;
        let added_up = self.findings.is_empty() && unwritten == 0;
        if let Some(account) = account.filter(|_| added_up) {
            self.pots().await?;
            self.findings.extend(std::mem::take(&mut self.sums).against(account));
        }
        Ok(Report {
            account: self.id,
            entries: self.entries,
            chained,
            unchained,
            unwritten,
            checkpoints,
            added_up,
            findings: in_order(self.findings),
        })
    }

    /// Holds what is left to draw from debits and holds against their rows.
    async fn pots(&mut self) -> Result<(), Fault> {
        let (mut month, last) = self.months;
        let mut pots = Vec::new();
        while month <= last {
            let items = self.ledger.all(pot_partition(self.id, month)).await?;
            let place = |item: &Item| match item.get("sk") {
                Some(AttributeValue::S(text)) => EntryId::from_bare(text),
                Some(_) | None => None,
            };
            for (item, pages) in grouped(items) {
                let of = place(&item);
                match pot_item::pot_of(item, pages).ok().filter(|pot| Some(pot.of) == of) {
                    Some(pot) => pots.push(pot),
                    None => {
                        let finding = Finding { sequence: None, transaction: of, problem: Problem::Pot };
                        self.findings.push(finding);
                    }
                }
            }
            month = month.next();
        }
        self.sums.pots(&pots);
        Ok(())
    }

    /// What looks as if it were on its way may be none of it.
    async fn look_again(
        &mut self,
        account: Option<&Account>,
        mark: &Mark,
        unwritten: u64,
    ) -> Result<(), Fault> {
        if let Some(last) = account.and_then(|account| account.last.as_ref()).filter(|_| unwritten > 0) {
            let row = self.ledger.get(&Key::Row(self.id, last.id), true, "look for a row").await?;
            if row.is_some_and(|row| number(&row, "seq") != Some(self.entries)) {
                self.findings
                    .push(Finding::account(Problem::Account("has a number of entries other than its rows")));
            }
        }
        if self.entries < mark.through {
            let now = self.ledger.get(&Key::Account(self.id), true, "read an account").await?;
            if now.and_then(|item| number(&item, "seq")) < Some(mark.through) {
                self.findings.push(Finding::account(Problem::TipAltered));
            }
        }
        Ok(())
    }
}

/// By number, each once. A row that was changed may not read any more, which says nothing new.
fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    let says_little = |finding: &Finding| finding.problem == Problem::Unreadable;
    findings.sort_by_key(|finding| (finding.sequence.is_none(), finding.sequence, says_little(finding)));
    let mut told: Vec<Finding> = Vec::new();
    for finding in findings {
        let same =
            |known: &Finding| known.sequence == finding.sequence && known.transaction == finding.transaction;
        let is_known = told
            .iter()
            .rev()
            .take_while(|known| known.sequence == finding.sequence)
            .any(|known| *known == finding || same(known) && finding.problem == Problem::Unreadable);
        if !is_known {
            told.push(finding);
        }
    }
    told
}
