//! The audit of an account: its rows, chain, checkpoints, remainders and balance against each other.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::chain::items::{checkpoint, first_of, full_span};
use crate::chain::raw_rows::{RawRow, RawRows, RowPlace};
use crate::chain::watermark::Watermark;
use crate::table::attribute::{number_of, sort_key};
use crate::table::error::Fault;
use crate::table::item::{AccountItem, decode, receipt};
use crate::table::key::{Key, StoredItem, chain_partition, checkpoint_partition, remainder_partition};
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use crate::table::remainder_item;
use crate::table::row_query::AccountRows;
use domain::{
    Account, AccountId, ChainCheck, Checkpoint, EntryId, Finding, Hash, Period, Problem, RowShards, Span,
    Sums, Tip,
};

/// How many of the rows that are missing after the end of the chain become findings.
const NAMED_MAX: usize = 1_000;

/// The report of an audit of one account.
#[derive(Clone, Debug)]
pub struct AuditReport {
    /// The account.
    pub account: AccountId,
    /// The number of entries according to its item.
    pub entries: u64,
    /// The number of the last chained row and its hash: to be kept elsewhere and compared later.
    pub chained: (u64, Hash),
    /// How many rows lie after the end of the chain: the projector will chain them.
    pub unchained: u64,
    /// How many entries have no row yet: the projector will write it.
    pub unwritten: u64,
    /// How many days have a checkpoint.
    pub checkpoints: u64,
    /// Whether the rows were added up and compared with the account: if all of them exist and none was changed.
    pub added_up: bool,
    /// Everything that is wrong; empty for a sound account.
    pub findings: Vec<Finding>,
}

impl AuditReport {
    /// The report of an account whose item is missing, while its chain exists.
    fn gone(account: AccountId, tip: &Tip) -> Self {
        Self {
            account,
            entries: 0,
            chained: (tip.sequence(), tip.open.hash()),
            unchained: 0,
            unwritten: 0,
            checkpoints: 0,
            added_up: false,
            findings: vec![Finding::account(Problem::Account("is missing, and its chain exists"))],
        }
    }
}

/// A running audit.
struct RunningAudit<'a> {
    ledger: &'a Ledger,
    id: AccountId,
    /// How many entries the account had when the audit began. Later entries are left to the next audit.
    entries: u64,
    rows: RawRows<'a>,
    /// Rows that were read ahead of the chain. Ids and numbers differ only by concurrent requests, so there are few.
    ahead: BTreeMap<RowPlace, RawRow>,
    /// Whether all rows were read.
    ended: bool,
    chain: ChainCheck,
    sums: Sums,
    /// The first and the last month of its rows.
    months: (Period, Period),
    findings: Vec<Finding>,
}

