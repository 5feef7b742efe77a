use chrono::TimeDelta;

use super::http::Field;
use super::{Order, REPEATABLE_HOURS};

/// Payments on a page of a search: the most that Stripe gives.
pub(super) const PAGE: u32 = 100;

/// How far our clock may be from Stripe's, in hours, with the time that a call takes.
const APART_HOURS: i64 = 2;

/// The idempotency key of a charge.
pub(super) fn key(order: &Order) -> String {
    let purchase = order.purchase;
    format!("{}:{}", purchase.account, purchase.transaction)
}

/// What a charge says. Two sendings of an order must say the same to the letter.
pub(super) fn charge(order: &Order, return_url: Option<&str>) -> Vec<Field> {
    let purchase = order.purchase;
    let mut form = vec![
        ("amount", order.price.amount().to_string()),
        ("currency", order.price.currency().code().to_ascii_lowercase()),
        ("confirm", "true".into()),
        // Cards only: they are what can be charged while nobody is there, and they answer at once.
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
        // With nowhere to return to, the customer would be asked for what nobody can show them.
        (false, None) => ("error_on_requires_action", "true".into()),
    });
    form.extend(whole());
    form
}

/// Has a payment come with its charge, which tells receipt and refund.
pub(super) fn whole() -> [Field; 1] {
    [("expand[]", "latest_charge".into())]
}

/// A page of the payments among which that of an order is, after the payment `after`.
pub(super) fn search(order: &Order, after: Option<&str>) -> Vec<Field> {
    let hours = |hours: i64| TimeDelta::try_hours(hours).unwrap_or_default();
    let since = order.made_at.checked_sub_signed(hours(APART_HOURS)).unwrap_or(order.made_at);
    let span = hours(REPEATABLE_HOURS.saturating_add(APART_HOURS));
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
