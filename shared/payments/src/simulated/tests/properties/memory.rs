//! Memory: restarts, a failing journal, and charges that are derived from the payment method.

use super::*;

#[tokio::test]
async fn stored_charges_are_found_after_a_restart_and_not_repeated() {
    let backend = TestBackend::default();
    let first = backend.provider(Vec::new());
    let orders = ["card_xyz123", "card_declined", "card_authentication", "card_timeout_charged", "pm_none"];
    let orders: Vec<_> = (1..).zip(orders).map(|(number, method)| order(number, method)).collect();
    for order in &orders {
        let paid = first.charge(order).await;
        assert_eq!(paid.is_ok(), order.method.as_str() != "card_timeout_charged");
    }
    first.refund(&id_of(&first, &orders[0]).await).await.unwrap();
    first.authenticate(orders[2].purchase.transaction).unwrap();
    first.dispute(orders[3].purchase.transaction, DisputeAction::Open).unwrap();

    let lines: Vec<_> =
        backend.stored().iter().map(|charge| serde_json::to_string(charge).unwrap()).collect();
    let earlier: Vec<SimulatedCharge> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(earlier, backend.stored(), "a line reads as it was written");
    let later = TestBackend::default();
    let second = later.provider(earlier);
    assert_eq!(second.charges(), first.charges());
    for order in &orders {
        let known = first.find(order).await.unwrap().unwrap();
        assert_eq!(second.find(order).await.unwrap().as_ref(), Some(&known));
        assert_eq!(second.payment(known.id.as_ref().unwrap()).await.unwrap().as_ref(), Some(&known));
        assert_eq!(second.charge(order).await.unwrap(), known);
    }
    assert!(later.stored().is_empty() && later.sent().is_empty(), "nothing has changed, so nothing is sent");
}

/// The journal of a process that ends during a slow charge.
async fn interrupted(wanted: &ChargeOrder) -> Vec<SimulatedCharge> {
    let backend = TestBackend::default();
    let provider = backend.provider(Vec::new());
    tokio::time::timeout(Duration::ZERO, provider.charge(wanted)).await.unwrap_err();
    let stored = backend.stored();
    assert!(matches!(stored.as_slice(), [charge] if charge.state == ChargeState::Processing));
    stored
}

#[tokio::test]
async fn an_interrupted_slow_charge_is_made_and_sent_once() {
    let (backend, wanted) = (TestBackend::default(), order(1, "card_slow"));
    let mut lines = interrupted(&wanted).await;
    let provider = backend.provider(lines.clone());
    assert_eq!(answer(provider.find(&wanted).await), "succeeded");
    assert_eq!(answer(provider.charge(&wanted).await.map(Some)), "succeeded");
    let sent = backend.sent();
    assert_eq!((provider.charges().len(), sent.len()), (1, 1));
    let event = provider.event(&sent[0].signature, &sent[0].body, now()).await.unwrap();
    assert_eq!(event, provider.find(&wanted).await.unwrap().map(ProviderEvent::Payment));
    lines.extend(backend.stored());
    let later = TestBackend::default();
    assert_eq!(later.provider(lines).charges(), provider.charges());
    assert!(later.sent().is_empty());
}

