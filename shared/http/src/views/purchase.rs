//! A purchase as callers see it.

use domain::{Purchase, PurchaseStatus};
use store::{Fault, Ledger};

use super::TransactionView;

/// A purchase as it is in the ledger, or as it will be. Costs at most one read.
///
/// # Errors
/// When the table does not answer.
pub async fn purchase_view(ledger: &Ledger, purchase: &Purchase) -> Result<TransactionView, Fault> {
    if let PurchaseStatus::Approved(entry) = purchase.status
        && let Some(receipt) = ledger.transaction(purchase.id.account, entry).await?
    {
        return Ok(TransactionView::from(&receipt));
    }
    Ok(TransactionView::unbooked(purchase))
}
