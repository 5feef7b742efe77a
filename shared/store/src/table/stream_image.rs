//! Items of the ledger table as its stream shows them.

use crate::table::attribute::text_of;
use crate::table::damage;
use crate::table::error::Fault;
use crate::table::key::StoredItem;
use domain::{Account, AccountId};

/// An item as the stream shows it, from whichever client read it.
pub type StreamImage = serde_dynamo::Item;

/// Reads an account from an image of the stream; `None` for an item of another kind.
///
/// # Errors
/// [`Fault::BrokenAccount`] for an account's item that is unreadable.
pub fn account_image(image: StreamImage) -> Result<Option<Account>, Fault> {
    let image = StoredItem::from(image);
    let Some(name) = text_of(&image, "pk").and_then(|pk| pk.strip_prefix("ACCT#")) else { return Ok(None) };
    let id = name.parse().map_err(|_| Fault::corrupt("an account", "its key"))?;
    damage::read_account(id, image).map(Some)
}

/// The account whose own item an image of the stream shows; `None` for an item of another kind.
#[must_use]
pub fn account_of(image: &StreamImage) -> Option<AccountId> {
    let image = StoredItem::from(image.clone());
    text_of(&image, "pk")?.strip_prefix("ACCT#")?.parse().ok()
}
