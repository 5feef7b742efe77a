//! Every change of a charge, and the events that it sends.

use super::*;

/// The method; the changes in sequence, with `!` for a refused one; the payment and its dispute after them; the events.
const TABLE: [[&str; 4]; 31] = [
    ["card_authentication", "", "action", "action"],
    ["card_authentication", "authenticate", "succeeded", "action succeeded"],
    ["card_authentication", "authenticate authenticate", "succeeded", "action succeeded succeeded"],
    ["card_authentication", "authenticate cancel", "succeeded", "action succeeded"],
    ["card_authentication", "authenticate refund", "refunded", "action succeeded refunded"],
    ["card_authentication", "cancel cancel", "cancelled", "action cancelled"],
    ["card_authentication", "cancel authenticate! refund! open!", "cancelled", "action cancelled"],
    ["card_authentication", "refund! open!", "action", "action"],
    ["card_declined", "authenticate! refund! open! cancel", DECLINED, DECLINED],
    ["card_xyz123", "cancel", "succeeded", "succeeded"],
    ["card_xyz123", "authenticate", "succeeded", "succeeded succeeded"],
    ["card_xyz123", "refund refund refund", "refunded", "succeeded refunded"],
    ["card_xyz123", "refund cancel authenticate", "refunded", "succeeded refunded refunded"],
    ["card_xyz123", "refund open!", "refunded", "succeeded refunded"],
    ["card_xyz123", "win! lose!", "succeeded", "succeeded"],
    ["card_xyz123", "open", "succeeded open", "succeeded opened"],
    ["card_xyz123", "open open", "succeeded open", "succeeded opened opened"],
    ["card_xyz123", "open refund!", "succeeded open", "succeeded opened"],
    ["card_xyz123", "open win win", "succeeded won", "succeeded opened won won"],
    ["card_xyz123", "open win open! lose! refund", "refunded won", "succeeded opened won refunded"],
    ["card_xyz123", "open lose lose", "succeeded lost", "succeeded opened lost lost"],
    ["card_xyz123", "open lose win! open!", "succeeded lost", "succeeded opened lost"],
    ["card_xyz123", "part", "succeeded", "succeeded refunded"],
    ["card_xyz123", "part part part part part! refund refund", "refunded", REFUNDED_FIVE_TIMES],
    // A partial refund is made once per name.
    ["card_xyz123", "ours ours ours", "succeeded", "succeeded refunded"],
    ["card_xyz123", "refund ours! part!", "refunded", "succeeded refunded"],
    ["card_xyz123", "fail! part fail part", "succeeded", "succeeded refunded refunded refunded"],
    ["card_xyz123", "part part open-part!", "succeeded", "succeeded refunded refunded"],
    // After a lost partial dispute, the rest can be refunded.
    [
        "card_xyz123",
        "open-part part! lose part part! refund",
        "succeeded lost",
        "succeeded opened lost refunded refunded",
    ],
    ["card_xyz123", "open lose part!", "succeeded lost", "succeeded opened lost"],
    // After a lost dispute of the whole payment, nothing is left to refund.
    ["card_xyz123", "open lose refund", "succeeded lost", "succeeded opened lost"],
];

const REFUNDED_FIVE_TIMES: &str = "succeeded refunded refunded refunded refunded refunded";

const DECLINED: &str = "failed card_declined generic_decline";

#[tokio::test]
async fn a_charge_changes_as_the_table_says() {
    for [method, acts, after, sent] in TABLE {
        let (backend, wanted) = (TestBackend::default(), order(1, method));
        let provider = backend.provider(Vec::new());
        provider.charge(&wanted).await.unwrap();
        for act in acts.split_whitespace() {
            let before = backend.stored();
            let done = done(&provider, &wanted, act.trim_end_matches('!')).await;
            assert_eq!(done, !act.ends_with('!'), "{method}: {acts}: {act}");
            assert!(
                done || backend.stored() == before,
                "{method}: {acts}: {act}: a refused change has no effect"
            );
        }
        assert_eq!(now_is(&provider, &wanted).await, after, "{method}: {acts}");
        assert_eq!(read_back(&provider, &backend).await, sent, "{method}: {acts}");
        let again = TestBackend::default().provider(backend.stored());
        assert_eq!(now_is(&again, &wanted).await, after, "{method}: {acts}: after a restart");
        assert_eq!(again.charges(), provider.charges());
    }
}

async fn done(provider: &Simulated, order: &ChargeOrder, act: &str) -> bool {
    let (transaction, id) = (order.purchase.transaction, id_of(provider, order).await);
    match act {
        "authenticate" => provider.authenticate(transaction).is_ok(),
        "cancel" => {
            let cancelled = provider.cancel(&id).await.unwrap();
            assert_eq!(
                provider.find(order).await.unwrap(),
                Some(cancelled),
                "cancel returns the state after it"
            );
            true
        }
        "refund" => provider.refund(&id).await.is_ok(),
        "part" => provider.refund_amount(transaction, Some(1_000)).is_ok(),
        "ours" => {
            let refund = MoneyRefund { name: "txn_1".to_owned(), amount: 1_000 };
            provider.refund_part(&id, &refund).await.unwrap() == RefundAnswer::Made
        }
        "fail" => provider.fail_refunds(transaction).is_ok(),
        "open-part" => provider.dispute_part(transaction, DisputeAction::Open, Some(3_000)).is_ok(),
        "open" => provider.dispute(transaction, DisputeAction::Open).is_ok(),
        "win" => provider.dispute(transaction, DisputeAction::Win).is_ok(),
        "lose" => provider.dispute(transaction, DisputeAction::Lose).is_ok(),
        other => panic!("{other}"),
    }
}

/// The payment and its dispute as text.
async fn now_is(provider: &Simulated, order: &ChargeOrder) -> String {
    let payment = answer(provider.find(order).await);
    match provider.charges()[0].dispute {
        None => payment,
        Some(SimulatedDispute::Open) => format!("{payment} open"),
        Some(SimulatedDispute::Won) => format!("{payment} won"),
        Some(SimulatedDispute::Lost) => format!("{payment} lost"),
    }
}

/// The events that were sent, as text.
async fn read_back(provider: &Simulated, backend: &TestBackend) -> String {
    let mut words = Vec::new();
    for notice in backend.sent() {
        let event = provider.event(&notice.signature, &notice.body, now()).await.unwrap().unwrap();
        words.push(match event {
            ProviderEvent::Payment(payment) => status(&payment.status),
            ProviderEvent::DisputeOpened(_) => "opened".to_owned(),
            ProviderEvent::DisputeClosed(_, crate::DisputeOutcome::Won) => "won".to_owned(),
            ProviderEvent::DisputeClosed(_, crate::DisputeOutcome::Lost) => "lost".to_owned(),
            ProviderEvent::Refunded(_) => "refunded".to_owned(),
        });
    }
    words.join(" ")
}