impl Ledger {
    /// Audits the whole ledger of an account as it is at `now`: every row against the chain, the chain against its
    /// checkpoints, the numbers 1, 2, 3, …, and the sum of the rows against the account. `None` when there is no such
    /// account. After each page of the chain, `progress` is called with the number of rows so far.
    ///
    /// It changes nothing, and the account may be in use meanwhile.
    ///
    /// # Errors
    /// When the table does not answer. An unreadable item is a finding.
    pub async fn audit(
        &self,
        id: AccountId,
        now: DateTime<Utc>,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<AuditReport>, Fault> {
        // Read the account before its chain, and each end before the items that it ends: anything written meanwhile is
        // then known to be new.
        let Some(item) = self.table.get(&Key::Account(id), "read an account").await? else {
            let chained = self.read_watermark(id, true).await?.tip.filter(|tip| tip.sequence() > 0);
            return Ok(chained.map(|tip| AuditReport::gone(id, &tip)));
        };
        let account = decode::<AccountItem>("an account", item).and_then(|item| item.account(id)).ok();
        let checkpoints = self.all(checkpoint_partition(id)).await?;
        let watermark = self.read_watermark(id, true).await?;
        let mut audit = RunningAudit::new(self, id, account.as_ref(), now);
        let known = audit.checkpoints(&checkpoints);
        audit.chain = ChainCheck::whole(id, known);
        let mut after = None;
        loop {
            let query = ItemQuery::all(chain_partition(id)).continued(after);
            let page = self.table.query(query, "read a chain").await?;
            for item in &page.items {
                audit.full_span(item).await?;
            }
            progress(audit.chain.next().saturating_sub(1));
            after = page.last;
            if after.is_none() {
                break;
            }
        }
        audit.end(&watermark).await?;
        let count = u64::try_from(checkpoints.len()).unwrap_or(u64::MAX);
        audit.report(account.as_ref(), &watermark, count).await.map(Some)
    }

    /// All items of a partition.
    async fn all(&self, partition: String) -> Result<Vec<StoredItem>, Fault> {
        self.table.query_all(ItemQuery::all(partition), "read a chain").await
    }
}

impl<'a> RunningAudit<'a> {
    fn new(ledger: &'a Ledger, id: AccountId, account: Option<&Account>, now: DateTime<Utc>) -> Self {
        let mut findings = Vec::new();
        if account.is_none() {
            findings.push(Finding::account(Problem::Account("is unreadable")));
        }
        let latest = account.map_or(now, |account| account.floor().time().max(now));
        let months = (Period::of(id.org.time()), Period::of(latest));
        let shards = account.map_or(RowShards::MAX, |account| account.row_shards);
        Self {
            ledger,
            id,
            entries: account.map_or(0, |account| account.sequence),
            rows: RawRows::of(ledger, AccountRows { account: id, shards }, months.0, months.1),
            ahead: BTreeMap::new(),
            ended: false,
            chain: ChainCheck::whole(id, vec![]),
            sums: Sums::default(),
            months,
            findings,
        }
    }

    /// The readable checkpoints of an account.
    fn checkpoints(&mut self, items: &[StoredItem]) -> Vec<Checkpoint> {
        let known: Vec<_> = items.iter().filter_map(checkpoint).collect();
        if known.len() < items.len() {
            self.findings.push(Finding::account(Problem::CheckpointUnreadable));
        }
        known
    }

