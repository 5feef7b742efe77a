//! The forms and queries of an order at Stripe.

use chrono::TimeDelta;

use super::client::FormField;
use super::{ChargeOrder, REPEATABLE_HOURS};

/// The number of payments on a page of a search: Stripe's maximum.
pub(super) const PAGE: u32 = 100;

/// The maximum difference between our clock and Stripe's, in hours, including the duration of a call.
const SKEW_HOURS: i64 = 2;

/// The idempotency key of a charge.
pub(super) fn key(order: &ChargeOrder) -> String {
    let purchase = order.purchase;
    format!("{}:{}", purchase.account, purchase.transaction)
}

/// The form of a charge. A repeated order must have exactly the same form.
pub(super) fn charge(order: &ChargeOrder, return_url: Option<&str>) -> Vec<FormField> {
    let purchase = order.purchase;
    let mut form = vec![
        ("amount", order.price.amount().to_string()),
        ("currency", order.price.currency().code().to_ascii_lowercase()),
        ("confirm", "true".into()),
        // Cards only: they can be charged without the customer, and the result is immediate.
        ("payment_method_types[]", "card".into()),
        ("payment_method", order.method.as_str().into()),
        ("metadata[account]", purchase.account.to_string()),
        ("metadata[transaction]", purchase.transaction.to_string()),
    ];
    if let Some(customer) = &order.customer {
        form.push(("customer", customer.0.clone()));
    }
    if !order.description.is_empty() {
        form.push(("description", order.description.clone()));
    }
    form.push(match (order.off_session, return_url) {
        (true, _) => ("off_session", "true".into()),
        (false, Some(url)) => ("return_url", url.into()),
        // Without a return URL the customer could not authenticate.
        (false, None) => ("error_on_requires_action", "true".into()),
    });
    form.extend(expand_charge());
    form
}

/// The parameter that includes the charge, with receipt and refund, in a payment.
pub(super) fn expand_charge() -> [FormField; 1] {
    [("expand[]", "latest_charge".into())]
}

/// The query for a page of the payments that include that of an order, after the payment `after`.
pub(super) fn search(order: &ChargeOrder, after: Option<&str>) -> Vec<FormField> {
    let hours = |hours: i64| TimeDelta::try_hours(hours).unwrap_or_default();
    let since = order.made_at.checked_sub_signed(hours(SKEW_HOURS)).unwrap_or(order.made_at);
    let span = hours(REPEATABLE_HOURS.saturating_add(SKEW_HOURS));
    let until = order.made_at.checked_add_signed(span).unwrap_or(order.made_at);
    let mut query = vec![
        ("limit", PAGE.to_string()),
        ("created[gte]", since.timestamp().to_string()),
        ("created[lte]", until.timestamp().to_string()),
        ("expand[]", "data.latest_charge".into()),
    ];
    query.extend(order.customer.iter().map(|customer| ("customer", customer.0.clone())));
    query.extend(after.map(|after| ("starting_after", after.to_owned())));
    query
}
