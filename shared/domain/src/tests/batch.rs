//! Tests of batches.

use super::*;

fn item(amount: u64) -> Consume {
    Consume {
        operation: Operation::try_from("aml.pep".to_owned()).unwrap(),
        amount: credits(amount),
        service: None,
    }
}

/// Items by their prices; `-` for one without a price.
fn items(line: &str) -> Vec<Option<Consume>> {
    line.split(' ').map(|price| price.parse().ok().map(item)).collect()
}

/// account; items; atomic => total debited, or the refusal
#[test]
fn items_are_charged_in_order() {
    for (line, prices, atomic, expected) in [
        ("sub 5, bonus 3", "2 3 2", false, "sub 5, lot2 2"),
        ("sub 5, bonus 3", "2 3 2", true, "sub 5, lot2 2"),
        // An item without enough credits or without a price is not charged; those after it are.
        ("sub 5", "4 3 1", false, "sub 5"),
        ("sub 5", "4 - 1", false, "sub 5"),
        ("sub 5", "6 9", false, ""),
        // Of an atomic batch all are charged or none. The available credits are allocated to its items in
        // order.
        ("sub 5", "4 3 1", true, "needs 8, has 5"),
        ("sub 5, limit 2", "4 3 1", true, "needs 8, has 7"),
        ("sub 5", "4 - 1", true, "needs 5, has 5"),
    ] {
        let request = Batch { items: items(prices), atomic };
        let summary = match batch(&account(line), &request, &attempt(99, at(NOW))) {
            Ok(posting) => moves(&posting),
            Err(Refusal::InsufficientCredits { required, available, .. }) => {
                format!("needs {}, has {}", required.get(), available.get())
            }
            Err(refusal) => panic!("{refusal}"),
        };
        assert_eq!(summary, expected, "{line}: {prices}, atomic {atomic}");
    }
}

fn asked(operation: &str) -> BatchItem {
    BatchItem {
        operation: Reference::try_from(operation.to_owned()).unwrap(),
        amount: None,
        details: Details::default(),
    }
}

/// Each charged item is a ledger line with its own operation and balance; the first line has the outcomes of
/// all items.
#[test]
fn each_charged_item_is_a_ledger_line() {
    let mut before = account("sub 5, bonus 3");
    before.sequence = 40;
    let request = Batch { items: items("2 9 4"), atomic: false };
    let posting = batch(&before, &request, &attempt(99, at(NOW))).unwrap();
    let after = before.apply(&posting).unwrap();
    let details = Details {
        items: vec![asked("aml.pep"), asked("aml.full"), asked("face.match")],
        ..Details::default()
    };
    let lines = after.receipts(details);
    let summary: Vec<_> = lines
        .iter()
        .map(|line| {
            let Receipt { entry, sequence, details, balance } = line;
            let left = (balance.subscription.get(), balance.bonus.get());
            let place = details.batch.map(|place| (place.batch, place.item, place.rows));
            (entry.operation.as_str(), *sequence, entry.amount.get(), left, entry.parts.len(), place)
        })
        .collect();
    let batch = id(99);
    assert_eq!(
        summary,
        [
            ("aml.pep", 41, 2, (3, 3), 3, Some((batch, 0, 2))),
            ("face.match", 42, 4, (0, 2), 0, Some((batch, 2, 2))),
        ]
    );
    assert_eq!(lines.iter().map(|line| line.entry.id).collect::<Vec<_>>(), [batch, batch.after(1)]);
}

/// A batch without a charged item is one line of 0 credits.
#[test]
fn a_batch_that_charges_nothing_is_one_ledger_line() {
    let before = account("");
    let request = Batch { items: items("2 -"), atomic: false };
    let posting = batch(&before, &request, &attempt(99, at(NOW))).unwrap();
    let after = before.apply(&posting).unwrap();
    let lines = after.receipts(Details::default());
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let place = Some(BatchPosition { batch: id(99), item: 0, rows: 1 });
    assert_eq!((line.entry.amount, line.entry.parts.len(), line.details.batch), (Credits::ZERO, 2, place));
    assert_eq!((line.entry.id, line.sequence), (id(99), after.sequence));
}

/// Of the items that were not charged, the one that lacks the fewest credits says why.
#[test]
fn the_item_that_lacks_least_says_why() {
    for (line, prices, expected) in [
        ("sub 5", "2 3", None),
        ("sub 5", "-", None),
        ("sub 5", "9 6 8", Some((6, 5, 1))),
        ("sub 5", "2 9 6", Some((6, 3, 3))),
        ("sub 5", "- 9 5 3", Some((3, 0, 3))),
    ] {
        let request = Batch { items: items(prices), atomic: false };
        let refusal = batch(&account(line), &request, &attempt(99, at(NOW))).unwrap().shortest();
        let summary = refusal.map(|refusal| {
            let lacking = refusal.lacking().unwrap();
            let Refusal::InsufficientCredits { required, available, .. } = refusal else {
                panic!("{refusal}")
            };
            (required.get(), available.get(), lacking.get())
        });
        assert_eq!(summary, expected, "{line}: {prices}");
    }
    assert_eq!(Refusal::Frozen.lacking(), None);
}

/// account; services of the items => the lots that a refused atomic batch passed over
#[test]
fn a_refused_batch_names_the_lots_that_pay_for_none_of_its_items() {
    use Service::{Api, Biometric};
    let line = "sub 1, bonus 3 api, bonus 4 biometric, bonus 0 smartcheck, purchased 5 until 2024-01-15, bonus 6 api until 2024-01-15";
    let ended = "lot5 5 ended, lot6 6 ended";
    for (services, expected) in [
        (vec![None], format!("lot2 3 api, lot3 4 biometric, {ended}")),
        (vec![None, None], format!("lot2 3 api, lot3 4 biometric, {ended}")),
        (vec![Some(Api)], format!("lot3 4 biometric, {ended}")),
        (vec![Some(Api), None], format!("lot3 4 biometric, {ended}")),
        (vec![Some(Api), Some(Biometric)], ended.to_owned()),
    ] {
        let items = services.iter().map(|service| Some(Consume { service: *service, ..item(99) })).collect();
        let refusal = batch(&account(line), &Batch { items, atomic: true }, &attempt(99, at(NOW)));
        let Err(Refusal::InsufficientCredits { passed_over, .. }) = refusal else { panic!("{refusal:?}") };
        let text = |lot: &PassedOverLot| {
            let reason = match lot.reason {
                PassedOverReason::OtherService(service) => service_name(service),
                PassedOverReason::Expired(_) => "ended".to_owned(),
                PassedOverReason::Disputed => "disputed".to_owned(),
            };
            let number = (1..9).find(|number| LotId::Granted(id(*number)) == lot.lot).unwrap();
            format!("lot{number} {} {reason}", lot.amount.get())
        };
        assert_eq!(passed_over.iter().map(text).collect::<Vec<_>>().join(", "), expected, "{services:?}");
    }
}
