//! Writes statements into a folder, to look at: a short one, a long one, one with long texts, one without rows.
//!
//! `cargo run -p scrip-documents --example statement -- FOLDER`

use std::error::Error;
use std::path::PathBuf;

use scrip_documents::{Document, Fact, Footer, Section, Table, TableCell, TableColumn, render_pdf};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder")?);
    std::fs::create_dir_all(&folder)?;
    for (name, document) in [
        ("short", statement(8, false)),
        ("long", statement(95, false)),
        ("texts", statement(14, true)),
        ("empty", statement(0, false)),
    ] {
        std::fs::write(folder.join(name).with_extension("pdf"), render_pdf(&document)?)?;
    }
    Ok(())
}

fn statement(rows: usize, has_long_texts: bool) -> Document {
    let organisation = if has_long_texts {
        "Gesellschaft für außerordentlich lange Firmennamen und Identitätsprüfung mbH & Co. KG, Niederlassung Łódź \
         (王明 Holdings)"
    } else {
        "Acme Verification Ltd"
    };
    Document {
        title: "Credit statement".to_owned(),
        subtitle: format!("{organisation}, January 2024"),
        dated: chrono::DateTime::from_timestamp(1_706_745_600, 0).unwrap_or_default(),
        facts: vec![
            Fact::new("Organisation", organisation),
            Fact::new("Statement", "ST-2024-01-000017"),
            Fact::new("Period", "1 January 2024 to 31 January 2024 (UTC)"),
            Fact::new("Plan", "Professional, 5,000 credits a month"),
            Fact::new("Opening balance", "12,480"),
            Fact::new("Closing balance", "9,317"),
        ],
        sections: vec![summary(), usage(), lines(rows, has_long_texts)],
        footer: Footer {
            number: "Statement ST-2024-01-000017".to_owned(),
            hash: "SHA-256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        },
    }
}

fn summary() -> Section {
    let columns = vec![
        TableColumn::text("", 40),
        TableColumn::number("Opening", 18),
        TableColumn::number("In", 16),
        TableColumn::number("Out", 16),
        TableColumn::number("Expired", 16),
        TableColumn::number("Closing", 18),
    ];
    let row = |cells: [&str; 6]| cells.map(TableCell::from).to_vec();
    Section {
        heading: "Balance".to_owned(),
        note: Some("All amounts are credits.".to_owned()),
        table: Some(Table {
            columns,
            rows: vec![
                row(["Subscription", "2,480", "5,000", "−4,163", "−2,480", "837"]),
                row(["Purchased", "10,000", "0", "−1,520", "0", "8,480"]),
                row(["Bonus", "0", "0", "0", "0", "0"]),
            ],
            totals: vec![row(["Total", "12,480", "5,000", "−5,683", "−2,480", "9,317"])],
        }),
        paragraphs: vec![],
    }
}

fn usage() -> Section {
    let columns = vec![
        TableColumn::text("Operation", 46),
        TableColumn::number("Price", 16),
        TableColumn::number("Count", 20),
        TableColumn::number("Credits", 20),
    ];
    let row = |cells: [&str; 4]| cells.map(TableCell::from).to_vec();
    Section {
        heading: "Usage by operation".to_owned(),
        note: None,
        table: Some(Table {
            columns,
            rows: vec![
                row(["verification.standard", "1", "3,011", "3,011"]),
                row(["verification.enhanced", "2", "1,118", "2,236"]),
                row(["aml.screening", "1", "436", "436"]),
            ],
            totals: vec![row(["Total", "", "4,565", "5,683"])],
        }),
        paragraphs: vec![
            "Usage counts every operation that was charged in the period, less those that were refunded in it. \
             A refund of an operation of an earlier period reduces the usage of the period in which it was made."
                .to_owned(),
        ],
    }
}

fn lines(rows: usize, has_long_texts: bool) -> Section {
    let columns = vec![
        TableColumn::number("No.", 12),
        TableColumn::text("Time (UTC)", 18),
        TableColumn::text("Operation", 50),
        TableColumn::text("Reference", 36),
        TableColumn::number("Change", 18),
        TableColumn::number("Balance", 20),
    ];
    let reference = |place: usize| match place.wrapping_rem(4) {
        0 if has_long_texts => {
            "Ωμέγα Ђорђе Nguyễn Thị Ánh 王明 \u{1f980} — a reference that is much longer than its column"
        }
        1 if has_long_texts => "resource_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        2 => "cust_48",
        _ => "verif_xyz789",
    };
    let row = |place: usize| {
        vec![
            place.saturating_add(17_000).to_string().into(),
            TableCell { text: "2024-01-15".to_owned(), note: "10:30:00".to_owned() },
            TableCell {
                text: "verification.standard".to_owned(),
                note: "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA".to_owned(),
            },
            TableCell {
                text: reference(place).to_owned(),
                note: if place.is_multiple_of(5) { "To verify a tenant".to_owned() } else { String::new() },
            },
            "−2".into(),
            "9,317".into(),
        ]
    };
    let total = ["", "", "Total", "", "−190", ""].map(TableCell::from).to_vec();
    Section {
        heading: "Transactions".to_owned(),
        note: None,
        table: Some(Table { columns, rows: (0..rows).map(row).collect(), totals: vec![total] }),
        paragraphs: vec![],
    }
}
