//! Projection: advances the watermark of an account and chains its rows.

use chrono::{DateTime, Utc};
use tracing::{error, warn};

use crate::chain::raw_rows::ChainRows;
use crate::chain::watermark::{Notified, Watermark};
use crate::table::error::Fault;
use crate::table::ledger::Ledger;
use domain::{AccountId, Growth, Tip};

/// How often other processes may move a watermark first: at most two projectors read the same records.
const ATTEMPTS_MAX: u32 = 8;

/// A step of a watermark.
#[derive(Clone, Debug)]
pub struct WatermarkStep {
    /// The watermark before it. All rows after it and through `through` exist.
    pub watermark: Watermark,
    /// The number through which every row exists.
    pub through: u64,
    /// How far events are emitted and usage is counted.
    pub notified: Notified,
}

/// Where a chain ends, and to which row it is extended.
#[derive(Clone, Copy)]
struct ChainEnd<'a> {
    watermark: &'a Watermark,
    through: u64,
    /// No earlier than the last row.
    now: DateTime<Utc>,
}

impl Ledger {
    /// Advances the watermark of an account, chains its rows, and returns the resulting watermark. `rows` are rows as
    /// stored; the others are read. `now` is no earlier than the last of them.
    ///
    /// The chain depends on the rows alone: calls that are repeated, late, concurrent or split differently write the
    /// same bytes.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn advance_watermark(
        &self,
        account: AccountId,
        step: WatermarkStep,
        rows: &ChainRows,
        now: DateTime<Utc>,
    ) -> Result<Watermark, Fault> {
        let WatermarkStep { mut watermark, through, notified } = step;
        for _ in 0..ATTEMPTS_MAX {
            let through = through.max(watermark.through);
            let notified = match watermark.notified.through < notified.through {
                true => &notified,
                false => &watermark.notified,
            };
            let end = ChainEnd { watermark: &watermark, through, now };
            let tip = self.extend_chain(account, end, rows).await?;
            let is_there = through == watermark.through && *notified == watermark.notified;
            if is_there && watermark.tip.as_ref() == Some(&tip) {
                return Ok(watermark);
            }
            let next = watermark.followed_by(through, notified.clone(), tip);
            match self.move_watermark(account, &watermark, &next).await? {
                None => return Ok(next),
                Some(moved) => watermark = moved,
            }
        }
        Err(Fault::Busy)
    }

    /// Extends the chain of an account by the rows that follow its end, through the number `through`, and writes the new
    /// items, and the blocks of records that became full. Rows that are not in `rows` are read: records of the stream were lost, or the table is older than
    /// its chain.
    async fn extend_chain(
        &self,
        account: AccountId,
        ChainEnd { watermark, through, now }: ChainEnd<'_>,
        rows: &ChainRows,
    ) -> Result<Tip, Fault> {
        if watermark.is_broken {
            error!(%account, "the end of the chain is unreadable; the chain is made again from its beginning");
        }
        let mut tip = watermark.tip.clone().unwrap_or_else(|| Tip::genesis(account));
        let mut growth = Growth::default();
        extend(&mut tip, rows, &mut growth);
        if tip.sequence() < through {
            let found = self.rows_after_tip(account, &tip, now).await?;
            extend(&mut tip, &found, &mut growth);
            extend(&mut tip, rows, &mut growth);
            if tip.sequence() < through {
                warn!(%account, chained = tip.sequence(), through, "the chain is behind");
            }
        }
        self.keep(account, &growth).await?;
        self.keep_blocks(account, &growth.blocks).await?;
        Ok(tip)
    }
}

/// Adds the rows that follow the end of a chain, up to the first gap.
fn extend(tip: &mut Tip, rows: &ChainRows, growth: &mut Growth) {
    while let Some(row) = rows.get(&tip.sequence().saturating_add(1)) {
        tip.add(row, growth);
    }
}
