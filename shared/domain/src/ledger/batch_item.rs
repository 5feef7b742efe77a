//! An item of a batch, and its position.

use serde::{Deserialize, Serialize};

use crate::{Credits, Details, EntryId, Operation, Reference};

/// An item of a batch, as requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchItem {
    /// The operation, as the caller named it.
    #[serde(rename = "op")]
    pub operation: Reference,
    /// Its price; `None` for an operation without a price.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Credits>,
    /// The details of its transaction.
    #[serde(rename = "d", default)]
    pub details: Details,
}

/// The position of a transaction in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPosition {
    /// The batch: the id of its first line.
    pub batch: EntryId,
    /// The item's index, from 0.
    #[serde(rename = "i")]
    pub item: u32,
    /// The number of ledger lines of the batch.
    pub rows: u32,
}

impl BatchItem {
    pub(crate) fn operation(&self) -> Option<Operation> {
        Operation::try_from(self.operation.as_str().to_owned()).ok()
    }
}
