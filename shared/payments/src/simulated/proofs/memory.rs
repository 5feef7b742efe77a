use super::*;

#[tokio::test]
async fn what_was_kept_is_found_after_a_restart_and_not_charged_again() {
    let desk = Desk::default();
    let first = desk.company(Vec::new());
    let orders = ["card_xyz123", "card_declined", "card_authentication", "card_timeout_charged", "pm_none"];
    let orders: Vec<_> = (1..).zip(orders).map(|(number, method)| order(number, method)).collect();
    for order in &orders {
        let heard = first.charge(order).await;
        assert_eq!(heard.is_ok(), order.method.as_str() != "card_timeout_charged");
    }
    first.refund(&id_of(&first, &orders[0]).await).await.unwrap();
    first.authenticate(orders[2].purchase.transaction).unwrap();
    first.dispute(orders[3].purchase.transaction, DisputeAction::Open).unwrap();

    let lines: Vec<_> = desk.kept().iter().map(|charge| serde_json::to_string(charge).unwrap()).collect();
    let earlier: Vec<Charge> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(earlier, desk.kept(), "a line reads as it was written");
    let later = Desk::default();
    let second = later.company(earlier);
    assert_eq!(second.charges(), first.charges());
    for order in &orders {
        let known = first.find(order).await.unwrap().unwrap();
        assert_eq!(second.find(order).await.unwrap().as_ref(), Some(&known));
        assert_eq!(second.payment(known.id.as_ref().unwrap()).await.unwrap().as_ref(), Some(&known));
        assert_eq!(second.charge(order).await.unwrap(), known);
    }
    assert!(later.kept().is_empty() && later.told().is_empty(), "nothing has changed, so nothing is told");
}

/// A slow charge as a process leaves it that ends meanwhile.
async fn cut_off(wanted: &Order) -> Vec<Charge> {
    let desk = Desk::default();
    let company = desk.company(Vec::new());
    tokio::time::timeout(Duration::ZERO, company.charge(wanted)).await.unwrap_err();
    let kept = desk.kept();
    assert!(matches!(kept.as_slice(), [charge] if charge.state == State::Processing));
    kept
}

#[tokio::test]
async fn a_slow_charge_that_a_crash_cut_off_is_made_and_told_once() {
    let (desk, wanted) = (Desk::default(), order(1, "card_slow"));
    let mut lines = cut_off(&wanted).await;
    let company = desk.company(lines.clone());
    assert_eq!(answer(company.find(&wanted).await), "succeeded");
    assert_eq!(answer(company.charge(&wanted).await.map(Some)), "succeeded");
    let told = desk.told();
    assert_eq!((company.charges().len(), told.len()), (1, 1));
    let event = company.event(&told[0].signature, &told[0].body, now()).await.unwrap();
    assert_eq!(event, company.find(&wanted).await.unwrap().map(Event::Payment));
    lines.extend(desk.kept());
    let later = Desk::default();
    assert_eq!(later.company(lines).charges(), company.charges());
    assert!(later.told().is_empty());
}

#[tokio::test]
async fn a_crash_of_a_slow_charge_is_overcome_when_nothing_can_be_kept() {
    let (desk, wanted) = (Desk::default(), order(1, "card_slow"));
    desk.full.store(true, Ordering::SeqCst);
    let company = desk.company(cut_off(&wanted).await);
    assert_eq!(answer(company.find(&wanted).await), "succeeded");
    assert!(desk.told().is_empty());
}

#[tokio::test]
async fn what_can_not_be_kept_has_not_happened() {
    let desk = Desk::default();
    let company = desk.company(Vec::new());
    let (new, waiting, paid) = (order(1, "card_xyz123"), order(2, "card_authentication"), order(3, "card_a"));
    company.charge(&waiting).await.unwrap();
    company.charge(&paid).await.unwrap();
    let (charges, told) = (company.charges(), desk.told());
    let (waiting_id, paid_id) = (id_of(&company, &waiting).await, id_of(&company, &paid).await);
    desk.full.store(true, Ordering::SeqCst);
    for method in ["card_xyz123", "card_declined", "card_authentication", "card_timeout_charged", "card_slow"]
    {
        company.charge(&order(1, method)).await.unwrap_err();
    }
    assert_eq!(company.find(&new).await.unwrap(), None);
    company.cancel(&waiting_id).await.unwrap_err();
    company.refund(&paid_id).await.unwrap_err();
    assert!(matches!(company.authenticate(waiting.purchase.transaction), Err(Undone::Silent(_))));
    let disputed = company.dispute(paid.purchase.transaction, DisputeAction::Open);
    assert!(matches!(disputed, Err(Undone::Silent(_))));
    assert_eq!((company.charges(), desk.told()), (charges, told));
    // What is as it was needs no keeping.
    assert_eq!(answer(company.charge(&paid).await.map(Some)), "succeeded");

    desk.full.store(false, Ordering::SeqCst);
    assert_eq!(answer(company.charge(&new).await.map(Some)), "succeeded");
    assert_eq!(answer(company.cancel(&waiting_id).await.map(Some)), "cancelled");
    company.refund(&paid_id).await.unwrap();
    assert_eq!(company.charges().len(), 3);
}

#[tokio::test]
async fn a_process_that_goes_by_the_rule_answers_for_orders_that_it_never_saw() {
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
        let wanted = Order { off_session, ..order(1, method) };
        let (one, other) = (Simulated::by_rule(), Simulated::by_rule());
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
async fn only_the_very_id_of_a_payment_is_read() {
    let (by_rule, wanted) = (Simulated::by_rule(), order(1, "card_xyz123"));
    let id = id_of(&by_rule, &wanted).await.0;
    let never = id_of(&by_rule, &order(1, "card_slow")).await.0.replace("_slow_", "_never_");
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
        assert_eq!(by_rule.payment(&PaymentId(wrong.clone())).await.unwrap(), None, "{wrong}");
    }
    // Whoever has the charge itself goes by that.
    by_rule.charge(&wanted).await.unwrap();
    let dearer = PaymentId(id.replace("GBP4900", "GBP9900"));
    assert_eq!(by_rule.payment(&dearer).await.unwrap(), None);
}

#[tokio::test]
async fn a_process_that_goes_by_the_rule_does_not_grow_without_end() {
    let company = Simulated::by_rule();
    for number in 0..=10_000 {
        company.charge(&order(number, "card_declined")).await.unwrap();
    }
    assert_eq!(company.charges().len(), 1);
    let forgotten = order(1, "card_declined");
    assert_eq!(answer(company.find(&forgotten).await), "failed card_declined generic_decline");
}