    /// Checks the rows of a full span of the chain, from its item.
    async fn full_span(&mut self, item: &StoredItem) -> Result<(), Fault> {
        match full_span(item).filter(|span| self.chain.next() <= span.first) {
            Some(span) => self.span(&span).await,
            None => {
                let finding =
                    Finding { sequence: first_of(item), transaction: None, problem: Problem::SpanMissing };
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

    /// Checks the open span of the chain, which is stored with the watermark. It may have become a full span since it was
    /// read, or before the watermark could be moved.
    async fn end(&mut self, watermark: &Watermark) -> Result<(), Fault> {
        let is_sound = match &watermark.tip {
            None => !watermark.is_broken && self.chain.next() == 1,
            Some(tip) if self.chain.next() <= tip.open.first => {
                self.span(&tip.open).await?;
                self.chain.is_at(tip.day) && tip.sequence() <= watermark.through
            }
            Some(tip) => {
                let key = Key::Span(self.id, tip.open.first);
                let full = self.ledger.table.get(&key, "read a span of a chain").await?;
                full.as_ref().and_then(full_span).is_some_and(|full| tip.open.begins(&full))
            }
        };
        if !is_sound {
            self.findings.push(Finding::account(Problem::TipAltered));
        }
        Ok(())
    }

    /// The row of an id, if it is in its place.
    async fn take(&mut self, id: EntryId) -> Result<Option<RawRow>, Fault> {
        let place = RowPlace::of(id);
        // An id that was changed by hand may lie in any month.
        let is_ahead = !self.rows.ends_before(place.month);
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
        let receipt = receipt(row.item).ok();
        let receipt = receipt.filter(|receipt| receipt.sequence == sequence && Some(receipt.entry.id) == id);
        match receipt {
            Some(receipt) if sequence <= self.entries => self.sums.add(receipt),
            Some(_) => (),
            None => self.findings.push(Finding::row(sequence, id, Problem::Unreadable)),
        }
    }

    /// Classifies the rows left after the end of the chain: rows that follow it, by their numbers, and rows that are
    /// missing from it.
    async fn rest(&mut self, chained: u64, gaps: &[(u64, u64)]) -> Result<BTreeMap<u64, RawRow>, Fault> {
        while !self.ended {
            self.read().await?;
        }
        let mut later = BTreeMap::new();
        for row in std::mem::take(&mut self.ahead).into_values() {
            match row.number() {
                // Whether it belongs there cannot be decided.
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
        watermark: &Watermark,
        checkpoints: u64,
    ) -> Result<AuditReport, Fault> {
        let chained = (self.chain.next().saturating_sub(1), self.chain.hash());
        let (found, gaps) = std::mem::replace(&mut self.chain, ChainCheck::from(1, chained.1)).finish();
        self.findings.extend(found);
        let later = self.rest(chained.0, &gaps).await?;
        let due = watermark.through.min(self.entries);
        let missing = (chained.0.saturating_add(1)..=due).filter(|number| !later.contains_key(number));
        let missing = missing.map(|number| Finding::row(number, None, Problem::Missing)).take(NAMED_MAX);
        self.findings.extend(missing);
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let unchained = count(later.keys().filter(|number| **number <= self.entries).count());
        let known = chained.0.max(due);
        let waiting = later.keys().filter(|number| known < **number && **number <= self.entries).count();
        let unwritten = self.entries.saturating_sub(known).saturating_sub(count(waiting));
        for (number, row) in later {
            self.add(number, row);
        }
        self.check_unwritten(account, watermark, unwritten).await?;
        let added_up = self.findings.is_empty() && unwritten == 0;
        if let Some(account) = account.filter(|_| added_up) {
            self.remainders().await?;
            self.findings.extend(std::mem::take(&mut self.sums).against(account));
        }
        Ok(AuditReport {
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

    /// Checks the remainders of debits and holds against their rows.
    async fn remainders(&mut self) -> Result<(), Fault> {
        let (mut month, last) = self.months;
        let mut remainders = Vec::new();
        while month <= last {
            let items = self.ledger.all(remainder_partition(self.id, month)).await?;
            for (item, pages) in remainder_item::grouped(items) {
                let of = sort_key(&item).and_then(EntryId::from_bare);
                let remainder = remainder_item::read(item, pages).ok();
                match remainder.filter(|remainder| Some(remainder.of) == of) {
                    Some(remainder) => remainders.push(remainder),
                    None => {
                        let finding = Finding { sequence: None, transaction: of, problem: Problem::Pot };
                        self.findings.push(finding);
                    }
                }
            }
            month = month.next();
        }
        self.sums.remainders(&remainders);
        Ok(())
    }

    /// Checks that entries without a row are new, and that neither the account nor the watermark was changed.
    async fn check_unwritten(
        &mut self,
        account: Option<&Account>,
        watermark: &Watermark,
        unwritten: u64,
    ) -> Result<(), Fault> {
        if let Some(last) = account.and_then(|account| account.last.as_ref()).filter(|_| unwritten > 0) {
            let row = self.ledger.table.get(&Key::Row(self.id, last.id), "look for a row").await?;
            if row.is_some_and(|row| number_of(&row, "seq") != Some(self.entries)) {
                self.findings
                    .push(Finding::account(Problem::Account("has a number of entries other than its rows")));
            }
        }
        if self.entries < watermark.through {
            let now = self.ledger.table.get(&Key::Account(self.id), "read an account").await?;
            if now.and_then(|item| number_of(&item, "seq")) < Some(watermark.through) {
                self.findings.push(Finding::account(Problem::TipAltered));
            }
        }
        Ok(())
    }
}

/// The findings by number, each once. That a changed row is also unreadable is omitted.
fn in_order(mut findings: Vec<Finding>) -> Vec<Finding> {
    let says_little = |finding: &Finding| finding.problem == Problem::Unreadable;
    findings.sort_by_key(|finding| (finding.sequence.is_none(), finding.sequence, says_little(finding)));
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        let same =
            |known: &Finding| known.sequence == finding.sequence && known.transaction == finding.transaction;
        let is_known = kept
            .iter()
            .rev()
            .take_while(|known| known.sequence == finding.sequence)
            .any(|known| *known == finding || same(known) && finding.problem == Problem::Unreadable);
        if !is_known {
            kept.push(finding);
        }
    }
    kept
}
