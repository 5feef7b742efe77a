//! Tests of files: what is written is read back by other libraries.
#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

mod foreign;
mod samples;

use std::io::{self, Cursor, Write};

use calamine::{Data, Reader, Xlsx};
use domain::Receipt;
use serde_json::Value;

use super::cell::{Cell, compact_json, timestamp};
use super::column::COLUMNS;
use super::export::FileFormat;
use super::file::TransactionFile;
use super::guard::unguarded;
use super::pdf::PDF_ROWS_MAX;
use super::totals::Totals;
use super::xlsx::{SheetLimits, XlsxRows};
use crate::error::DocumentError;
use samples::{TEXTS, at, export, receipt, receipts};

/// Enough that every text stands in every column of text.
const ROWS: u64 = 300;

fn file(format: FileFormat, rows: u64) -> (Vec<u8>, Totals) {
    let folder = tempfile::tempdir().unwrap();
    let mut file = TransactionFile::new(format, export(), folder.path(), Vec::new()).unwrap();
    receipts(rows).for_each(|receipt| file.add(&receipt).unwrap());
    let finished = file.finish().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a temporary file is left");
    (finished.out, finished.totals)
}

fn column(name: &str) -> usize {
    COLUMNS.iter().position(|column| column.name == name).unwrap()
}

/// What a cell says in a format that has only text.
fn text(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Rate(number) | Cell::Price(number) => number.to_string(),
        Cell::Time(at) => timestamp(*at),
        Cell::Text(text) => text.to_string(),
        Cell::Pairs(pairs) => compact_json(pairs).unwrap(),
    }
}

fn is_text(cell: &Cell<'_>) -> bool {
    matches!(cell, Cell::Text(_) | Cell::Pairs(_))
}

