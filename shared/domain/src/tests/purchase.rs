//! Tests of purchases.

use super::*;

fn price() -> Money {
    Money::new(4900, Currency::try_from("GBP".to_owned()).unwrap()).unwrap()
}

fn purchase(status: PurchaseStatus, charges: u32) -> Purchase {
    let account = AccountId { org: OrgId::new(at(NOW), 1), mode: Mode::Live };
    let id = PurchaseId { account, transaction: id(7) };
    let amount = Amount::try_from(500).unwrap();
    let offer = Offer { credits: amount, price: price(), service: None, package: None, version: 1 };
    let method = Reference::try_from("card_1".to_owned()).unwrap();
    Purchase { status, charges, ..Purchase::begun(id, offer, method, at(NOW)) }
}

fn payment(status: PaymentStatus) -> Payment {
    let id = Some(PaymentId("pi_1".into()));
    Payment { id, purchase: None, price: price(), status, receipt: None }
}

/// status of a purchase; the provider's report; hours since => the decision
#[test]
fn every_report_of_the_provider_has_one_decision() {
    use PaymentStatus::{Action, Cancelled, Failed, Processing, Refunded, Succeeded};

    let declined = || Decline::plain("card_declined");
    let link = || Some("https://pay.example/1".to_owned());
    let pi = || PaymentId("pi_1".into());
    for (before, status, hours, expected) in [
        (PurchaseStatus::Pending(None), Succeeded, 0, PurchaseDecision::Grant),
        (PurchaseStatus::Pending(link()), Succeeded, 200, PurchaseDecision::Grant),
        (PurchaseStatus::Pending(None), Failed(declined()), 0, PurchaseDecision::Fail(declined())),
        (PurchaseStatus::Pending(None), Processing, 0, PurchaseDecision::Wait(None)),
        (PurchaseStatus::Pending(None), Action(link().unwrap()), 23, PurchaseDecision::Wait(link())),
        (PurchaseStatus::Pending(None), Action(link().unwrap()), 24, PurchaseDecision::Cancel(pi())),
        (PurchaseStatus::Pending(None), Cancelled, 25, PurchaseDecision::Fail(Decline::plain("cancelled"))),
        (PurchaseStatus::Pending(None), Refunded, 0, PurchaseDecision::Fail(Decline::plain("refunded"))),
        // A final status stays, whatever is reported late.
        (PurchaseStatus::Approved(id(8)), Succeeded, 0, PurchaseDecision::Nothing),
        (PurchaseStatus::Approved(id(8)), Failed(declined()), 0, PurchaseDecision::Nothing),
        (PurchaseStatus::Approved(id(8)), Refunded, 0, PurchaseDecision::Nothing),
        (PurchaseStatus::Failed(declined()), Failed(declined()), 0, PurchaseDecision::Nothing),
        (PurchaseStatus::Failed(declined()), Processing, 0, PurchaseDecision::Nothing),
        // But a payment is refunded when the purchase was reported as failed.
        (PurchaseStatus::Failed(declined()), Succeeded, 0, PurchaseDecision::Refund(pi())),
    ] {
        let known = purchase(before, 1);
        let now = at(NOW) + chrono::Duration::hours(hours);
        assert_eq!(known.decide(&payment(status.clone()), now), expected, "{:?} {status:?}", known.status);
        // A payment of another amount is not the requested one.
        let pounds = Money::new(4901, price().currency()).unwrap();
        let other = Payment { price: pounds, ..payment(status) };
        assert_eq!(known.decide(&other, now), PurchaseDecision::Nothing);
    }
}

/// A charge without an answer is searched for before it is sent again, is sent again once, and never when the
/// provider may have forgotten the first.
#[test]
fn a_charge_is_repeated_only_while_that_is_safe() {
    let pending = |charges| purchase(PurchaseStatus::Pending(None), charges);
    assert_eq!(pending(0).next(), PurchaseStep::Charge);
    assert_eq!(pending(1).next(), PurchaseStep::Find);
    let hours = |hours| at(NOW) + chrono::Duration::hours(hours);
    // Without an answer, only a charge that the provider would not make twice is repeated.
    assert_eq!(pending(5).decide_without_payment(hours(0)), PurchaseDecision::Charge);
    assert_eq!(pending(1).decide_without_payment(hours(REPEATABLE_HOURS)), PurchaseDecision::Wait(None));
    let named = Purchase { payment: Some(PaymentId("pi_1".into())), ..pending(1) };
    assert_eq!(named.decide_without_payment(hours(0)), PurchaseDecision::Wait(None));
    let gone = PurchaseDecision::Fail(Decline::plain("provider_unavailable"));
    assert_eq!(pending(1).not_found(hours(0)), PurchaseDecision::Charge);
    assert_eq!(
        pending(1).not_found(hours(REPEATABLE_HOURS) - chrono::Duration::seconds(1)),
        PurchaseDecision::Charge
    );
    assert_eq!(pending(1).not_found(hours(REPEATABLE_HOURS)), gone);
    assert_eq!(pending(2).not_found(hours(0)), gone);
    assert_eq!(purchase(PurchaseStatus::Approved(id(8)), 1).next(), PurchaseStep::Rest);
    assert_eq!(purchase(PurchaseStatus::Failed(Decline::plain("x")), 1).next(), PurchaseStep::Rest);
}

#[test]
fn an_unfinished_purchase_is_checked_ever_less_often() {
    let minutes: Vec<_> = (0..9)
        .map(|looks| {
            let purchase = Purchase { looks, ..purchase(PurchaseStatus::Pending(None), 1) };
            (purchase.check_at(at(NOW)) - at(NOW)).num_minutes()
        })
        .collect();
    assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    let leased =
        Purchase { leased_until: Purchase::lease(at(NOW)), ..purchase(PurchaseStatus::Pending(None), 1) };
    assert!(leased.is_leased(at(NOW)));
    assert!(!leased.is_leased(leased.check_at(at(NOW))), "the lease has ended by the next check");
    let lease = Purchase::lease(at("2024-01-15T10:30:00.123456789Z"));
    assert_eq!(lease, at("2024-01-15T10:30:30.123Z"), "no finer than it is kept");
}

#[test]
fn a_purchase_must_fit_the_balance() {
    let offer = purchase(PurchaseStatus::Pending(None), 0).offer;
    assert_eq!(may_buy(&account("sub 5"), &offer), Ok(()));
    assert_eq!(may_buy(&account("sub 5, frozen"), &offer), Err(Refusal::Frozen));
    assert_eq!(may_buy(&account("purchased 9007199254740991"), &offer), Err(Refusal::BalanceLimit));
    // Credits of a service need a lot of their own; plain ones always find one.
    let lots = |days: std::ops::Range<u32>| {
        days.map(|day| format!("bonus 1 until 2024-03-{day}")).collect::<Vec<_>>()
    };
    let (full, room) = (lots(15..31).join(", "), lots(15..30).join(", "));
    let of_a_service = Offer { service: Some(Service::Api), ..offer.clone() };
    assert_eq!(may_buy(&account(&full), &of_a_service), Err(Refusal::TooManyLots));
    assert_eq!(may_buy(&account(&room), &of_a_service), Ok(()));
    assert_eq!(may_buy(&account(&full), &offer), Ok(()));
}
