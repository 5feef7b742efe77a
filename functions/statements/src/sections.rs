//! The sections of a statement's document.

use std::collections::BTreeSet;

use scrip_documents::{Section, Table, TableCell, TableColumn};

use super::figures::{less, money, number};
use super::statement::{BucketView, Buckets, MonthlyStatement, OpenedAndClosed, UsageOfMonth, UsageSumView};

/// A row of a table.
type Row = Vec<TableCell>;

/// The buckets: what each had, why it changed, and what is left.
pub(crate) fn balance(statement: &MonthlyStatement) -> Section {
    let names = ["Opening", "Added", "Refunded", "Used", "Expired", "Held", "Withdrawn", "Closing"];
    let mut columns = vec![TableColumn::text("", 62)];
    columns.extend(names.map(|name| TableColumn::number(name, 50)));
    let buckets = named(&statement.buckets);
    let mut totals = [0_i64; 8];
    for (_, bucket) in buckets {
        totals.iter_mut().zip(numbers(bucket)).for_each(|(sum, part)| *sum = sum.saturating_add(part));
    }
    let rows = buckets.map(|(name, bucket)| bucket_row(name, numbers(bucket)));
    Section {
        note: Some("All amounts are credits.".to_owned()),
        table: Some(Table { columns, rows: rows.to_vec(), totals: vec![bucket_row("Total", totals)] }),
        ..section("Balance")
    }
}

/// A section without a note, a table or text.
fn section(heading: &str) -> Section {
    Section { heading: heading.to_owned(), ..Section::default() }
}

fn named(buckets: &Buckets) -> [(&'static str, &BucketView); 3] {
    [("Subscription", &buckets.subscription), ("Purchased", &buckets.purchased), ("Bonus", &buckets.bonus)]
}

fn numbers(bucket: &BucketView) -> [i64; 8] {
    [
        bucket.opening,
        bucket.added,
        bucket.refunded,
        bucket.used,
        bucket.expired,
        bucket.held,
        bucket.withdrawn,
        bucket.closing,
    ]
}

/// What was used, expired, held or withdrawn is subtracted.
fn bucket_row(name: &str, numbers: [i64; 8]) -> Row {
    let text = |(place, amount): (usize, i64)| {
        let is_subtracted = (3..=6).contains(&place);
        TableCell::from(if is_subtracted { less(amount) } else { number(amount) })
    };
    let amounts = numbers.into_iter().enumerate().map(text);
    std::iter::once(TableCell::from(name)).chain(amounts).collect()
}

/// What is held, owed and disputed, if anything is.
pub(crate) fn beside(statement: &MonthlyStatement) -> Option<Section> {
    let lines = [
        ("Held by holds", statement.held),
        ("Outstanding (post-paid)", statement.outstanding),
        ("Set aside by disputes", statement.disputed),
    ];
    let lines = lines.into_iter().filter(|(_, line)| *line != OpenedAndClosed::default());
    let rows: Vec<Row> = lines
        .map(|(name, line)| vec![name.into(), number(line.opening).into(), number(line.closing).into()])
        .collect();
    if rows.is_empty() {
        return None;
    }
    let columns = vec![
        TableColumn::text("", 60),
        TableColumn::number("Opening", 20),
        TableColumn::number("Closing", 20),
    ];
    let note = "These credits are not part of the balance.".to_owned();
    let table = Some(Table { columns, rows, totals: vec![] });
    Some(Section { note: Some(note), table, ..section("Beside the balance") })
}

/// Usage by operation.
pub(crate) fn usage(usage: &UsageOfMonth) -> Section {
    let columns = vec![
        TableColumn::text("Operation", 46),
        TableColumn::number("Calls", 16),
        TableColumn::number("Credits", 18),
        TableColumn::number("Cost", 22),
    ];
    let row = |name: &str, sum: &UsageSumView| -> Row {
        vec![name.into(), number(sum.calls).into(), number(sum.credits).into(), money(&sum.cost).into()]
    };
    let mut rows: Vec<Row> = usage.operations.iter().map(|line| row(&line.operation, &line.sum)).collect();
    if (usage.others.calls, usage.others.credits) != (0, 0) {
        rows.push(row("Other operations", &usage.others));
    }
    let mut paragraphs = vec![
        "Held credits count when they are captured. Refunds count in the month in which they are made. Bought credits \
         cost what was paid for them, and bonus credits nothing."
            .to_owned(),
    ];
    if usage.includes_list_prices {
        paragraphs.push("Subscription credits are counted at the list price of the plan.".to_owned());
    }
    if usage.unpriced_credits != 0 {
        let credits = number(usage.unpriced_credits);
        paragraphs.push(format!("{credits} credits without a known price are counted as 0."));
    }
    let table = Table { columns, rows, totals: vec![row("Total", &usage.total)] };
    Section { table: Some(table), paragraphs, ..section("Usage by operation") }
}

/// What each operation added to each bucket and took from it.
pub(crate) fn changes(buckets: &Buckets) -> Section {
    let columns = vec![
        TableColumn::text("Bucket", 24),
        TableColumn::text("Operation", 44),
        TableColumn::number("In", 18),
        TableColumn::number("Out", 18),
    ];
    let mut rows: Vec<Row> = vec![];
    for (name, bucket) in named(buckets) {
        let operations: BTreeSet<_> = bucket.gained.keys().chain(bucket.lost.keys()).collect();
        for operation in operations {
            let gained = bucket.gained.get(operation).copied().unwrap_or_default();
            let lost = bucket.lost.get(operation).copied().unwrap_or_default();
            rows.push(vec![name.into(), operation.as_str().into(), number(gained).into(), less(lost).into()]);
        }
    }
    Section { table: Some(Table { columns, rows, totals: vec![] }), ..section("Changes by operation") }
}

/// How the statement is verified.
pub(crate) fn proof(statement: &MonthlyStatement) -> Section {
    let ledger = &statement.ledger;
    let range = match (ledger.first_sequence, ledger.last_sequence) {
        (Some(first), Some(last)) => {
            format!("This statement was made from the transactions {first} to {last} of the ledger.")
        }
        (Some(_) | None, _) => "The ledger has no transaction in this month.".to_owned(),
    };
    Section {
        paragraphs: vec![
            range,
            format!("Hash of the ledger before them: {}", ledger.opening_hash),
            format!("Hash of the ledger including them: {}", ledger.closing_hash),
            "Each transaction is hashed together with the hash before it, so these two hashes prove which \
             transactions the statement is made from. GET /api/v3/credits/audit returns them, and the program \
             functions/transactions/verify.py checks them."
                .to_owned(),
        ],
        ..section("Proof")
    }
}
