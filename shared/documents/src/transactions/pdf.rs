//! Transactions as PDF, for people who read or print them.

use std::io::Write;

use domain::{FileFormat, Receipt};

use super::export::Export;
use super::totals::Totals;
use crate::document::{Document, Fact, Footer, Section, Table, TableCell, TableColumn};
use crate::error::DocumentError;
use crate::pdf::render_pdf;
use crate::text::{grouped, signed};

/// The most transactions that a PDF may have: about a thousand pages.
pub const PDF_ROWS_MAX: usize = FileFormat::PDF_ROWS_MAX as usize;

/// A PDF to which rows are added. It keeps them, up to a limit.
pub(super) struct PdfRows<W> {
    export: Export,
    rows: Vec<Vec<TableCell>>,
    out: W,
}

impl<W: Write> PdfRows<W> {
    pub(super) fn new(export: Export, out: W) -> Self {
        Self { export, rows: vec![], out }
    }

    pub(super) fn add(&mut self, receipt: &Receipt) -> Result<(), DocumentError> {
        if self.rows.len() >= PDF_ROWS_MAX {
            return Err(DocumentError::TooManyRows { max: PDF_ROWS_MAX });
        }
        self.rows.push(row(receipt));
        Ok(())
    }

    pub(super) fn finish(mut self, totals: &Totals) -> Result<W, DocumentError> {
        let document = document(&self.export, self.rows, totals);
        self.out.write_all(&render_pdf(&document)?)?;
        Ok(self.out)
    }
}

fn document(export: &Export, rows: Vec<Vec<TableCell>>, totals: &Totals) -> Document {
    let day = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(minute);
    let range = match (day(export.from), day(export.until)) {
        (Some(from), Some(until)) => format!("{from} to {until} UTC"),
        (Some(from), None) => format!("From {from} UTC"),
        (None, Some(until)) => format!("Until {until} UTC"),
        (None, None) => "All transactions".to_owned(),
    };
    let mut facts =
        vec![Fact::new("Range", range), Fact::new("Made", format!("{} UTC", minute(export.made_at)))];
    facts.extend(export.filters.iter().cloned());
    facts.push(Fact::new("Transactions", grouped(totals.transactions.into())));
    facts.push(Fact::new("Debited", grouped(totals.debited)));
    facts.push(Fact::new("Credited", grouped(totals.credited)));
    facts.push(Fact::new("Change of the balance", signed(totals.net)));
    let table = Table {
        columns: vec![
            TableColumn::number("No.", 34),
            TableColumn::text("Time (UTC)", 52),
            TableColumn::text("Operation", 150),
            TableColumn::text("Reference", 110),
            TableColumn::number("Change", 50),
            TableColumn::number("Balance", 56),
        ],
        rows,
        totals: vec![vec![
            TableCell::default(),
            TableCell::default(),
            "Total".into(),
            TableCell::default(),
            signed(totals.net).into(),
            TableCell::default(),
        ]],
    };
    Document {
        title: "Transactions".to_owned(),
        subtitle: export.organisation.clone(),
        dated: export.made_at,
        facts,
        sections: vec![Section {
            heading: String::new(),
            note: Some("All amounts are credits.".to_owned()),
            table: Some(table),
            paragraphs: vec![],
        }],
        footer: Footer { number: export.organisation.clone(), hash: String::new() },
    }
}

/// One row: the change of the balance, and below it the amount where that is another number.
fn row(receipt: &Receipt) -> Vec<TableCell> {
    let entry = &receipt.entry;
    let details = &receipt.details;
    let names = [&details.resource_id, &details.customer_id, &details.member_id];
    let names = names.into_iter().flatten().map(domain::Reference::as_str).collect::<Vec<_>>().join("\n");
    let amount = entry.direction.signed(entry.amount);
    let note = match (receipt.captured(), receipt.net() == amount) {
        (Some(captured), _) => format!("captured {}", grouped(captured.get().into())),
        (None, true) => String::new(),
        (None, false) => format!("amount {}", signed(amount.into())),
    };
    let quantity = details.quantity.filter(|quantity| quantity.get() != 1);
    let operation = match quantity {
        Some(quantity) => format!("{} × {}", entry.operation.as_str(), grouped(quantity.get().into())),
        None => entry.operation.as_str().to_owned(),
    };
    vec![
        receipt.sequence.to_string().into(),
        TableCell {
            text: entry.at.format("%Y-%m-%d").to_string(),
            note: entry.at.format("%H:%M:%S").to_string(),
        },
        TableCell { text: operation, note: receipt.transaction_id().to_string() },
        TableCell {
            text: names,
            note: details.description.as_ref().map(|text| text.as_str().to_owned()).unwrap_or_default(),
        },
        TableCell { text: signed(receipt.net().into()), note },
        grouped(receipt.balance_after().get().into()).into(),
    ]
}

fn minute(at: chrono::DateTime<chrono::Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}
