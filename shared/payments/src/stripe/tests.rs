//! Tests of the meaning of responses, and of the forms of orders.

use serde_json::{Value, json};

use super::meaning::{ErrorBody, Meaning, meaning};
use super::order;
use crate::{ChargeOrder, CustomerId, Decline, PurchaseId};
use domain::{Currency, Money, Reference};

/// An error body in Stripe's format: type, code, decline code, parameter.
fn error(kind: &str, code: Option<&str>, decline_code: Option<&str>, param: Option<&str>) -> String {
    let mut error = json!({
        "type": kind,
        "message": "Words for people.",
        "doc_url": "https://docs.stripe.com/error-codes",
        "request_log_url": "https://dashboard.stripe.com/test/logs/req_1",
    });
    for (name, value) in [("code", code), ("decline_code", decline_code), ("param", param)] {
        if let Some(value) = value {
            error[name] = value.into();
        }
    }
    json!({ "error": error }).to_string()
}

fn invalid(code: Option<&str>, param: Option<&str>) -> String {
    error("invalid_request_error", code, None, param)
}

#[track_caller]
fn check(expected: Meaning, rows: &[(u16, String)]) {
    for (status, body) in rows {
        assert_eq!(meaning(*status, &ErrorBody::read(body.as_bytes())), expected, "{status} {body}");
    }
}

#[test]
fn responses_that_refuse_a_charge() {
    let card = |code, decline| error("card_error", Some(code), decline, None);
    check(
        Meaning::Refused,
        &[
            (402, card("card_declined", Some("generic_decline"))),
            (402, card("card_declined", Some("insufficient_funds"))),
            (402, card("card_declined", Some("lost_card"))),
            (402, card("expired_card", None)),
            (402, card("incorrect_cvc", None)),
            (402, card("processing_error", None)),
            (402, card("authentication_required", Some("authentication_required"))),
            (402, invalid(Some("card_declined"), None)),
            (400, invalid(Some("resource_missing"), Some("payment_method"))),
            (404, invalid(Some("resource_missing"), Some("payment_method"))),
            (404, invalid(Some("resource_missing"), Some("intent"))),
            (400, invalid(Some("payment_method_unactivated"), Some("payment_method"))),
            // A payment method that belongs to another customer, or was used already.
            (400, invalid(None, Some("payment_method"))),
            (400, invalid(None, None)),
            (400, invalid(Some("payment_method_unexpected_state"), None)),
            (400, invalid(Some("parameter_invalid_integer"), Some("payment_method_data[card][exp_year]"))),
            (400, invalid(Some("resource_missing"), Some("customer"))),
            (400, invalid(Some("amount_too_small"), Some("amount"))),
            (400, invalid(None, Some("currency"))),
            (400, invalid(Some("payment_intent_unexpected_state"), None)),
        ],
    );
}

#[test]
fn responses_that_leave_the_result_unknown() {
    let api_error = || error("api_error", None, None, None);
    check(
        Meaning::Unknown,
        &[
            (409, error("idempotency_error", Some("idempotency_key_in_use"), None, None)),
            (409, invalid(Some("idempotency_key_in_use"), None)),
            (400, invalid(Some("lock_timeout"), None)),
            (429, invalid(Some("lock_timeout"), None)),
            (429, invalid(Some("rate_limit"), None)),
            (429, String::new()),
            (424, api_error()),
            (500, api_error()),
            (500, "{}".into()),
            (502, "<html>Bad Gateway</html>".into()),
            (503, String::new()),
            (504, "upstream request timeout".into()),
            // Not a response of Stripe, with any status.
            (402, "Payment Required".into()),
            (402, "{}".into()),
            (402, "{\"error\": \"no\"}".into()),
            (400, "Bad Request".into()),
            (400, api_error()),
            (302, String::new()),
            (201, String::new()),
            (204, String::new()),
            (408, String::new()),
        ],
    );
}

#[test]
fn responses_that_reject_our_configuration() {
    check(
        Meaning::Misconfigured,
        &[
            (401, invalid(None, None)),
            (401, invalid(Some("api_key_expired"), None)),
            (401, String::new()),
            (403, invalid(Some("more_permissions_required"), None)),
            (403, invalid(Some("account_invalid"), None)),
            (400, error("idempotency_error", None, None, None)),
            (400, invalid(Some("parameter_unknown"), Some("expand"))),
            (400, invalid(Some("url_invalid"), Some("return_url"))),
            (400, invalid(Some("parameter_missing"), None)),
            (400, invalid(Some("testmode_charges_only"), None)),
            (404, invalid(None, None)),
            (404, "not found".into()),
        ],
    );
    check(Meaning::Done, &[(200, "{}".into())]);
}

