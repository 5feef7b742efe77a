//! Which transactions a statement has.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Direction, KeyId, Operation, Receipt, Reference, Service};

/// The filters of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementQuery {
    /// Only this direction.
    pub direction: Option<Direction>,
    /// Only this operation, including captures of credits that were held for it; or the ledger's own, such as
    /// `credit.capture`.
    pub operation: Option<Operation>,
    /// Only transactions of this customer.
    pub customer: Option<Reference>,
    /// Only transactions of this member.
    pub member: Option<Reference>,
    /// Only transactions of this service: debits that used it, and grants that are reserved for it.
    pub service: Option<Service>,
    /// Only requests with this API key.
    pub key: Option<KeyId>,
    /// Only transactions with this resource.
    pub resource: Option<Reference>,
    /// Only debits that are partly owed (true), or all others (false).
    pub on_account: Option<bool>,
    /// From this instant on.
    pub from: Option<DateTime<Utc>>,
    /// Before this instant.
    pub to: Option<DateTime<Utc>>,
}

impl StatementQuery {
    /// Whether the statement has this transaction.
    #[must_use]
    pub fn admits(&self, receipt: &Receipt) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        let (entry, details) = (&receipt.entry, &receipt.details);
        is(self.direction.as_ref(), Some(&entry.direction))
            && (is(self.operation.as_ref(), Some(receipt.paid_for()))
                || is(self.operation.as_ref(), Some(&entry.operation)))
            && is(self.customer.as_ref(), details.customer_id.as_ref())
            && is(self.member.as_ref(), details.member_id.as_ref())
            && is(self.service.as_ref(), details.service.as_ref())
            && is(self.key.as_ref(), details.key_id.as_ref())
            && is(self.resource.as_ref(), details.resource_id.as_ref())
            && self.on_account.is_none_or(|wanted| wanted == receipt.is_on_account())
            && self.from.is_none_or(|from| from <= entry.at)
            && self.to.is_none_or(|to| entry.at < to)
    }
}
