//! Files compared with what other libraries read in them: Python's csv and json, openpyxl and pypdf, if
//! `SCRIP_DOCUMENT_READERS` names a Python that has them. `cargo xtask test` installs it.

use std::process::Command;

use serde_json::Value;

use super::samples::receipts;
use super::{ROWS, file, is_text, text};
use crate::text::{grouped, signed};
use crate::transactions::cell::Cell;
use crate::transactions::column::{COLUMNS, Kind};
use crate::transactions::guard::unguarded;
use domain::FileFormat;

/// What the other libraries read in a file of each format.
fn read(python: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("transactions");
    for format in FileFormat::ALL {
        std::fs::write(path.with_extension(format.extension()), file(format, ROWS).0).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transactions/tests/readers.py");
    let output = Command::new(python).arg(script).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn other_libraries_read_the_same() {
    let Ok(python) = std::env::var("SCRIP_DOCUMENT_READERS") else { return };
    let read = read(&python);
    let sheet = read["xlsx"]["Transactions"].as_array().unwrap();
    let (records, lines) = (read["csv"].as_array().unwrap(), read["jsonl"].as_array().unwrap());
    let rows = usize::try_from(ROWS).unwrap();
    assert_eq!([records.len() - 1, sheet.len() - 1, lines.len()], [rows; 3]);
    let pages: Vec<_> =
        read["pdf"]["pages"].as_array().unwrap().iter().map(|page| page.as_str().unwrap()).collect();
    for (row, receipt) in receipts(ROWS).enumerate() {
        for (place, column) in COLUMNS.iter().enumerate() {
            let cell = column.of(&receipt);
            let context = format!("{} of {}", column.name, receipt.sequence);
            let field = records[row + 1][place].as_str().unwrap();
            assert_eq!(if is_text(&cell) { unguarded(field) } else { field }, text(&cell), "{context}");
            assert_eq!(lines[row][column.name], serde_json::to_value(&cell).unwrap(), "{context}");
            in_spreadsheet(&sheet[row + 1][place], &cell, &context);
        }
    }
    in_pdf(&pages);
    assert_eq!(read["pdf"]["title"], "Transactions, =Acme & Sons");
    assert_eq!(read["pdf"]["language"], "en-GB");
    for (place, column) in COLUMNS.iter().enumerate() {
        let is_time = column.kind == Kind::Time;
        assert_eq!(records[0][place], column.name);
        let title = if is_time { format!("{} (UTC)", column.name) } else { column.name.to_owned() };
        assert_eq!(sheet[0][place][1], title);
    }
}

/// Compares the facts and rows of a PDF. Its cells are read one after the other, without the spaces at which they wrap.
fn in_pdf(pages: &[&str]) {
    let pages: Vec<String> = pages.iter().map(|page| page.split_whitespace().collect()).collect();
    let totals = file(FileFormat::Pdf, ROWS).1;
    let (debited, credited) = (grouped(totals.debited), grouped(totals.credited));
    let net = signed(totals.net);
    let facts =
        format!("Transactions{ROWS}Debited{debited}Credited{credited}Changeofthebalance{net}Allamounts");
    assert!(pages[0].contains(&facts), "{facts} is not in {}", pages[0]);
    assert!(pages.last().unwrap().contains(&format!("Total{net}")));
    for receipt in receipts(ROWS) {
        let id = receipt.transaction_id().to_string();
        let row = pages.iter().find_map(|page| page.split_once(&id));
        let (_, row) = row.unwrap_or_else(|| panic!("{id} is not in the PDF"));
        let row = row.split("txn_").next().unwrap();
        let amount = receipt.entry.direction.signed(receipt.entry.amount);
        let note = match (receipt.captured(), receipt.net() == amount) {
            (Some(captured), _) => format!("captured{}", grouped(captured.get().into())),
            (None, true) => String::new(),
            (None, false) => format!("amount{}", signed(amount.into())),
        };
        let (change, balance) = (signed(receipt.net().into()), grouped(receipt.balance_after().get().into()));
        let expected = format!("{change}{note}{balance}");
        assert!(row.contains(&expected), "{expected} of {id} is not in {row}");
    }
}

/// Compares a cell of a spreadsheet, as type and value.
fn in_spreadsheet(found: &Value, cell: &Cell<'_>, context: &str) {
    let (kind, value) = (found[0].as_str().unwrap(), &found[1]);
    let expected = text(cell);
    match cell {
        _ if expected.is_empty() => assert_eq!(*value, Value::Null, "{context}"),
        Cell::Empty => panic!("{context}: {found}"),
        Cell::Integer(number) => assert_eq!((kind, value.as_i64()), ("n", Some(*number)), "{context}"),
        Cell::Rate(number) | Cell::Price(number) => {
            let read = value.to_string().parse::<rust_decimal::Decimal>().unwrap();
            assert_eq!((kind, read), ("n", *number), "{context}");
        }
        Cell::Time(at) => {
            let time = at.naive_utc().format("%Y-%m-%dT%H:%M:%S").to_string();
            assert_eq!((kind, value.as_str()), ("d", Some(&*time)), "{context}");
        }
        Cell::Text(_) | Cell::Pairs(_) => {
            let expected = expected.replace('\u{fffe}', "\u{fffd}");
            assert_eq!((kind, value.as_str()), ("s", Some(&*expected)), "{context}");
        }
    }
}
