use std::path::Path;

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use domain::{AccountId, Finding};
use store::{Ledger, Report};

use crate::directory::Directory;
use crate::engine::Engine;
use crate::tables::LEDGER_TABLE;

/// After how many rows of one account a word is said: some seconds' worth.
const ROWS_A_WORD: u64 = 10_000;

/// The ledger in a data folder of the local machine, which must not be running.
///
/// # Errors
/// When the folder has no data, or somebody uses it.
pub fn ledger_in(folder: &Path) -> anyhow::Result<Ledger> {
    ensure!(
        folder.join("dynamo.db").is_file(),
        "{} has no data; choose the --data folder that scrip was started with",
        folder.display()
    );
    let engine = Engine::open(folder)?;
    Ok(Ledger::new(&engine.dynamodb_config().build(), LEDGER_TABLE))
}

/// Audits one account, or all that the directory has, and tells how it goes.
///
/// # Errors
/// When the database does not serve, there is no such account, or something is wrong with one.
pub async fn audit(
    ledger: &Ledger,
    account: Option<AccountId>,
    now: DateTime<Utc>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<()> {
    let mut count = Count::default();
    if let Some(account) = account {
        let report = one(ledger, account, now, tell).await?;
        count.add(&report.with_context(|| format!("there is no account {account}"))?);
        return count.tell(tell);
    }
    let mut directory = Directory::of(ledger);
    while let Some(accounts) = directory.next().await? {
        for account in accounts {
            // One that is listed and not open is just being opened.
            if let Some(report) = one(ledger, account, now, tell).await? {
                count.add(&report);
            }
        }
    }
    count.tell(tell)
}

async fn one(
    ledger: &Ledger,
    account: AccountId,
    now: DateTime<Utc>,
    tell: &mut (dyn FnMut(&str) + Send),
) -> anyhow::Result<Option<Report>> {
    let mut said = 0_u64;
    let mut progress = |rows: u64| {
        if said.saturating_add(ROWS_A_WORD) <= rows {
            said = rows;
            tell(&format!("{account}: {rows} rows so far"));
        }
    };
    let report = ledger.audit(account, now, &mut progress).await?;
    if let Some(report) = &report {
        tell(&summary(report));
        report.findings.iter().for_each(|finding| tell(&line(finding)));
    }
    Ok(report)
}

/// One line of an account.
fn summary(report: &Report) -> String {
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
        (0, false) => ": sound; its sums were not compared, for rows are on their way: audit it again",
        (_, _) => ": NOT SOUND",
    }
}

fn line(finding: &Finding) -> String {
    let row = match (finding.sequence, finding.transaction) {
        (Some(number), Some(id)) => format!("row {number} ({id}): "),
        (Some(number), None) => format!("row {number}: "),
        (None, Some(id)) => format!("{id}: "),
        (None, None) => String::new(),
    };
    format!("    {row}{}", finding.problem)
}

#[derive(Default)]
struct Count {
    accounts: u64,
    unsound: u64,
    problems: usize,
}

impl Count {
    fn add(&mut self, report: &Report) {
        self.accounts = self.accounts.saturating_add(1);
        self.unsound = self.unsound.saturating_add(u64::from(!report.findings.is_empty()));
        self.problems = self.problems.saturating_add(report.findings.len());
    }

    fn tell(&self, tell: &mut (dyn FnMut(&str) + Send)) -> anyhow::Result<()> {
        let Self { accounts, unsound, problems } = self;
        ensure!(*problems == 0, "problems: {problems}, in {unsound} of {accounts} accounts");
        tell(&format!("accounts: {accounts}, all sound"));
        Ok(())
    }
}
