use domain::{Credits, Direction, Pot, Purchase};
use scrip_http::{Balance, Proof, Transaction};
use serde::Serialize;
use utoipa::ToSchema;

/// A transaction and all that explains it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Receipt {
    #[serde(flatten)]
    transaction: Transaction,
    /// What the operation cost each time, in credits; null for what is not a priced operation.
    unit_price: Option<u64>,
    /// Credits right before it, as the lines add up; null for what is not in the ledger.
    balance_before: Option<u64>,
    /// The whole balance right after it; null for what is not in the ledger.
    balance: Option<Balance>,
    /// How many credits of it can still be refunded; null for what is no debit of an operation.
    refundable: Option<u64>,
    /// The API key that asked; null for what nobody asked for, and for what an operator did.
    key_id: Option<String>,
    /// The request that was answered first.
    request_id: Option<String>,
    /// Its place in the hash chain; null until it is chained, which takes seconds, and for what is not in the
    /// ledger.
    proof: Option<Proof>,
}

impl Receipt {
    pub(super) fn new(receipt: &domain::Receipt, pot: Option<&Pot>, proof: Option<Proof>) -> Self {
        let domain::Receipt { entry, details, .. } = receipt;
        let transaction = Transaction::from(receipt).with_refunds(pot);
        let back = receipt.net().saturating_neg();
        let before = transaction.balance_after.map(|after| after.saturating_add_signed(back));
        let quantity = details.quantity.map(domain::Quantity::get);
        let spent = receipt.may_be_refunded().ok().map(|()| receipt.spent());
        let refunded = pot.map_or(Credits::ZERO, |pot| receipt.spent().less(pot.left()).unwrap_or_default());
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

    /// A purchase that the ledger does not have, or not yet.
    pub(super) fn unbooked(purchase: &Purchase) -> Self {
        Self {
            transaction: Transaction::unbooked(purchase),
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
