//! The cost of captures and refunds of one transaction, from the 1st to the 100th and with the longest names: it
//! stays the same, and every part stays readable.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Amount, Attempt, ClaimKey, Consume, Credits, Details, DrawdownReason, Fingerprint,
    Grant, GrantOrigin, IdempotencyKey, Operation, Receipt, Reference, Refund, RefundAuthority, RefundReason,
    Refusal, Remainder, Source, consume, grant, hold,
};
use store::{Claim, DrawdownRequest, DrawdownResult, Ledger, Unsettled, hold_details};
use tests::{TestLedger, Units, keyed, moment, settle};

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// 255 characters of four bytes each.
fn longest() -> Reference {
    Reference::try_from("\u{1f980}".repeat(255)).unwrap()
}

fn key(number: u64) -> ClaimKey {
    ClaimKey::Caller(IdempotencyKey::try_from(format!("{number:0>255}")).unwrap())
}

fn asked(number: u64) -> Fingerprint {
    Fingerprint(format!("{number:0>64}"))
}

fn charge(count: u64) -> Consume {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    Consume { operation, amount: Credits::try_from(count).unwrap(), service: None }
}

fn named() -> Details {
    let name = Some(longest());
    let purpose = Operation::try_from("verification.standard".to_owned()).ok();
    Details {
        resource_id: name.clone(),
        customer_id: name.clone(),
        member_id: name,
        purpose,
        ..Details::default()
    }
}

/// An account with credits of the month and of `lots` grants.
async fn world(lots: u64) -> (TestLedger, AccountId) {
    let fixture = TestLedger::new().await;
    let id = fixture.open(100, start()).await;
    for number in 0..lots {
        let gift = Grant {
            source: Source::Bonus,
            amount: Amount::try_from(60).unwrap(),
            service: None,
            expires_at: Some(start() + Duration::days(10 + i64::try_from(number).unwrap())),
            origin: GrantOrigin::Operator,
        };
        let give = |account: &Account, attempt: &Attempt| grant(account, &gift, attempt);
        let name = format!("gift-{number}");
        settle(&fixture.ledger, id, keyed(&name, &name), moment(start()), give).await.unwrap();
    }
    (fixture, id)
}

async fn held(fixture: &TestLedger, id: AccountId, count: u64) -> Receipt {
    let details = Details { expires_at: Some(start() + Duration::days(30)), ..named() };
    let decide = |account: &Account, attempt: &Attempt| hold(account, &charge(count), attempt);
    let claim = Claim { key: &key(1_000), fingerprint: &asked(1_000), details: &details };
    fixture.ledger.settle(id, claim, moment(start()), decide).await.unwrap().receipt
}

async fn debited(fixture: &TestLedger, id: AccountId, count: u64) -> Receipt {
    let decide = |account: &Account, attempt: &Attempt| consume(account, &charge(count), attempt);
    let claim = Claim { key: &key(1_000), fingerprint: &asked(1_000), details: &named() };
    fixture.ledger.settle(id, claim, moment(start()), decide).await.unwrap().receipt
}

async fn capture(
    ledger: &Ledger,
    id: AccountId,
    from: &Receipt,
    (number, amount): (u64, Option<u64>),
) -> Result<DrawdownResult, Unsettled> {
    let asking = DrawdownRequest {
        claim: Claim { key: &key(number), fingerprint: &asked(number), details: &hold_details(from) },
        why: &DrawdownReason::Capture,
        moment: moment(start()),
    };
    let amount = amount.map(|amount| Credits::try_from(amount).unwrap());
    ledger.draw_down(id, from, asking, |remainder: &Remainder| remainder.to_capture(amount, start())).await
}

async fn refund(
    ledger: &Ledger,
    id: AccountId,
    from: &Receipt,
    (number, amount): (u64, Option<u64>),
) -> Result<DrawdownResult, Unsettled> {
    let request = Refund {
        transaction: from.entry.id,
        reason: RefundReason::TechnicalFailure,
        amount: amount.map(|amount| Amount::try_from(amount).unwrap()),
        note: Some(longest()),
        duplicate_of: None,
        by: RefundAuthority::Table,
    };
    let details = Details { description: Some(longest()), ..Details::default() };
    let claim = Claim { key: &key(number), fingerprint: &asked(number), details: &details };
    Ok(ledger.refund(id, &request, claim, moment(start())).await?.unwrap())
}

