//! Transactions as JSON Lines: one object per line, with the columns as keys.

use std::io::{BufWriter, Write};

use domain::Receipt;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::column::COLUMNS;
use crate::error::DocumentError;

/// A file of JSON Lines to which rows are added. It keeps no row.
pub(super) struct JsonLinesRows<W: Write> {
    out: BufWriter<W>,
}

struct Row<'a>(&'a Receipt);

impl<W: Write> JsonLinesRows<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out: BufWriter::new(out) }
    }

    pub(super) fn add(&mut self, receipt: &Receipt) -> Result<(), DocumentError> {
        serde_json::to_writer(&mut self.out, &Row(receipt))?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<W, DocumentError> {
        self.out.into_inner().map_err(|error| DocumentError::Write(error.into_error()))
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(COLUMNS.len()))?;
        for column in &COLUMNS {
            map.serialize_entry(column.name, &column.of(self.0))?;
        }
        map.end()
    }
}
