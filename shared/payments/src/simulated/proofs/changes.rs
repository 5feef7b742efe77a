use super::*;

/// Method; what is done one after the other, with `!` where it is refused; the payment and its
/// dispute then; the events that were told.
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
    // Under one name a part is refunded once.
    ["card_xyz123", "ours ours ours", "succeeded", "succeeded refunded"],
    ["card_xyz123", "refund ours! part!", "refunded", "succeeded refunded"],
    ["card_xyz123", "fail! part fail part", "succeeded", "succeeded refunded refunded refunded"],
    ["card_xyz123", "part part open-part!", "succeeded", "succeeded refunded refunded"],
    // Of what a bank has taken in part, the rest can be given back.
    [
        "card_xyz123",
        "open-part part! lose part part! refund",
        "succeeded lost",
        "succeeded opened lost refunded refunded",
    ],
    ["card_xyz123", "open lose part!", "succeeded lost", "succeeded opened lost"],
    // The bank has given the money back: there is nothing more to give.
    ["card_xyz123", "open lose refund", "succeeded lost", "succeeded opened lost"],
];

const REFUNDED_FIVE_TIMES: &str = "succeeded refunded refunded refunded refunded refunded";

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
        "part" => company.give_back(transaction, Some(1_000)).is_ok(),
        "ours" => {
            let refund = MoneyRefund { name: "txn_1".to_owned(), amount: 1_000 };
            company.refund_part(&id, &refund).await.unwrap() == RefundAnswer::Made
        }
        "fail" => company.fail_refunds(transaction).is_ok(),
        "open-part" => company.dispute_part(transaction, DisputeAction::Open, Some(3_000)).is_ok(),
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
            Event::DisputeOpened(_) => "opened".to_owned(),
            Event::DisputeClosed(_, crate::Outcome::Won) => "won".to_owned(),
            Event::DisputeClosed(_, crate::Outcome::Lost) => "lost".to_owned(),
            Event::Refunded(_) => "refunded".to_owned(),
        });
    }
    words.join(" ")
}
