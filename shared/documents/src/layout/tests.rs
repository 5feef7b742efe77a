//! Tests of the layout: nothing lies outside the margins, nothing is lost, and what belongs together stays together.

use std::num::Saturating;

use super::blocks::lay_out;
use super::page::{Item, Laid, Mark, PageFurniture};
use super::paper::{BOTTOM, LEFT, RIGHT, TOP_OF_FIRST};
use super::structure::{Role, Structure};
use crate::document::{Document, Fact, Footer, Section, Table, TableCell, TableColumn};
use crate::text::{Faces, Length, Style, wrap};

fn document(sections: Vec<Section>) -> Document {
    Document {
        title: "Credit statement".to_owned(),
        subtitle: "Acme Ltd, January 2024".to_owned(),
        dated: chrono::DateTime::UNIX_EPOCH,
        facts: vec![Fact::new("Number", "ST-1"), Fact::new("Plan", "basic"), Fact::new("Closing", "12")],
        sections,
        footer: Footer { number: "ST-1".to_owned(), hash: "SHA-256 00".to_owned() },
    }
}

/// A table of rows `r0 …`, with `lines` lines each.
fn table(rows: usize, lines: usize, totals: usize) -> Section {
    let row = |name: String| {
        let text: Vec<_> = (0..lines).map(|line| format!("{name}-{line}")).collect();
        vec![TableCell { text: text.join("\n"), note: String::new() }, TableCell::from(name)]
    };
    Section {
        heading: "Lines".to_owned(),
        note: Some("All amounts are credits.".to_owned()),
        table: Some(Table {
            columns: vec![TableColumn::text("Text column", 3), TableColumn::number("Number column", 1)],
            rows: (0..rows).map(|place| row(format!("r{place}"))).collect(),
            totals: (0..totals).map(|place| row(format!("t{place}"))).collect(),
        }),
        paragraphs: vec!["A paragraph below.".to_owned()],
    }
}

/// The texts of each page that are not furniture, and those that are, with their places checked.
fn pages(laid: &Laid, faces: &Faces) -> Vec<(Vec<String>, Vec<String>)> {
    let page = |items: &Vec<Item>| {
        let (mut texts, mut furniture) = (vec![], vec![]);
        for item in items {
            match item {
                Item::Text { left, baseline, text, style, mark } => {
                    let width = width(faces, text, *style);
                    assert!(*left >= LEFT && *left + width <= RIGHT + Saturating(1), "{text:?}");
                    if let Mark::Part(_) = mark {
                        assert!(*baseline > TOP_OF_FIRST && *baseline < BOTTOM, "{text:?} at {baseline}");
                        texts.push(text.trim().to_owned());
                    } else {
                        furniture.push(text.trim().to_owned());
                    }
                }
                Item::Rule { left, width, top, .. } => {
                    assert!(*left >= LEFT && *left + *width <= RIGHT && *top > Saturating(0));
                }
            }
        }
        (texts, furniture)
    };
    laid.pages.iter().map(|laid| page(&laid.items)).collect()
}

fn width(faces: &Faces, text: &str, style: Style) -> Length {
    let lines = wrap(faces, text, style, Saturating(i32::MAX));
    lines.into_iter().map(|line| line.width).max().unwrap_or_default()
}

/// rows, lines of a row, totals => every text once, in order, on pages that have the header of the table
#[test]
fn tables_of_every_size_are_whole() {
    let faces = Faces::load().unwrap();
    for (rows, lines, totals) in [
        (0, 1, 0),
        (0, 1, 2),
        (1, 1, 1),
        (30, 1, 1),
        (200, 1, 3),
        (40, 7, 2),
        (3, 200, 1),
        (2, 61, 70),
        (1, 1, 200),
    ] {
        let laid = lay_out(&document(vec![table(rows, lines, totals)]), &faces);
        let pages = pages(&laid, &faces);
        let mut expected: Vec<String> = vec![];
        let names =
            (0..rows).map(|row| format!("r{row}")).chain((0..totals).map(|total| format!("t{total}")));
        for name in names {
            expected.extend((0..lines).map(|line| format!("{name}-{line}")));
            expected.push(name);
        }
        let mut found: Vec<_> = pages.iter().flat_map(|(texts, _)| texts.clone()).collect();
        found.retain(|text| expected.contains(text));
        // The cells of a row that continues on the next page are in its order.
        expected.sort();
        found.sort();
        assert_eq!(found, expected, "{rows} rows of {lines} lines, {totals} totals");
        for (place, (texts, furniture)) in pages.iter().enumerate().skip(1) {
            let has_rows = texts.iter().any(|text| text.starts_with(['r', 't']));
            assert_eq!(has_rows, furniture.contains(&"Number column".to_owned()), "page {place}");
        }
    }
}

