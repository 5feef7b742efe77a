//! An item of a batch, and its place in it.

use serde::{Deserialize, Serialize};

use crate::{Credits, Details, EntryId, Operation, Reference};

/// An item of a batch, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The operation, by the caller's word.
    #[serde(rename = "op")]
    pub operation: Reference,
    /// What it costs; none for one that can't be charged whatever there is.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Credits>,
    /// What its transaction says.
    #[serde(rename = "d", default)]
    pub details: Details,
}

/// Which item of a batch a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The batch, by its first line.
    pub batch: EntryId,
    /// Which item, from 0.
    #[serde(rename = "i")]
    pub item: u32,
    /// How many lines of the ledger the batch has.
    pub rows: u32,
}

impl Item {
    pub(crate) fn operation(&self) -> Option<Operation> {
        Operation::try_from(self.operation.as_str().to_owned()).ok()
    }
}