#[test]
fn a_decline_keeps_stripes_codes_and_the_payments_id() {
    let decline = |reason: &str, code: Option<&str>| Decline {
        reason: reason.into(),
        decline_code: code.map(str::to_owned),
    };
    for (body, expected) in [
        (
            error("card_error", Some("card_declined"), Some("insufficient_funds"), None),
            decline("card_declined", Some("insufficient_funds")),
        ),
        (
            error("card_error", Some("authentication_required"), None, None),
            decline("authentication_required", None),
        ),
        (error("invalid_request_error", None, None, None), decline("invalid_request_error", None)),
        ("{}".into(), decline("payment_failed", None)),
    ] {
        let error = ErrorBody::read(body.as_bytes());
        assert_eq!((error.decline(), error.payment()), (expected, None), "{body}");
    }
    let mut whole: Value =
        serde_json::from_str(&error("card_error", Some("expired_card"), None, None)).unwrap();
    whole["error"]["payment_intent"] =
        json!({ "id": "pi_1", "object": "payment_intent", "status": "requires_payment_method" });
    let error = ErrorBody::read(whole.to_string().as_bytes());
    assert_eq!(error.payment().unwrap().0, "pi_1");
}

fn order() -> ChargeOrder {
    ChargeOrder {
        purchase: PurchaseId {
            account: "org_01HM6QY8R00000000000000001#live".parse().unwrap(),
            transaction: "txn_01HM6QY8R00000000000000002".to_owned().try_into().unwrap(),
        },
        customer: Some(CustomerId("cus_1".into())),
        method: Reference::try_from("pm_1".to_owned()).unwrap(),
        price: Money::new(4900, Currency::try_from("GBP".to_owned()).unwrap()).unwrap(),
        description: "500 credits".into(),
        off_session: true,
        made_at: "2026-01-15T10:30:00Z".parse().unwrap(),
        payment: None,
    }
}

#[test]
fn the_form_of_a_charge() {
    let form = |order: &ChargeOrder, url: Option<&str>| {
        let fields = order::charge(order, url);
        fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    let usual = [
        "amount=4900",
        "currency=gbp",
        "confirm=true",
        "payment_method_types[]=card",
        "payment_method=pm_1",
        "metadata[account]=org_01HM6QY8R00000000000000001#live",
        "metadata[transaction]=txn_01HM6QY8R00000000000000002",
        "customer=cus_1",
        "description=500 credits",
    ];
    let off_session = order();
    let on_session = ChargeOrder { off_session: false, ..order() };
    for (order, url, last) in [
        (&off_session, None, "off_session=true"),
        (&off_session, Some("https://us"), "off_session=true"),
        (&on_session, Some("https://us"), "return_url=https://us"),
        (&on_session, None, "error_on_requires_action=true"),
    ] {
        assert_eq!(form(order, url), [&usual[..], &[last, "expand[]=latest_charge"]].concat());
    }
    let bare = ChargeOrder { customer: None, description: String::new(), ..order() };
    assert!(
        !form(&bare, None)
            .iter()
            .any(|field| field.starts_with("customer") || field.starts_with("description"))
    );
    let key = "org_01HM6QY8R00000000000000001#live:txn_01HM6QY8R00000000000000002";
    assert_eq!(order::key(&order()), key);
    // A repeated order has the same form and key, even after the payment's id is known.
    let named = ChargeOrder { payment: Some(super::PaymentId("pi_1".into())), ..order() };
    assert_eq!((form(&named, None), order::key(&named)), (form(&order(), None), order::key(&order())));
}

#[test]
fn a_search_covers_the_whole_time_in_which_a_charge_may_have_been_made() {
    let search = order::search(&order(), Some("pi_9"));
    let value = |name: &str| search.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let time =
        |name: &str| chrono::DateTime::from_timestamp(value(name).unwrap().parse().unwrap(), 0).unwrap();
    assert_eq!(time("created[gte]").to_string(), "2026-01-15 08:30:00 UTC");
    assert_eq!(time("created[lte]").to_string(), "2026-01-16 11:30:00 UTC");
    assert_eq!(
        (value("customer").as_deref(), value("starting_after").as_deref()),
        (Some("cus_1"), Some("pi_9"))
    );
}

#[test]
fn keys_are_never_printed_and_never_sent_unencrypted() {
    use super::{Stripe, StripeConfig, StripeSecrets};

    let secrets =
        |key: &str| StripeSecrets::Fixed { api_key: key.into(), webhook_secrets: vec!["whsec_x".into()] };
    let config = StripeConfig::new(secrets("sk_test_hidden"));
    assert!(!format!("{config:?}").contains("hidden") && !format!("{config:?}").contains("whsec_x"));
    let made = |base: &str, key: &str| {
        let config = StripeConfig { api_base: Some(base.into()), ..StripeConfig::new(secrets(key)) };
        Stripe::new(config).map(|_| ()).map_err(|wrong| wrong.to_string())
    };
    assert_eq!(made("https://api.stripe.com", "sk_test_1"), Ok(()));
    assert_eq!(made("http://127.0.0.1:12111", "sk_test_1"), Ok(()));
    for (base, key) in [
        ("http://api.stripe.com", "sk_test_1"),
        ("http://127.0.0.1.example.com", "sk_test_1"),
        ("ftp://127.0.0.1", "sk_test_1"),
        ("stripe", "sk_test_1"),
        ("https://api.stripe.com", ""),
        ("https://api.stripe.com", "sk_test_1\r\nX: y"),
    ] {
        assert!(made(base, key).is_err(), "{base} {key:?}");
    }
}
