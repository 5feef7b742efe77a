//! Tests of PDF: the same bytes for the same document, and a PDF for every document.

use super::render::render_pdf;
use crate::document::{Document, Fact, Footer, Section, Table, TableColumn};

fn document(texts: &[String]) -> Document {
    Document {
        title: texts.first().cloned().unwrap_or_default(),
        subtitle: String::new(),
        dated: chrono::DateTime::UNIX_EPOCH,
        facts: texts.iter().take(1).map(|text| Fact::new(text.clone(), text.clone())).collect(),
        sections: vec![Section {
            heading: texts.first().cloned().unwrap_or_default(),
            note: None,
            table: Some(Table {
                columns: vec![TableColumn::text("Text", 3), TableColumn::number("Number", 1)],
                rows: texts.iter().map(|text| vec![text.as_str().into(), "12".into()]).collect(),
                totals: vec![],
            }),
            paragraphs: vec![],
        }],
        footer: Footer { number: "ST-1".to_owned(), hash: String::new() },
    }
}

/// Every character of Unicode, 32 in a text, those of one block with those of others.
fn characters(step: usize) -> Vec<String> {
    let all: Vec<char> = ('\0'..=char::MAX).step_by(step).collect();
    all.chunks(32).map(|chunk| chunk.iter().collect()).collect()
}

#[test]
fn the_same_document_becomes_the_same_bytes() {
    let texts: Vec<_> = ('a'..='z').map(|letter| format!("{letter} \u{738b}\u{660e} 1,234")).collect();
    let bytes = render_pdf(&document(&texts)).unwrap();
    assert!(bytes.starts_with(b"%PDF-1.7") && bytes.len() > 10_000);
    for _ in 0..3 {
        assert_eq!(render_pdf(&document(&texts)).unwrap(), bytes);
    }
    let other = Document { dated: chrono::DateTime::<chrono::Utc>::MAX_UTC, ..document(&texts) };
    assert_ne!(render_pdf(&other).unwrap(), bytes);
}

/// Whatever a text contains, the document has tags and can be archived.
#[test]
fn every_text_can_be_rendered() {
    for texts in characters(53).chunks(64) {
        render_pdf(&document(texts)).unwrap_or_else(|error| panic!("{error}: {texts:?}"));
    }
    for text in ["", " ", "\n", "\t", "\u{301}", "\u{200f}", "\u{ad}", "\u{fe0f}\u{200d}", "\0", "\u{feff}"] {
        render_pdf(&document(&[text.to_owned()])).unwrap();
    }
    render_pdf(&document(&[])).unwrap();
    render_pdf(&Document { sections: vec![], facts: vec![], ..document(&[]) }).unwrap();
}

/// The metadata name title, language and standard. A long document has no tags.
#[test]
fn a_long_document_has_no_tags() {
    for (rows, part) in
        [(10, "<pdfuaid:part>1</pdfuaid:part>"), (15_000, "<pdfaid:conformance>U</pdfaid:conformance>")]
    {
        let bytes = render_pdf(&document(&vec!["row".to_owned(); rows])).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains(part) && text.contains("<pdfaid:part>2</pdfaid:part>"), "{rows}");
        assert_eq!(text.contains("/StructTreeRoot"), rows == 10);
        assert!(text.contains("/Lang(en-GB)") || text.contains("/Lang (en-GB)"));
    }
}
