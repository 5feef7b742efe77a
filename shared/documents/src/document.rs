//! The model of a statement: a title, facts, and sections with tables. It says what a document contains, and not how it
//! is laid out.

use chrono::{DateTime, Utc};

/// A document, such as a monthly statement. The same document always becomes the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is: `Credit statement`.
    pub title: String,
    /// Whose it is, and for when: `Acme Ltd, January 2024`.
    pub subtitle: String,
    /// Its date, as programs that read its metadata show it.
    pub dated: DateTime<Utc>,
    /// What stands at its beginning: names, numbers, the balance.
    pub facts: Vec<Fact>,
    /// Its contents.
    pub sections: Vec<Section>,
    /// What stands at the end of each page.
    pub footer: Footer,
}

/// A value with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The name.
    pub label: String,
    /// The value.
    pub value: String,
}

/// A part of a document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Its heading.
    pub heading: String,
    /// A sentence below the heading.
    pub note: Option<String>,
    /// Its table.
    pub table: Option<Table>,
    /// Text below the table.
    pub paragraphs: Vec<String>,
}

/// A table. Rows and totals have one cell for each column; cells that are missing are empty, and further ones are not
/// shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<TableColumn>,
    /// The rows.
    pub rows: Vec<Vec<TableCell>>,
    /// The rows at the end, which stand out.
    pub totals: Vec<Vec<TableCell>>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Where the text of its cells stands.
    pub align: Align,
    /// Its width in relation to those of the other columns.
    pub width: u16,
}

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Left: text.
    Left,
    /// Right: numbers.
    Right,
}

/// A cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableCell {
    /// Its text. It can have several lines.
    pub text: String,
    /// What stands below it in small letters; empty for nothing.
    pub note: String,
}

/// What stands at the end of each page, beside the number of the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// The number of the document; empty for none.
    pub number: String,
    /// What the document can be verified with, such as `SHA-256 9f86d0…`; empty for nothing.
    pub hash: String,
}

impl Fact {
    /// A value with its name.
    #[must_use]
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into() }
    }
}

impl TableColumn {
    /// A column of text.
    #[must_use]
    pub fn text(name: impl Into<String>, width: u16) -> Self {
        Self { name: name.into(), align: Align::Left, width }
    }

    /// A column of numbers.
    #[must_use]
    pub fn number(name: impl Into<String>, width: u16) -> Self {
        Self { name: name.into(), align: Align::Right, width }
    }
}

impl<T: Into<String>> From<T> for TableCell {
    fn from(text: T) -> Self {
        Self { text: text.into(), note: String::new() }
    }
}