/// Prints the cost of each operation and compares it with the first.
#[expect(clippy::float_arithmetic, reason = "capacity units are fractions")]
fn are_flat(what: &str, costs: &[Units]) {
    for (number, cost) in (1..).zip(costs) {
        eprintln!("{what} {number}: {} write units, {} read units", cost.written, cost.read);
    }
    assert_eq!(costs.len(), 100);
    let first = costs[0];
    for (number, cost) in (1..).zip(costs) {
        assert!(
            (cost.written - first.written).abs() <= 1.0,
            "{what} {number}: {cost:?}, the first: {first:?}"
        );
        assert!((cost.read - first.read).abs() <= 1.0, "{what} {number}: {cost:?}, the first: {first:?}");
        // One more request for each lot that has to be read, and one where a page is written.
        assert!(cost.requests <= 12, "{what} {number}: {cost:?}");
    }
}

async fn is_sound(fixture: &mut TestLedger, id: AccountId) {
    fixture.project().await;
    let end = start() + Duration::minutes(1);
    let report = fixture.restarted().audit(id, end, |_| ()).await.unwrap().unwrap();
    assert_eq!((report.findings.as_slice(), report.added_up), ([].as_slice(), true));
}

#[tokio::test]
async fn a_capture_costs_the_same_from_the_first_to_the_hundredth() {
    for (lots, part) in [(0, 1), (15, 10)] {
        let (mut fixture, id) = world(lots).await;
        let from = held(&fixture, id, 100 * part).await;
        let (ledger, meter) = fixture.metered();
        ledger.account(id).await.unwrap();
        let (mut costs, mut answers) = (Vec::new(), Vec::new());
        for number in 1..=100 {
            meter.take();
            let amount = (number < 100).then_some(part);
            answers.push(capture(&ledger, id, &from, (number, amount)).await.unwrap());
            costs.push(meter.take());
        }
        are_flat(&format!("capture of {lots} lots"), &costs);
        for (number, before) in (1..).zip(&answers) {
            let amount = (number < 100).then_some(part);
            let again = capture(&fixture.restarted(), id, &from, (number, amount)).await.unwrap();
            assert!(again.settled.replayed);
            assert_eq!(again.settled.receipt, before.settled.receipt);
            assert_eq!(again.remainder.made.len(), usize::try_from(number).unwrap());
            assert_eq!(
                (&again.remainder.made, again.remainder.closed),
                (&before.remainder.made, number == 100)
            );
            assert_eq!(again.settled.receipt.details.resource_id, Some(longest()), "the hold's name");
        }
        let remainder = fixture.ledger.remainder(id, from.entry.id).await.unwrap().unwrap();
        assert_eq!(
            (remainder.captured(), remainder.drawn(), remainder.left()),
            (from.entry.amount, from.entry.amount, Credits::ZERO)
        );
        is_sound(&mut fixture, id).await;
    }
}

#[tokio::test]
async fn a_refund_costs_the_same_from_the_first_to_the_hundredth() {
    for (lots, part) in [(0, 1), (15, 10)] {
        let (mut fixture, id) = world(lots).await;
        let from = debited(&fixture, id, 100 * part).await;
        let (ledger, meter) = fixture.metered();
        ledger.account(id).await.unwrap();
        let mut costs = Vec::new();
        for number in 1..=100 {
            meter.take();
            let amount = (number < 100).then_some(part);
            let taken = refund(&ledger, id, &from, (number, amount)).await.unwrap();
            assert_eq!(taken.remainder.made.len(), usize::try_from(number).unwrap());
            costs.push(meter.take());
        }
        are_flat(&format!("refund of {lots} lots"), &costs);
        for number in [1, 8, 9, 50, 100] {
            let amount = (number < 100).then_some(part);
            let again = refund(&fixture.restarted(), id, &from, (number, amount)).await.unwrap();
            assert!(again.settled.replayed);
            assert_eq!(again.remainder.made.len(), usize::try_from(number).unwrap());
        }
        let remainders = fixture.ledger.remainders(id, &[from.entry.id]).await.unwrap();
        assert_eq!(remainders[&from.entry.id].made.len(), 100);
        is_sound(&mut fixture, id).await;
    }
}