fn csv_records(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn csv_is_read_back() {
    let (bytes, _) = file(FileFormat::Csv, ROWS);
    let records = csv_records(&bytes);
    assert_eq!(records[0], COLUMNS.map(|column| column.name));
    assert_eq!(records.len() as u64, ROWS + 1);
    for (record, receipt) in records[1..].iter().zip(receipts(ROWS)) {
        for (field, column) in record.iter().zip(&COLUMNS) {
            let cell = column.of(&receipt);
            let read = if is_text(&cell) { unguarded(field) } else { field };
            assert_eq!(read, text(&cell), "{} of {}", column.name, receipt.sequence);
            let first = field.chars().next().unwrap_or(' ');
            assert!(!is_text(&cell) || !"=+-@\t\r\n＝＋－＠".contains(first), "{field:?} is a formula");
        }
    }
    // The net of a debit is negative, and a number.
    assert_eq!(records[1][column("net")], "-2");
}

#[test]
fn csv_follows_rfc_4180() {
    let (bytes, _) = file(FileFormat::Csv, 20);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.starts_with("sequence,transactionId,timestamp,") && text.ends_with("\r\n"));
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
    assert!(text.contains(r#","'=HYPERLINK(""https://example.com"",""x"")","#), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let marked = super::export::Export { byte_order_mark: true, ..export() };
    let file = TransactionFile::new(FileFormat::Csv, marked, folder.path(), Vec::new()).unwrap();
    assert!(file.finish().unwrap().out.starts_with(b"\xef\xbb\xbfsequence,"));
}

#[test]
fn json_lines_are_read_back() {
    let (bytes, _) = file(FileFormat::JsonLines, ROWS);
    let lines = String::from_utf8(bytes).unwrap();
    assert_eq!(lines.lines().count() as u64, ROWS);
    for (line, receipt) in lines.lines().zip(receipts(ROWS)) {
        let row: Value = serde_json::from_str(line).unwrap();
        assert_eq!(row.as_object().unwrap().len(), COLUMNS.len());
        let mut from = 0;
        for column in &COLUMNS {
            let key = format!("\"{}\":", column.name);
            from += line[from..].find(&key).unwrap_or_else(|| panic!("{key} is not in its place"));
            let value = &row[column.name];
            match column.of(&receipt) {
                Cell::Empty => assert_eq!(*value, Value::Null),
                Cell::Integer(number) => assert_eq!(value.as_i64(), Some(number)),
                Cell::Rate(rate) => assert_eq!(value.to_string(), rate.to_string()),
                Cell::Pairs(pairs) => assert_eq!(*value, serde_json::to_value(pairs).unwrap()),
                cell @ (Cell::Price(_) | Cell::Time(_) | Cell::Text(_)) => assert_eq!(*value, text(&cell)),
            }
        }
    }
}

fn workbook(bytes: Vec<u8>) -> Xlsx<Cursor<Vec<u8>>> {
    Xlsx::new(Cursor::new(bytes)).unwrap()
}

/// Compares rows of a sheet, below its header, with receipts.
fn compare(sheet: &calamine::Range<Data>, receipts: &[Receipt]) {
    assert_eq!(sheet.height(), receipts.len() + 1);
    for (place, column) in COLUMNS.iter().enumerate() {
        let title = sheet.get((0, place)).unwrap().to_string();
        assert_eq!(title.trim_end_matches(" (UTC)"), column.name);
    }
    for (row, receipt) in sheet.rows().skip(1).zip(receipts) {
        for (found, column) in row.iter().zip(&COLUMNS) {
            let cell = column.of(receipt);
            let context = format!("{} of {}: {found:?}", column.name, receipt.sequence);
            match (&cell, found) {
                (Cell::Empty, Data::Empty) => {}
                (Cell::Integer(number), Data::Float(found)) => {
                    assert_eq!(found.to_string(), number.to_string(), "{context}");
                }
                (Cell::Rate(number) | Cell::Price(number), Data::Float(found)) => {
                    assert_eq!(
                        found.to_string().parse::<rust_decimal::Decimal>().unwrap(),
                        *number,
                        "{context}"
                    );
                }
                (Cell::Time(at), Data::DateTime(found)) => {
                    assert_eq!(found.as_datetime().unwrap(), at.naive_utc(), "{context}");
                }
                (Cell::Pairs(pairs), Data::Empty) => assert!(pairs.is_empty(), "{context}"),
                (Cell::Text(_) | Cell::Pairs(_), Data::String(found)) => {
                    assert_eq!(*found, text(&cell).replace('\u{fffe}', "\u{fffd}"), "{context}");
                }
                _ => panic!("{context}, not {cell:?}"),
            }
        }
    }
}

#[test]
fn a_spreadsheet_is_read_back() {
    let (bytes, totals) = file(FileFormat::Xlsx, ROWS);
    let mut book = workbook(bytes);
    assert_eq!(book.sheet_names(), ["Transactions", "About"]);
    let rows: Vec<_> = receipts(ROWS).collect();
    compare(&book.worksheet_range("Transactions").unwrap(), &rows);
    let about = book.worksheet_range("About").unwrap();
    let value = |label: &str| {
        let row = about.rows().find(|row| row[0] == Data::String(label.to_owned()));
        row.unwrap_or_else(|| panic!("{label}"))[1].clone()
    };
    assert_eq!(value("Organisation"), Data::String("=Acme & Sons".into()));
    assert_eq!(value("Customer"), Data::String("+cust_1".into()));
    let made = value("Made at (UTC)");
    let Data::DateTime(made) = made else { panic!("{made:?}") };
    assert_eq!(made.as_datetime().unwrap(), export().made_at.naive_utc());
    assert_eq!(value("Transactions").to_string(), ROWS.to_string());
    for (label, sum) in totals.sums() {
        assert_eq!(value(label).to_string(), sum.to_string(), "{label}");
    }
    let paid: Vec<_> = totals.paid.iter().map(|(currency, sum)| (*currency, sum.to_string())).collect();
    for (currency, sum) in paid {
        let found = value(&format!("Sum of price, {currency}")).to_string();
        assert_eq!(found.parse::<f64>().unwrap(), sum.parse::<f64>().unwrap());
    }
}

/// Rows that have no room on a sheet continue on the next one: by their number, or by the size of their texts.
#[test]
fn a_spreadsheet_continues_on_further_sheets() {
    let rows: Vec<_> = receipts(7).collect();
    for (limits, sizes) in [
        (SheetLimits { rows: 3, bytes: usize::MAX }, &[3, 3, 1][..]),
        (SheetLimits { rows: 7, bytes: usize::MAX }, &[7]),
        (SheetLimits { rows: 100, bytes: 1 }, &[1, 1, 1, 1, 1, 1, 1]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut file = XlsxRows::limited(export(), folder.path(), Vec::new(), limits).unwrap();
        rows.iter().for_each(|receipt| file.add(receipt).unwrap());
        let mut book = workbook(file.finish(&Totals::default()).unwrap());
        let mut rest = &rows[..];
        for (place, size) in sizes.iter().enumerate() {
            let name =
                if place == 0 { "Transactions".to_owned() } else { format!("Transactions {}", place + 1) };
            compare(&book.worksheet_range(&name).unwrap(), &rest[..*size]);
            rest = &rest[*size..];
        }
        assert_eq!(book.sheet_names().len(), sizes.len() + 1);
        assert_eq!(book.sheet_names().last().unwrap(), "About");
    }
}

/// Totals are the sums of the columns.
#[test]
fn totals_are_the_sums_of_the_columns() {
    let (bytes, totals) = file(FileFormat::Csv, ROWS);
    let records = csv_records(&bytes);
    let sum = |name: &str, kind: &str| -> i128 {
        let rows = records[1..].iter().filter(|row| kind.is_empty() || row[column("type")] == kind);
        rows.map(|row| row[column(name)].parse::<i128>().unwrap_or_default()).sum()
    };
    assert_eq!(u64::try_from(records.len() - 1).unwrap(), totals.transactions);
    assert_eq!((sum("amount", "DEBIT"), sum("amount", "CREDIT")), (totals.debited, totals.credited));
    assert_eq!((sum("net", ""), sum("captured", "")), (totals.net, totals.captured));
    let parts = ["netSubscription", "netPurchased", "netBonus"].map(|name| sum(name, ""));
    assert_eq!(parts, [totals.net_subscription, totals.net_purchased, totals.net_bonus]);
    assert_eq!(parts.iter().sum::<i128>(), totals.net);
    for (currency, paid) in &totals.paid {
        let rows = records[1..].iter().filter(|row| row[column("currency")] == *currency);
        let sum = rows.map(|row| row[column("price")].parse::<rust_decimal::Decimal>().unwrap());
        assert_eq!(sum.sum::<rust_decimal::Decimal>(), *paid);
    }
    assert_eq!(totals.paid.keys().copied().collect::<Vec<_>>(), ["GBP", "JPY", "KWD"]);
}

#[test]
fn prices_have_the_decimals_of_their_currency() {
    let (bytes, _) = file(FileFormat::Csv, 18);
    let records = csv_records(&bytes);
    let prices =
        [6, 12, 18].map(|row: usize| (&*records[row][column("price")], &*records[row][column("currency")]));
    assert_eq!(prices, [("60", "JPY"), ("0.120", "KWD"), ("1.80", "GBP")]);
}

#[test]
fn the_same_transactions_become_the_same_bytes() {
    for format in FileFormat::ALL {
        for rows in [0, 1, 50] {
            assert_eq!(file(format, rows).0, file(format, rows).0, "{format:?}, {rows} rows");
        }
    }
}

/// A file without rows is a file.
#[test]
fn a_file_can_be_empty() {
    assert_eq!(csv_records(&file(FileFormat::Csv, 0).0).len(), 1);
    assert_eq!(file(FileFormat::JsonLines, 0).0, b"");
    let mut book = workbook(file(FileFormat::Xlsx, 0).0);
    compare(&book.worksheet_range("Transactions").unwrap(), &[]);
    assert!(file(FileFormat::Pdf, 0).0.starts_with(b"%PDF-"));
}

#[test]
fn a_pdf_has_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = TransactionFile::new(FileFormat::Pdf, export(), folder.path(), Vec::new()).unwrap();
    let row = receipt(1);
    (0..PDF_ROWS_MAX).for_each(|_| file.add(&row).unwrap());
    let refused = file.add(&row);
    assert!(matches!(refused, Err(DocumentError::TooManyRows { max: PDF_ROWS_MAX })), "{refused:?}");
}

/// A destination that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_destination_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for format in FileFormat::ALL {
        for room in [0, 100, 3_000] {
            let written =
                TransactionFile::new(format, export(), folder.path(), Full(room)).and_then(|mut file| {
                    receipts(100).try_for_each(|receipt| file.add(&receipt))?;
                    file.finish()
                });
            assert!(written.is_err(), "{format:?}");
        }
    }
}

#[test]
fn a_folder_that_does_not_exist_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert!(TransactionFile::new(FileFormat::Xlsx, export(), &missing, Vec::new()).is_err());
}

/// Every text of the table is in every format.
#[test]
fn samples_have_every_text() {
    let texts: Vec<_> = receipts(ROWS).filter_map(|row| row.details.resource_id).collect();
    assert!(TEXTS.iter().all(|text| texts.iter().any(|other| other.as_str() == *text)));
    assert_eq!(at("2024-01-15T10:30:00Z").timestamp(), 1_705_314_600);
}
