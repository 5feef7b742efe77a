//! What does not read is skipped, so that no other account waits for it: it is kept, and an alarm is raised.

use std::error::Error;

use domain::AccountId;
use store::{Fault, Image, Ledger, account_of};

use super::Shown;

/// The log's line for everything that is skipped. The stack's alarm `UnreadableItemsAlarm` counts it.
pub const SKIPPED: &str = "an item that does not read was skipped";

/// Skips a record. What it shows of an account is kept, and followed once it reads.
pub(super) async fn skip(
    ledger: &Ledger,
    (place, image): (&str, Option<Image>),
    fault: &Fault,
) -> Result<Shown, Fault> {
    let account = image.as_ref().and_then(account_of);
    if let (Some(account), Some(image)) = (account, image) {
        ledger.keep_skipped(account, place, image, fault).await?;
    }
    let account = account.map(|account| account.to_string());
    tracing::error!(account, place, fault = fault as &dyn Error, "{SKIPPED}");
    Ok(Shown::Nothing)
}

/// Says that an account stands still.
pub(super) fn skipped(account: AccountId, error: &(dyn Error + 'static)) {
    tracing::error!(%account, fault = error, "{SKIPPED}");
}

/// Whether an error says that a stored item does not read.
pub(super) fn is_unreadable(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref().is_some_and(Fault::is_unreadable)
}