/// The last part takes all that is left.
#[tokio::test]
async fn the_hundredth_part_takes_all_that_is_left() {
    let (fixture, id) = world(3).await;
    let from = debited(&fixture, id, 200).await;
    for number in 1..100 {
        refund(&fixture.ledger, id, &from, (number, Some(1))).await.unwrap();
    }
    let answer = refund(&fixture.ledger, id, &from, (100, Some(1))).await;
    assert!(matches!(answer, Err(Unsettled::Refused(Refusal::TooManyDraws))), "{answer:?}");
    let answer = refund(&fixture.ledger, id, &from, (101, None)).await.unwrap();
    assert_eq!(answer.settled.receipt.entry.amount.get(), 101);
}

/// A remainder in the older format, which kept all of its parts in one item, still works and still lists its parts.
#[tokio::test]
async fn a_remainder_in_the_older_format_still_works() {
    use aws_sdk_dynamodb::types::AttributeValue;

    let (mut fixture, id) = world(0).await;
    let from = held(&fixture, id, 100).await;
    let mut receipts = Vec::new();
    for number in 1..=20 {
        let taken = capture(&fixture.ledger, id, &from, (number, Some(1))).await.unwrap();
        receipts.push(taken.settled.receipt);
    }
    let stored = fixture.items(&format!("POT#{id}#2024-01")).await;
    let text = |text: String| AttributeValue::S(text);
    let draws = (1..).zip(&receipts).map(|(number, receipt): (u64, &Receipt)| {
        let drawn = receipt.details.drawn.as_ref().unwrap();
        let share = serde_dynamo_share(&drawn.shares[0]);
        let drawn = AttributeValue::M(
            [
                ("of".to_owned(), text(from.entry.id.to_string())),
                ("why".to_owned(), text("capture".to_owned())),
                ("shares".to_owned(), AttributeValue::L(vec![share])),
            ]
            .into(),
        );
        AttributeValue::M(
            [
                ("key".to_owned(), text(key(number).to_string())),
                ("asked".to_owned(), text(asked(number).0)),
                ("details".to_owned(), AttributeValue::M([("drawn".to_owned(), drawn)].into())),
                ("closes".to_owned(), AttributeValue::Bool(false)),
                ("made".to_owned(), text(receipt.entry.id.to_string())),
            ]
            .into(),
        )
    });
    let mut old = stored[0].clone();
    for name in ["made", "paged", "closed"] {
        old.remove(name);
    }
    old.insert("draws".to_owned(), AttributeValue::L(draws.collect()));
    for item in &stored {
        fixture.delete(item).await;
    }
    fixture.write(&old).await;
    let made: Vec<_> = receipts.iter().map(|receipt| receipt.entry.id).collect();
    let answer = |remainder: Remainder| remainder.made.iter().map(|made| made.id).collect::<Vec<_>>();
    assert_eq!(answer(fixture.ledger.remainder(id, from.entry.id).await.unwrap().unwrap()), made);
    let again = capture(&fixture.ledger, id, &from, (7, Some(1))).await.unwrap();
    assert_eq!((again.settled.replayed, answer(again.remainder)), (true, made[..7].to_vec()));
    let next = capture(&fixture.ledger, id, &from, (21, Some(1))).await.unwrap();
    assert_eq!(next.remainder.made.len(), 21);
    assert_eq!(fixture.items(&format!("POT#{id}#2024-01")).await.len(), 3, "two full pages");
    is_sound(&mut fixture, id).await;
}

fn serde_dynamo_share(share: &domain::Share) -> aws_sdk_dynamodb::types::AttributeValue {
    use aws_sdk_dynamodb::types::AttributeValue;

    let source = serde_json::to_value(share.source).unwrap().as_str().unwrap().to_owned();
    AttributeValue::M(
        [
            ("lot".to_owned(), AttributeValue::S(share.lot.to_string())),
            ("src".to_owned(), AttributeValue::S(source)),
            ("n".to_owned(), AttributeValue::N(share.amount.get().to_string())),
        ]
        .into(),
    )
}
