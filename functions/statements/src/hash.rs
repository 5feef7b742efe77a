//! The text of a monthly statement: canonical JSON with its own hash.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use store::{Fault, StoredMonthlyStatement};

use super::statement::MonthlyStatement;

/// The text of a statement, with its hash.
///
/// # Errors
/// None in practice: every statement can be written as JSON.
pub(crate) fn with_hash(mut statement: MonthlyStatement) -> Result<StoredMonthlyStatement, Fault> {
    let unwritable = |error: serde_json::Error| Fault::corrupt("a monthly statement", error);
    let mut value = serde_json::to_value(&statement).map_err(unwritable)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("hash");
    }
    let without = serde_json_canonicalizer::to_vec(&value).map_err(unwritable)?;
    statement.hash = hexadecimal(&Sha256::digest(without));
    let text = serde_json_canonicalizer::to_string(&statement).map_err(unwritable)?;
    Ok(StoredMonthlyStatement { month: statement.month, text })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}
