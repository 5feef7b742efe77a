//! A transaction with everything that explains it.

use domain::{Credits, Direction, Purchase, Remainder};
use serde::Serialize;
use utoipa::ToSchema;

use super::{BalanceView, ProofView, TransactionView};

/// A transaction with everything that explains it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Receipt)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptView {
    #[serde(flatten)]
    transaction: TransactionView,
    /// The price of one operation in credits; null for a transaction that is not a priced operation.
    unit_price: Option<u64>,
    /// Available credits right before the transaction, as the lines add up; null for a purchase that is not in the ledger.
    balance_before: Option<u64>,
    /// The balance right after the transaction; null for a purchase that is not in the ledger.
    balance: Option<BalanceView>,
    /// Credits that can still be refunded; null for a transaction that is not a debit of an operation.
    refundable: Option<u64>,
    /// The API key of the request; null for automatic transactions and those of operators.
    key_id: Option<String>,
    /// The id of the request that was answered first.
    request_id: Option<String>,
    /// The proof that it is in the hash chain; null until it is chained, which takes seconds, and for a purchase that is not
    /// in the ledger.
    proof: Option<ProofView>,
}

impl ReceiptView {
    /// A transaction with what was drawn from it, and its proof.
    #[must_use]
    pub fn new(receipt: &domain::Receipt, remainder: Option<&Remainder>, proof: Option<ProofView>) -> Self {
        let domain::Receipt { entry, details, .. } = receipt;
        let transaction = TransactionView::from(receipt).with_refunds(remainder);
        let back = receipt.net().saturating_neg();
        let before = transaction.balance_after.map(|after| after.saturating_add_signed(back));
        let quantity = details.quantity.map(domain::Quantity::get);
        let spent = receipt.may_be_refunded().ok().map(|()| receipt.spent());
        let refunded = remainder
            .map_or(Credits::ZERO, |remainder| receipt.spent().less(remainder.left()).unwrap_or_default());
        let amount = if entry.amount.is_zero() { receipt.spent() } else { entry.amount };
        Self {
            unit_price: details
                .price_version
                .and(quantity)
                .filter(|_| entry.direction == Direction::Debit && details.drawn.is_none())
                .and_then(|quantity| amount.get().checked_div(quantity)),
            balance_before: before,
            balance: Some(receipt.into()),
            refundable: spent.map(|spent| spent.less(refunded).unwrap_or_default().get()),
            key_id: details.key_id.map(|key| key.to_string()),
            request_id: details.request_id.clone(),
            proof,
            transaction,
        }
    }

    /// A purchase that is not in the ledger, or not yet.
    #[must_use]
    pub fn unbooked(purchase: &Purchase) -> Self {
        Self {
            transaction: TransactionView::unbooked(purchase),
            unit_price: None,
            balance_before: None,
            balance: None,
            refundable: None,
            key_id: None,
            request_id: None,
            proof: None,
        }
    }
}
