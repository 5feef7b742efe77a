//! Transactions with their proofs, and holds.

use std::collections::BTreeMap;

use domain::{Direction, EntryId, Hash, Mode, Remainder};
use scrip_exports::Line;
use scrip_http::{AuditProblem, AuditRow, HoldView, ProofView, ReceiptView};
use store::{ChainPosition, ChainRange, ExcerptPage, ExcerptRow, Fault, Moment, RowProof, Unsettled};

use super::{SectionPage, SectionReader, line, place};

/// How many transactions a page has: about ten reads, and one for each shard of the rows of a busy account.
const ROWS: u64 = 200;

/// What the lines of a page of transactions are made of.
struct PageContext {
    mode: Mode,
    moment: Moment,
    remainders: BTreeMap<EntryId, Remainder>,
}

impl SectionReader<'_> {
    /// A page of the hash chain, the oldest transaction first, through the last one in the file: each transaction with the
    /// proof that it is a row of the chain; after a transaction that makes a hold, the hold. A row that cannot be read is in
    /// the file as it is stored, and what has changed since the rows were chained is a problem.
    pub(super) async fn transactions(
        &self,
        mode: Mode,
        cursor: Option<String>,
    ) -> Result<SectionPage, Unsettled> {
        let (account, moment, end) = (self.account(mode), self.moment(mode).await?, self.ends()?.of(mode));
        let from = number(cursor)?;
        if end < from {
            return Ok(SectionPage::default());
        }
        let position = |number| Some(ChainPosition::Number(number));
        let range = ChainRange { from: position(from), to: position(end) };
        let page = ExcerptPage { cursor: None, limit: ROWS };
        let excerpt = self.app.ledger.excerpt(account, range, page, moment.now).await?;
        let receipts = excerpt.rows.iter().filter_map(|row| row.receipt.as_ref());
        let debits = receipts.filter(|receipt| receipt.entry.direction == Direction::Debit);
        let debits: Vec<_> = debits.map(|receipt| receipt.entry.id).collect();
        let remainders = self.app.ledger.remainders(account, &debits).await?;
        let context = PageContext { mode, moment, remainders };
        let (mut lines, mut before) = (Vec::new(), excerpt.before);
        for row in &excerpt.rows {
            context.add(row, before, &mut lines)?;
            before = Some(row.link.hash);
        }
        for found in &excerpt.findings {
            lines.push(line("problem", Some(mode), &AuditProblem::of(found))?);
        }
        let next = excerpt.to.saturating_add(1);
        let next = (from <= excerpt.to && next <= end).then(|| next.to_string());
        Ok(SectionPage { lines, next })
    }
}

impl PageContext {
    fn add(&self, row: &ExcerptRow, before: Option<Hash>, lines: &mut Vec<Line>) -> Result<(), Fault> {
        let mode = Some(self.mode);
        let (Some(receipt), Some(text), Some(before)) = (&row.receipt, &row.text, before) else {
            lines.push(line("unreadableRow", mode, &AuditRow::from(row))?);
            return Ok(());
        };
        let (sequence, hash, text) = (row.sequence, row.link.hash, text.clone());
        let proof = ProofView::from(RowProof { sequence, before, hash, text });
        let remainder = self.remainders.get(&receipt.entry.id);
        lines.push(line("transaction", mode, &ReceiptView::new(receipt, remainder, Some(proof)))?);
        if receipt.is_hold() {
            let remainder = remainder.cloned().unwrap_or_else(|| Remainder::of(receipt));
            lines.push(line("hold", mode, &HoldView::new(receipt, &remainder, self.moment.now))?);
        }
        Ok(())
    }
}

/// The number of the first transaction of a page.
fn number(cursor: Option<String>) -> Result<u64, Fault> {
    let Some(text) = place::<String>(cursor)? else { return Ok(1) };
    text.parse().map_err(|_| Fault::corrupt("an export", "a place in it"))
}
