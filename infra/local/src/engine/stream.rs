//! The engine's table of stream records, put in order and kept short from outside.
//!
//! Every write to a table with a stream looks up that table's largest sequence number, for which the engine
//! keeps no index, and it never deletes a record: left alone, each write reads all the writes before it.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::{EngineError, Home};

/// How long to wait for the engine's own writes: far longer than the longest of them.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Records deleted in one write, a few milliseconds' worth: requests wait for it.
const TRIM_AT_ONCE: usize = 500;

/// What the engine adds to its stored numbers, so that the public ones have 21 digits.
const PUBLIC_OFFSET: u128 = 100_000_000_000_000_000_000;

/// The expression must be the engine's, to the letter: SQLite matches an index on an expression by it.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS _stream_records_in_order
    ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

const TRIM: &str = "DELETE FROM _stream_records WHERE id IN (
        SELECT id FROM _stream_records
        WHERE table_name = ?1
            AND CAST(sequence_number AS INTEGER) <= ?2
            AND CAST(sequence_number AS INTEGER) < (
                SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?1)
        ORDER BY CAST(sequence_number AS INTEGER)
        LIMIT ?3)";

/// Gives the stream records the index that they lack. Costs nothing when they have it.
pub(super) fn put_in_order(home: &Home) -> Result<(), EngineError> {
    connect(home).and_then(|sqlite| sqlite.execute(INDEX, [])).map_err(|source| home.stream_fault(source))?;
    Ok(())
}

/// Deletes the records of `table` up to and including `through`, but for the newest.
pub(super) fn trim(home: &Home, table: &str, through: &str) -> Result<usize, EngineError> {
    let stored = stored(through).ok_or_else(|| EngineError::SequenceNumber(through.to_owned()))?;
    let trimmed = || {
        let sqlite = connect(home)?;
        let mut trim = sqlite.prepare(TRIM)?;
        let mut trimmed = 0_usize;
        loop {
            let deleted = trim.execute(params![table, stored, TRIM_AT_ONCE])?;
            trimmed = trimmed.saturating_add(deleted);
            if deleted < TRIM_AT_ONCE {
                return Ok(trimmed);
            }
        }
    };
    trimmed().map_err(|source| home.stream_fault(source))
}

/// A second connection to the file; the engine does not lend its own.
pub(super) fn connect(home: &Home) -> rusqlite::Result<Connection> {
    let sqlite = Connection::open(home.file())?;
    sqlite.busy_timeout(BUSY_TIMEOUT)?;
    Ok(sqlite)
}

/// The stored form of a public sequence number; `None` when the engine cannot have given it out.
fn stored(public: &str) -> Option<i64> {
    let number: u128 = public.parse().ok()?;
    i64::try_from(number.checked_sub(PUBLIC_OFFSET)?).ok().filter(|stored| *stored > 0)
}

impl Home {
    fn stream_fault(&self, source: rusqlite::Error) -> EngineError {
        EngineError::Stream { folder: self.folder.clone(), source }
    }
}