/// Rows stay whole, and totals stay with the last row.
#[test]
fn rows_and_totals_stay_together() {
    let faces = Faces::load().unwrap();
    for rows in 1..120 {
        let laid = lay_out(&document(vec![table(rows, 3, 2)]), &faces);
        for (texts, _) in pages(&laid, &faces) {
            let starts = texts.iter().filter(|text| text.ends_with("-0")).count();
            let ends = texts.iter().filter(|text| text.ends_with("-2")).count();
            assert_eq!(starts, ends, "{rows}: {texts:?}");
            let has_totals = texts.contains(&"t0".to_owned());
            assert!(!has_totals || texts.contains(&format!("r{}", rows - 1)), "{rows}: {texts:?}");
        }
    }
}

/// A heading never stands at the end of a page.
#[test]
fn a_heading_stays_with_what_follows() {
    let faces = Faces::load().unwrap();
    for rows in 0..60 {
        let sections = vec![table(rows, 1, 0), Section { heading: "Next".to_owned(), ..table(5, 1, 0) }];
        let laid = lay_out(&document(sections), &faces);
        for (texts, _) in pages(&laid, &faces) {
            let heading = texts.iter().position(|text| text == "Next");
            assert!(
                heading.is_none_or(|place| texts[place..].contains(&"r0".to_owned())),
                "{rows}: {texts:?}"
            );
        }
    }
}

#[test]
fn every_page_has_its_number() {
    let faces = Faces::load().unwrap();
    let laid = lay_out(&document(vec![table(150, 1, 1)]), &faces);
    let pages = pages(&laid, &faces);
    for (place, (_, furniture)) in pages.iter().enumerate() {
        assert!(furniture.contains(&format!("Page {} of {}", place + 1, pages.len())), "{furniture:?}");
        assert!(furniture.contains(&"ST-1".to_owned()) && furniture.contains(&"SHA-256 00".to_owned()));
        assert_eq!(place > 0, furniture.contains(&"Credit statement".to_owned()));
    }
}

/// Long texts, in each place where a text can be.
#[test]
fn long_texts_stay_within_the_margins() {
    let faces = Faces::load().unwrap();
    for text in ["word ".repeat(3_000), "x".repeat(9_000), "\u{738b}".repeat(4_000), "line\n".repeat(300)] {
        let section = Section {
            heading: text.clone(),
            note: Some(text.clone()),
            table: Some(Table {
                columns: vec![TableColumn::number(text.clone(), 1), TableColumn::text("b", 9)],
                rows: vec![
                    vec![TableCell { text: text.clone(), note: text.clone() }],
                    vec![text.as_str().into()],
                ],
                totals: vec![vec![text.as_str().into()]],
            }),
            paragraphs: vec![text.clone()],
        };
        let laid = lay_out(
            &Document {
                title: text.clone(),
                subtitle: text.clone(),
                facts: vec![Fact::new(text.clone(), text.clone()), Fact::new("b", "c")],
                footer: Footer { number: text.clone(), hash: text.clone() },
                ..document(vec![section])
            },
            &faces,
        );
        assert!(pages(&laid, &faces).len() > 10);
    }
}

#[test]
fn odd_tables_are_laid_out() {
    let faces = Faces::load().unwrap();
    let column = |width| TableColumn::text("c", width);
    for columns in [vec![], vec![column(0)], vec![column(0), column(u16::MAX)], vec![column(1); 20]] {
        let row = vec![TableCell::from("a"); 3];
        let table = Table { columns, rows: vec![row.clone(), vec![]], totals: vec![row] };
        let section = Section { table: Some(table), ..Section::default() };
        pages(&lay_out(&document(vec![section]), &faces), &faces);
    }
}

/// Each row of a table has the same cells, so that a screen reader can name their columns.
#[test]
fn rows_have_the_same_cells() {
    let faces = Faces::load().unwrap();
    let laid = lay_out(&document(vec![table(60, 2, 1), table(0, 1, 0)]), &faces);
    let structure = &laid.structure;
    let mut rows = 0;
    for part in 0..structure.len() {
        if *structure.role(part) == Role::Row {
            let cells = structure.children(part).len();
            assert!(cells == 2 || cells == 1, "{cells}");
            rows += usize::from(cells == 2);
        }
    }
    assert_eq!(rows, 63);
    assert_eq!(structure.role(Structure::ROOT), &Role::Root);
    let header = Mark::Furniture(PageFurniture::Header);
    let is_header = |item: &Item| matches!(item, Item::Text { mark, .. } if *mark == header);
    assert!(!laid.pages[0].items.iter().any(is_header));
}
