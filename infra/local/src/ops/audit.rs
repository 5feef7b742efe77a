//! `scrip audit`: verifies ledgers and prints what is wrong.

use std::path::Path;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use domain::{AccountId, Finding};
use store::{AuditReport, Ledger};

use crate::directory::Directory;
use crate::engine::Engine;
use crate::tables::LEDGER_TABLE;

/// After how many rows of one account a line of progress is printed: every few seconds.
const ROWS_A_LINE: u64 = 10_000;

/// Opens the ledger in a data folder of a local machine that is not running.
///
/// # Errors
/// When the folder has no data, or another process uses it.
pub fn ledger_in(folder: &Path) -> anyhow::Result<Ledger> {
    Ok(ledger_of(&engine_in(folder)?))
}

/// The ledger in an engine.
pub(super) fn ledger_of(engine: &Engine) -> Ledger {
    Ledger::new(&engine.dynamodb_config().build(), LEDGER_TABLE)
}

/// Opens the database in a data folder of a local machine that is not running.
pub(super) fn engine_in(folder: &Path) -> anyhow::Result<Engine> {
    ensure!(
        folder.join("dynamo.db").is_file(),
        "{} has no data; choose the --data folder that scrip was started with",
        folder.display()
    );
    Ok(Engine::open(folder)?)
}

/// Audits one account, or all accounts of the directory, and prints a line for each.
///
/// # Errors
/// When the database fails, the account does not exist, or the audit of an account has findings.
pub async fn audit(
    ledger: &Ledger,
    account: Option<AccountId>,
    now: DateTime<Utc>,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let mut totals = AuditTotals::default();
    if let Some(account) = account {
        let report = audit_account(ledger, account, now, print).await?;
        totals.add(&report.with_context(|| format!("there is no account {account}"))?);
        return totals.finish(print);
    }
    let mut directory = Directory::of(ledger);
    while let Some(accounts) = directory.next().await? {
        for account in accounts {
            // An account that is listed and does not exist yet is being opened.
            if let Some(report) = audit_account(ledger, account, now, print).await? {
                totals.add(&report);
            }
        }
    }
    totals.finish(print)
}

/// Audits one account; `None` if it does not exist.
async fn audit_account(
    ledger: &Ledger,
    account: AccountId,
    now: DateTime<Utc>,
    print: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<Option<AuditReport>> {
    let mut printed = 0_u64;
    let mut progress = |rows: u64| {
        if printed.saturating_add(ROWS_A_LINE) <= rows {
            printed = rows;
            print(&format!("{account}: {rows} rows so far"));
        }
    };
    let report = ledger.audit(account, now, &mut progress).await?;
    if let Some(report) = &report {
        print(&summary(report));
        report.findings.iter().for_each(|finding| print(&line(finding)));
    }
    Ok(report)
}

/// The line of an account.
fn summary(report: &AuditReport) -> String {
    let (chained, hash) = report.chained;
    let mut text = format!(
        "{}: entries {}, chained through {chained} ({hash}), checkpoints {}",
        report.account, report.entries, report.checkpoints
    );
    if report.unchained > 0 {
        text += &format!(", {} not chained yet", report.unchained);
    }
    if report.unwritten > 0 {
        text += &format!(", {} rows not written yet", report.unwritten);
    }
    text + match (report.findings.len(), report.added_up) {
        (0, true) => ": sound, and adds up",
        (0, false) => {
            ": sound; its sums were not compared, because the projector is writing rows: audit it again"
        }
        (_, _) => ": NOT SOUND",
    }
}

/// The line of a finding.
fn line(finding: &Finding) -> String {
    let row = match (finding.sequence, finding.transaction) {
        (Some(number), Some(id)) => format!("row {number} ({id}): "),
        (Some(number), None) => format!("row {number}: "),
        (None, Some(id)) => format!("{id}: "),
        (None, None) => String::new(),
    };
    format!("    {row}{}", finding.problem)
}

/// What an audit found in all.
#[derive(Default)]
struct AuditTotals {
    accounts: u64,
    unsound: u64,
    problems: usize,
}

impl AuditTotals {
    fn add(&mut self, report: &AuditReport) {
        self.accounts = self.accounts.saturating_add(1);
        self.unsound = self.unsound.saturating_add(u64::from(!report.findings.is_empty()));
        self.problems = self.problems.saturating_add(report.findings.len());
    }

    /// # Errors
    /// When there were findings.
    fn finish(&self, print: &mut (dyn FnMut(&str) + Send)) -> anyhow::Result<()> {
        let Self { accounts, unsound, problems } = self;
        ensure!(*problems == 0, "problems: {problems}, in {unsound} of {accounts} accounts");
        print(&format!("accounts: {accounts}, all sound"));
        Ok(())
    }
}
