//! Skips items that cannot be read, so that no other account waits for them. The record is kept, and an alarm is raised.

use std::error::Error;

use domain::AccountId;
use store::{Fault, Ledger, StreamImage, account_of};

use super::RecordContent;

/// The log message for everything that is skipped. The stack's alarm `UnreadableItemsAlarm` counts it.
pub const SKIPPED: &str = "an item that does not read was skipped";

/// Skips a record. The image of an account is kept and projected once it can be read.
pub(super) async fn skip(
    ledger: &Ledger,
    place: &str,
    image: Option<StreamImage>,
    fault: &Fault,
) -> Result<RecordContent, Fault> {
    let account = image.as_ref().and_then(account_of);
    if let (Some(account), Some(image)) = (account, image) {
        ledger.keep_skipped(account, place, image, fault).await?;
    }
    let account = account.map(|account| account.to_string());
    tracing::error!(account, place, fault = fault as &dyn Error, "{SKIPPED}");
    Ok(RecordContent::Nothing)
}

/// Logs that an account waits.
pub(super) fn skipped(account: AccountId, error: &(dyn Error + 'static)) {
    tracing::error!(%account, fault = error, "{SKIPPED}");
}

/// Whether an error means that a stored item cannot be read.
pub(super) fn is_unreadable(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref().is_some_and(Fault::is_unreadable)
}