#[tokio::test]
async fn an_interrupted_slow_charge_is_found_even_if_the_journal_fails() {
    let (backend, wanted) = (TestBackend::default(), order(1, "card_slow"));
    backend.full.store(true, Ordering::SeqCst);
    let provider = backend.provider(interrupted(&wanted).await);
    assert_eq!(answer(provider.find(&wanted).await), "succeeded");
    assert!(backend.sent().is_empty());
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_has_no_effect() {
    let backend = TestBackend::default();
    let provider = backend.provider(Vec::new());
    let (new, waiting, paid) = (order(1, "card_xyz123"), order(2, "card_authentication"), order(3, "card_a"));
    provider.charge(&waiting).await.unwrap();
    provider.charge(&paid).await.unwrap();
    let (charges, sent) = (provider.charges(), backend.sent());
    let (waiting_id, paid_id) = (id_of(&provider, &waiting).await, id_of(&provider, &paid).await);
    backend.full.store(true, Ordering::SeqCst);
    for method in ["card_xyz123", "card_declined", "card_authentication", "card_timeout_charged", "card_slow"]
    {
        provider.charge(&order(1, method)).await.unwrap_err();
    }
    assert_eq!(provider.find(&new).await.unwrap(), None);
    provider.cancel(&waiting_id).await.unwrap_err();
    provider.refund(&paid_id).await.unwrap_err();
    assert!(matches!(provider.authenticate(waiting.purchase.transaction), Err(ChargeChangeError::Silent(_))));
    let disputed = provider.dispute(paid.purchase.transaction, DisputeAction::Open);
    assert!(matches!(disputed, Err(ChargeChangeError::Silent(_))));
    assert_eq!((provider.charges(), backend.sent()), (charges, sent));
    // A call that changes nothing does not write.
    assert_eq!(answer(provider.charge(&paid).await.map(Some)), "succeeded");

    backend.full.store(false, Ordering::SeqCst);
    assert_eq!(answer(provider.charge(&new).await.map(Some)), "succeeded");
    assert_eq!(answer(provider.cancel(&waiting_id).await.map(Some)), "cancelled");
    provider.refund(&paid_id).await.unwrap();
    assert_eq!(provider.charges().len(), 3);
}

#[tokio::test]
async fn a_process_without_memory_derives_charges_that_it_never_made() {
    for (method, off_session, known) in [
        ("card_xyz123", false, "succeeded"),
        ("card_declined", false, "failed card_declined generic_decline"),
        ("card_insufficient_funds", false, "failed card_declined insufficient_funds"),
        ("card_authentication", false, "action"),
        ("card_authentication", true, "failed authentication_required authentication_required"),
        ("card_timeout_charged", false, "succeeded"),
        ("card_timeout_uncharged", false, "none"),
        ("card_slow", false, "succeeded"),
        ("pm_xyz123", false, "failed payment_method_unknown -"),
    ] {
        let wanted = ChargeOrder { off_session, ..order(1, method) };
        let (one, other) = (Simulated::without_memory(), Simulated::without_memory());
        let found = one.find(&wanted).await.unwrap();
        assert_eq!(answer(Ok(found.clone())), known, "{method}");
        let Some(id) = found.clone().and_then(|payment| payment.id) else { continue };
        assert_eq!(other.payment(&id).await.unwrap(), found, "{method}");
        assert_eq!(other.refund(&id).await.is_ok(), known == "succeeded", "{method}");
        let cancelled = answer(other.cancel(&id).await.map(Some));
        assert_eq!(cancelled, if known == "action" { "cancelled" } else { known }, "{method}");
        assert!(one.charges().is_empty() && other.charges().is_empty(), "{method}");
    }
}

#[tokio::test]
async fn only_the_canonical_id_of_a_payment_is_read() {
    let (provider, wanted) = (Simulated::without_memory(), order(1, "card_xyz123"));
    let id = id_of(&provider, &wanted).await.0;
    let never = id_of(&provider, &order(1, "card_slow")).await.0.replace("_slow_", "_never_");
    for wrong in [
        never,
        id.to_lowercase(),
        format!("{id}0"),
        format!("{id}_"),
        id.replace("GBP4900", "GBP04900"),
        id.replace("GBP4900", "GBP+4900"),
        id.replace("GBP4900", "GBP-4900"),
        id.replace("GBP4900", "XXQ4900"),
        id.replace("GBP4900", "é"),
        id.replace("_ok_", "_OK_"),
        id.replace("_ok_", "_"),
        id.replace("_live_", "_dead_"),
        id.replace("pay_sim_", "pi_"),
        String::new(),
    ] {
        assert_eq!(provider.payment(&PaymentId(wrong.clone())).await.unwrap(), None, "{wrong}");
    }
    // A charge in memory takes precedence over its id.
    provider.charge(&wanted).await.unwrap();
    let dearer = PaymentId(id.replace("GBP4900", "GBP9900"));
    assert_eq!(provider.payment(&dearer).await.unwrap(), None);
}

#[tokio::test]
async fn the_memory_of_a_process_without_journal_is_bounded() {
    let provider = Simulated::without_memory();
    for number in 0..=10_000 {
        provider.charge(&order(number, "card_declined")).await.unwrap();
    }
    assert_eq!(provider.charges().len(), 1);
    let forgotten = order(1, "card_declined");
    assert_eq!(answer(provider.find(&forgotten).await), "failed card_declined generic_decline");
}
