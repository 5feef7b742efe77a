//! A request to draw, and the details of its transaction. For parts of a hold, they come from the hold's row, and are
//! not stored twice.

use domain::{Details, DrawdownReason, DrawdownShares, Drawn, PendingDrawdown, Receipt};
use ports::Moment;

use crate::write::claim::Claim;

/// A request to draw from a transaction.
#[derive(Clone, Copy, Debug)]
pub struct DrawdownRequest<'a> {
    /// The caller's key, the request's fingerprint, and details of its transaction other than what is drawn. Every
    /// retry of the request gets the same result.
    pub claim: Claim<'a>,
    /// The reason.
    pub why: &'a DrawdownReason,
    /// When the request arrived.
    pub moment: Moment,
}

/// The part that a request takes from a remainder.
pub(crate) fn part(from: &Receipt, request: &DrawdownRequest<'_>, part: DrawdownShares) -> PendingDrawdown {
    let drawn = Drawn { of: from.entry.id, why: request.why.clone(), shares: part.shares };
    let details = Details { drawn: Some(drawn), ..request.claim.details.clone() };
    let details = if from.is_hold() {
        with_purpose(Details::default(), details)
    } else {
        // Usage of the customer is less what is refunded.
        let Details { customer_id, member_id, service, .. } = from.details.clone();
        Details { customer_id, member_id, service, ..details }
    };
    let (key, asked) = (request.claim.key.clone(), request.claim.fingerprint.clone());
    PendingDrawdown { key, asked, details, closes: part.closes }
}

/// All details of a part's transaction.
pub(crate) fn in_full(from: &Receipt, details: &Details) -> Details {
    if !from.is_hold() {
        return details.clone();
    }
    with_purpose(from.details.clone(), details.clone())
}

/// The details that all transactions of a hold's credits share.
#[must_use]
pub fn hold_details(hold: &Receipt) -> Details {
    with_purpose(hold.details.clone(), Details::default())
}

/// `details` with the customer, member, operation and resource of `hold`.
fn with_purpose(hold: Details, details: Details) -> Details {
    let Details { quantity, price_version, resource_id, customer_id, member_id, service, purpose, .. } = hold;
    Details { quantity, price_version, resource_id, customer_id, member_id, service, purpose, ..details }
}
