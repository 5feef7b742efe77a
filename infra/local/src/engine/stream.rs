//! Adds an index to the engine's table of stream records, and trims the table.
//!
//! Every write to a table with a stream looks up that table's largest sequence number. The engine has no index for it and
//! never deletes a record, so without this module each write would read all the writes before it.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::{EngineError, Home};

/// How long to wait for the engine's own writes. They take far less.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How many records one write deletes. It takes a few milliseconds, for which requests wait.
const TRIM_AT_ONCE: usize = 500;

/// The engine adds this to a stored number to make the public one, which has 21 digits.
const PUBLIC_OFFSET: u128 = 100_000_000_000_000_000_000;

/// The expression must be exactly the engine's, because SQLite matches an index on an expression by its text.
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

/// Creates the index if it does not exist.
pub(super) fn create_index(home: &Home) -> Result<(), EngineError> {
    connect(home).and_then(|sqlite| sqlite.execute(INDEX, [])).map_err(|source| home.stream_fault(source))?;
    Ok(())
}

/// Deletes the records of `table` up to and including `through`, except the newest one.
pub(super) fn trim(home: &Home, table: &str, through: &str) -> Result<usize, EngineError> {
    let stored = stored(through).ok_or_else(|| EngineError::SequenceNumber(through.to_owned()))?;
    trim_through(home, table, stored)
}

/// Deletes all records of `table` except the newest one.
pub(super) fn trim_all(home: &Home, table: &str) -> Result<usize, EngineError> {
    trim_through(home, table, i64::MAX)
}

fn trim_through(home: &Home, table: &str, stored: i64) -> Result<usize, EngineError> {
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

/// Opens a connection of its own to the file, because the engine does not share its connection.
pub(super) fn connect(home: &Home) -> rusqlite::Result<Connection> {
    let sqlite = Connection::open(home.file())?;
    sqlite.busy_timeout(BUSY_TIMEOUT)?;
    Ok(sqlite)
}

/// The stored form of a public sequence number; `None` if the engine can't have assigned it.
fn stored(public: &str) -> Option<i64> {
    let number: u128 = public.parse().ok()?;
    i64::try_from(number.checked_sub(PUBLIC_OFFSET)?).ok().filter(|stored| *stored > 0)
}

impl Home {
    fn stream_fault(&self, source: rusqlite::Error) -> EngineError {
        EngineError::Stream { folder: self.folder.clone(), source }
    }
}
