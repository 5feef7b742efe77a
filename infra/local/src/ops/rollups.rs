//! `scrip rollups`: compares rollups with the rows that they count, and writes the right ones.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use domain::AccountId;
use store::{Activity, Ledger, RollupRebuild, RollupReport};

use super::audit::{engine_in, ledger_of};
use crate::directory::Directory;
use crate::tables::ACTIVITY_TABLE;

/// After how many transactions of one account a line of progress is printed: every few seconds.
const ROWS_A_LINE: u64 = 10_000;

/// The tables that have rows and rollups.
pub struct RollupTables {
    /// The rows.
    pub ledger: Ledger,
    /// The rollups.
    pub activity: Activity,
}

/// Which rollups are compared.
#[derive(Clone, Copy, Debug)]
pub struct RollupOrder {
    /// Those of one account; by default those of all accounts in the directory.
    pub account: Option<AccountId>,
    /// Whether the right ones are written.
    pub is_written: bool,
    /// The present time.
    pub now: DateTime<Utc>,
    /// How long a projector may work on one batch; zero if none is running.
    pub projection: Duration,
}

/// How long a deployment may project before it is stopped: the longer one of the timeouts of `projector` and `reconcile`.
pub const PROJECTION: Duration = Duration::from_secs(100);

/// Opens the tables in a data folder of a local machine that is not running.
///
/// # Errors
/// When the folder has no data, or another process uses it.
pub fn rollup_tables_in(folder: &Path) -> anyhow::Result<RollupTables> {
    let engine = engine_in(folder)?;
    let activity = Activity::new(&engine.dynamodb_config().build(), ACTIVITY_TABLE);
    Ok(RollupTables { ledger: ledger_of(&engine), activity })
}

/// Compares the rollups of one account, or of all accounts of the directory, with their rows, and prints a line for each
/// account and each difference. The projector may run meanwhile.
///
/// # Errors
/// When the database fails, the account does not exist, or a rollup is wrong and is not written.
pub async fn rebuild_rollups(
    tables: &RollupTables,
    order: RollupOrder,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let mut totals = RollupTotals::default();
    if let Some(account) = order.account {
        let report = rebuild_account(tables, order, account, print).await?;
        totals.add(&report.with_context(|| format!("there is no account {account}"))?);
        return totals.finish(order, print);
    }
    let mut directory = Directory::of(&tables.ledger);
    while let Some(accounts) = directory.next().await? {
        for account in accounts {
            match rebuild_account(tables, order, account, print).await {
                // An account that is listed and does not exist yet is being opened.
                Ok(report) => report.iter().for_each(|report| totals.add(report)),
                Err(error) => {
                    totals.failed = totals.failed.saturating_add(1);
                    print(&format!("{account}: {error:#}"));
                }
            }
        }
    }
    totals.finish(order, print)
}

async fn rebuild_account(
    tables: &RollupTables,
    order: RollupOrder,
    account: AccountId,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<Option<RollupReport>> {
    let mut printed = 0_u64;
    let mut progress = |rows: u64| {
        if printed.saturating_add(ROWS_A_LINE) <= rows {
            printed = rows;
            print(&format!("{account}: {rows} transactions so far"));
        }
    };
    let RollupOrder { is_written, now, projection, .. } = order;
    let of = RollupRebuild { account, is_written, now, projection };
    let report = tables.ledger.rebuild_rollups(&tables.activity, of, &mut progress).await?;
    if let Some(report) = &report {
        print(&summary(account, order, report));
        report.differences.iter().for_each(|difference| print(&format!("    {difference}")));
    }
    Ok(report)
}

/// The line of an account.
fn summary(account: AccountId, order: RollupOrder, report: &RollupReport) -> String {
    let RollupReport { through, compared, differences, unsettled } = report;
    let outcome = match (differences.is_empty(), order.is_written) {
        (true, _) => "all right".to_owned(),
        (false, true) => format!("{} were wrong and are right now", differences.len()),
        (false, false) => format!("{} are WRONG", differences.len()),
    };
    let unsettled = match unsettled {
        0 => String::new(),
        count => format!("; {count} kept changing: run it again"),
    };
    format!("{account}: transactions {through}, rollups compared {compared}: {outcome}{unsettled}")
}

/// What was found in all.
#[derive(Default)]
struct RollupTotals {
    accounts: u64,
    wrong: usize,
    unsettled: usize,
    failed: u64,
}

impl RollupTotals {
    fn add(&mut self, report: &RollupReport) {
        self.accounts = self.accounts.saturating_add(1);
        self.wrong = self.wrong.saturating_add(report.differences.len());
        self.unsettled = self.unsettled.saturating_add(report.unsettled);
    }

    /// # Errors
    /// When something is wrong and stays so, or could not be compared.
    fn finish(&self, order: RollupOrder, print: &mut (dyn FnMut(&str) + Send)) -> anyhow::Result<()> {
        let Self { accounts, wrong, unsettled, failed } = self;
        ensure!(*failed == 0, "{failed} accounts could not be read; audit them");
        ensure!(*unsettled == 0, "{unsettled} rollups kept changing; run it again");
        ensure!(
            *wrong == 0 || order.is_written,
            "rollups that are wrong: {wrong}; --write writes the right ones"
        );
        print(&format!("accounts: {accounts}, rollups that were wrong: {wrong}"));
        Ok(())
    }
}
