use super::*;

/// Method; what is done one after the other, with `!` where it is refused; the payment and its
/// dispute then; the events that were told.
const TABLE: [[&str; 4]; 23] = [
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
    // The bank has given the money back: there is nothing more to give.
    ["card_xyz123", "open lose refund", "succeeded lost", "succeeded opened lost"],
];

const DECLINED: &str = "failed card_declined generic_decline";

#[tokio::test]
async fn a_charge_changes_as_its_customer_its_bank_and_we_say() {
    for [method, acts, after, told] in TABLE {
        let (desk, wanted) = (Desk::default(), order(1, method));
        let company = desk.company(Vec::new());
        company.charge(&wanted).await.unwrap();
        for act in acts.split_whitespace() {
            let before = desk.kept();
            let done = done(&company, &wanted, act.trim_end_matches('!')).await;
            assert_eq!(done, !act.ends_with('!'), "{method}: {acts}: {act}");
            assert!(
                done || desk.kept() == before,
                "{method}: {acts}: {act}: what is refused changes nothing"
            );
        }
        assert_eq!(now_is(&company, &wanted).await, after, "{method}: {acts}");
        assert_eq!(read_back(&company, &desk).await, told, "{method}: {acts}");
        let again = Desk::default().company(desk.kept());
        assert_eq!(now_is(&again, &wanted).await, after, "{method}: {acts}: after a restart");
        assert_eq!(again.charges(), company.charges());
    }
}

async fn done(company: &Simulated, order: &Order, act: &str) -> bool {
    let (transaction, id) = (order.purchase.transaction, id_of(company, order).await);
    match act {
        "authenticate" => company.authenticate(transaction).is_ok(),
        "cancel" => {
            let cancelled = company.cancel(&id).await.unwrap();
            assert_eq!(company.find(order).await.unwrap(), Some(cancelled), "it is told as it is then");
            true
        }
        "refund" => company.refund(&id).await.is_ok(),
        "open" => company.dispute(transaction, DisputeAction::Open).is_ok(),
        "win" => company.dispute(transaction, DisputeAction::Win).is_ok(),
        "lose" => company.dispute(transaction, DisputeAction::Lose).is_ok(),
        other => panic!("{other}"),
    }
}

/// The payment and its dispute.
async fn now_is(company: &Simulated, order: &Order) -> String {
    let payment = answer(company.find(order).await);
    match company.charges()[0].dispute {
        None => payment,
        Some(Dispute::Open) => format!("{payment} open"),
        Some(Dispute::Won) => format!("{payment} won"),
        Some(Dispute::Lost) => format!("{payment} lost"),
    }
}

/// The events that were told, as our own reader has them.
async fn read_back(company: &Simulated, desk: &Desk) -> String {
    let mut words = Vec::new();
    for notice in desk.told() {
        let event = company.event(&notice.signature, &notice.body, now()).await.unwrap().unwrap();
        words.push(match event {
            Event::Payment(payment) => standing(&payment.standing),
            Event::DisputeOpened(..) => "opened".to_owned(),
            Event::DisputeClosed(_, _, crate::pay::Outcome::Won) => "won".to_owned(),
            Event::DisputeClosed(_, _, crate::pay::Outcome::Lost) => "lost".to_owned(),
        });
    }
    words.join(" ")
}
