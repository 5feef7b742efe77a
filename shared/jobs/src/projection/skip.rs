//! Skips items that cannot be read, so that no other account waits for them. The record is kept, and an alarm is raised.

use std::error::Error;

use domain::AccountId;
use store::{Fault, Ledger, StreamImage, account_of};

/// The log message for everything that is skipped. The stack's alarm `UnreadableItemsAlarm` counts it.
pub const SKIPPED: &str = "an item that does not read was skipped";

/// Skips a record. The image of an account is kept and projected once it can be read.
///
/// # Errors
/// When the table does not answer.
pub(super) async fn skip(
    ledger: &Ledger,
    place: &str,
    image: StreamImage,
    fault: &Fault,
) -> Result<(), Fault> {
    let account = account_of(&image);
    if let Some(account) = account {
        ledger.keep_skipped(account, place, image, fault).await?;
    }
    let account = account.map(|account| account.to_string());
    tracing::error!(account, place, fault = fault as &dyn Error, "{SKIPPED}");
    Ok(())
}

/// Logs that an account waits.
pub(super) fn log_skipped(account: AccountId, error: &(dyn Error + 'static)) {
    tracing::error!(%account, fault = error, "{SKIPPED}");
}
