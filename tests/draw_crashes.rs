//! Crashes and lost answers at every write of what sets aside, gives back, and charges many or the same: then
//! retry, projector and whoever looks after it. One effect, and the pot and the account agree.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Amount, Batch, ClaimKey, Consume, Credits, Details, Direction, EntryId, Fingerprint,
    Grant, Head, IdempotencyKey, Item, Operation, Origin, Posting, Pot, Reason, Receipt, Reference, Refusal,
    Source, Why, batch, consume, grant, hold,
};
use store::{Asking, Claim, Decides, DedupeRequest, Ledger, Moment, Refund, Same, Settled, Unsettled};
use tests::{Books, Kind, moment, settle};

use crate::crashes::{KINDS, Then};

/// What is under way when something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Refund,
    /// The month that paid is over.
    RefundLate,
    /// Of a lot that was emptied and forgotten.
    RefundReopens,
    Hold,
    CapturePart,
    CaptureAll,
    Release,
    /// By whoever looks after the hold's end.
    Expire,
    Batch,
    /// Items of it can't be paid.
    Partial,
    /// Charged unless the same was.
    Once,
}

fn start() -> DateTime<Utc> {
    "2024-01-31T12:00:00Z".parse().unwrap()
}

fn operation() -> Operation {
    Operation::try_from("verification.standard".to_owned()).unwrap()
}

fn credits(count: u64) -> Credits {
    Credits::try_from(count).unwrap()
}

fn charge(count: u64) -> Consume {
    Consume { operation: operation(), amount: credits(count), service: None }
}

fn details() -> Details {
    Details { resource_id: Reference::try_from("verif_1".to_owned()).ok(), ..Details::default() }
}

/// Books in which an act may be done: 5 subscription credits and 20 purchased ones, of which a debit or a hold
/// has taken 7, or 25.
struct World {
    books: Books,
    id: AccountId,
    /// The debit or the hold.
    from: Option<Receipt>,
}

impl World {
    async fn new(act: Act) -> Self {
        let mut books = Books::new().await;
        let id = books.open(5, start()).await;
        let gift = Grant {
            source: Source::Purchased,
            amount: Amount::try_from(20).unwrap(),
            service: None,
            expires_at: None,
            origin: Origin::Operator,
        };
        let give = |account: &Account, head: &Head| grant(account, &gift, head);
        settle(&books.ledger, id, ("gift", "gift"), moment(start()), give).await.unwrap();
        let from = match act {
            Act::Refund | Act::RefundLate | Act::RefundReopens => {
                let wanted = charge(if act == Act::RefundReopens { 25 } else { 7 });
                let debit = |account: &Account, head: &Head| consume(account, &wanted, head);
                Some(
                    settle(&books.ledger, id, ("debit", "debit"), moment(start()), debit)
                        .await
                        .unwrap()
                        .receipt,
                )
            }
            Act::CapturePart | Act::CaptureAll | Act::Release | Act::Expire => {
                Some(make_hold(&books.ledger, id, "hold", moment(start())).await.unwrap().receipt)
            }
            Act::Hold | Act::Batch | Act::Partial | Act::Once => None,
        };
        if act == Act::RefundReopens {
            // Another entry, so that the emptied lot is forgotten.
            let nothing = |account: &Account, head: &Head| consume(account, &charge(0), head);
            settle(&books.ledger, id, ("nothing", "nothing"), moment(start()), nothing).await.unwrap();
        }
        books.project().await;
        Self { books, id, from }
    }

    /// Does the act, or does it again; what is answered.
    async fn act(&self, ledger: &Ledger, act: Act, at: DateTime<Utc>) -> Result<Vec<Receipt>, Unsettled> {
        let now = moment(at);
        let key = ClaimKey::Caller(IdempotencyKey::try_from("act".to_owned()).unwrap());
        let asked = Fingerprint("act".into());
        let lines = |settled: Settled| std::iter::once(settled.receipt).chain(settled.more).collect();
        match act {
            Act::Refund | Act::RefundLate | Act::RefundReopens => {
                let request = Refund {
                    transaction: self.from.as_ref().unwrap().entry.id,
                    reason: Reason::TechnicalFailure,
                    amount: None,
                    note: None,
                    duplicate_of: None,
                    by: Decides::Table,
                };
                let claim = Claim { key: &key, fingerprint: &asked, details: &Details::default() };
                Ok(vec![ledger.refund(self.id, &request, claim, now).await?.unwrap().settled.receipt])
            }
            Act::Hold => Ok(vec![make_hold(ledger, self.id, "act", now).await?.receipt]),
            Act::CapturePart | Act::CaptureAll | Act::Release => {
                self.draw(ledger, act, (&key, &asked), now).await
            }
            Act::Expire => {
                ledger.expire(self.id, self.from.as_ref().unwrap(), now).await?;
                Ok(vec![])
            }
            Act::Batch | Act::Partial => {
                let amounts = if act == Act::Batch { [3, 4, 0, 5] } else { [3, 40, 4, 90] };
                let items = amounts.into_iter().map(|count| Some(charge(count))).collect();
                let request = Batch { items, atomic: act == Act::Batch };
                let item = |count| Item {
                    operation: Reference::try_from("verification.standard".to_owned()).unwrap(),
                    amount: Some(credits(count)),
                    details: details(),
                };
                let details =
                    Details { items: amounts.into_iter().map(item).collect(), ..Details::default() };
                let decide = |account: &Account, head: &Head| batch(account, &request, head);
                Ok(lines(ledger.settle(self.id, Claim::new(&key, &asked, &details), now, decide).await?))
            }
            Act::Once => charge_once(ledger, self.id, (&key, &asked), now).await,
        }
    }

    async fn draw(
        &self,
        ledger: &Ledger,
        act: Act,
        (key, asked): (&ClaimKey, &Fingerprint),
        now: Moment,
    ) -> Result<Vec<Receipt>, Unsettled> {
        let why = if act == Act::Release { Why::Release } else { Why::Capture };
        let details = Details::default();
        let claim = Claim { key, fingerprint: asked, details: &details };
        let asking = Asking { claim, why: &why, moment: now };
        let amount = (act == Act::CapturePart).then(|| credits(6));
        let decide = |pot: &Pot| {
            if act == Act::Release {
                pot.to_release(&Why::Release, now.now)
            } else {
                pot.to_capture(amount, now.now)
            }
        };
        let hold = self.from.as_ref().unwrap();
        Ok(vec![ledger.draw(self.id, hold, asking, decide).await?.settled.receipt])
    }

    /// When the act is done.
    fn at(act: Act) -> DateTime<Utc> {
        let after = if act == Act::RefundLate {
            Duration::days(1)
        } else {
            Duration::seconds(if act == Act::Expire { 60 } else { 1 })
        };
        start() + after
    }

    /// Whoever comes by later: the errand of a refund; the account's own, for the end of a hold.
    async fn look_after(&mut self, at: DateTime<Utc>) {
        for attempt in 0..4 {
            let now = moment(at + Duration::seconds(10 * attempt));
            let ledger = self.books.restarted();
            let debit = self.from.as_ref().filter(|from| !from.is_hold());
            let drawn = match debit {
                Some(debit) => ledger.look_after_pot(self.id, debit.entry.id, now).await,
                None => Ok(()),
            };
            // What only says that a hold is open, though it is closed, may stay until somebody looks again.
            let held = ledger.catch_up(self.id, now).await.unwrap().held;
            self.books.project().await;
            match drawn {
                Ok(()) if held.is_zero() => {
                    // The account is right. What the pot may still not say is found by whoever looks at it.
                    if let Some(hold) = self.from.as_ref().filter(|from| from.is_hold()) {
                        ledger.look_after_pot(self.id, hold.entry.id, now).await.unwrap();
                        assert!(ledger.account(self.id).await.unwrap().unwrap().held.is_zero());
                    }
                    return;
                }
                Ok(()) | Err(Unsettled::InProgress) => (),
                Err(other) => panic!("{other:?}"),
            }
        }
        panic!("nobody could look after it");
    }
}

async fn charge_once(
    ledger: &Ledger,
    id: AccountId,
    (key, asked): (&ClaimKey, &Fingerprint),
    now: Moment,
) -> Result<Vec<Receipt>, Unsettled> {
    let (operation, details) = (operation(), details());
    let resource = details.resource_id.clone().unwrap();
    let same = Same { operation: &operation, resource: &resource, customer: None, window_seconds: 3_600 };
    let decide = |account: &Account, head: &Head| consume(account, &charge(7), head);
    let claim = Claim { key, fingerprint: asked, details: &details };
    let request = DedupeRequest { claim, dedupe: same, moment: now };
    let once = ledger.settle_once(id, request, decide).await?;
    assert!(!once.is_duplicate, "nobody else has asked");
    Ok(vec![once.settled.receipt])
}

async fn make_hold(ledger: &Ledger, id: AccountId, name: &str, now: Moment) -> Result<Settled, Unsettled> {
    let key = ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
    let details = Details { expires_at: Some(start() + Duration::seconds(60)), ..details() };
    let decide =
        |account: &Account, head: &Head| -> Result<Posting, Refusal> { hold(account, &charge(7), head) };
    ledger.settle(id, Claim::new(&key, &Fingerprint("act".into()), &details), now, decide).await
}

/// Each write of each act lost before it is made, or made with its answer lost, with the process dead from
/// then on or alive; then retries and projector in both orders, or nobody but those who look after it.
async fn histories_of(acts: &[Act], written: &[usize]) {
    let mut histories = 0;
    for (act, expected) in acts.iter().zip(written) {
        let world = World::new(*act).await;
        let faults = world.books.faults.clone().unwrap();
        faults.arm(usize::MAX, Kind::CrashBefore);
        world.act(&world.books.restarted(), *act, World::at(*act)).await.unwrap();
        assert_eq!(faults.writes(), *expected, "{act:?}");
        for number in 0..*expected {
            for kind in KINDS {
                for then in [Then::RetryFirst, Then::ProjectorFirst, Then::NobodyRetries] {
                    one_history(*act, number, kind, then).await;
                    histories += 1;
                }
            }
        }
    }
    assert_eq!(histories, written.iter().sum::<usize>() * 6 * 3);
}

/// Errand, pot, claim, account, row, pot; one turns the month first (account, row).
#[tokio::test]
async fn whatever_is_lost_a_refund_has_one_effect() {
    histories_of(&[Act::Refund, Act::RefundLate, Act::RefundReopens], &[6, 8, 6]).await;
}

/// A hold: claim, account, what says that it is open, row. A capture: errand, pot, claim, account, row, pot; what ends
/// a hold: and no longer open.
#[tokio::test]
async fn whatever_is_lost_a_hold_is_captured_or_given_back() {
    let acts = [Act::Hold, Act::CapturePart, Act::CaptureAll, Act::Release, Act::Expire];
    histories_of(&acts, &[4, 6, 7, 7, 6]).await;
}

/// Claim, account, and a row for each item that was charged. Charged once: two claims, account, row, and whom
/// it was charged to.
#[tokio::test]
async fn whatever_is_lost_many_are_charged_together_and_the_same_once() {
    histories_of(&[Act::Batch, Act::Partial, Act::Once], &[6, 4, 5]).await;
}

async fn one_history(act: Act, number: usize, kind: Kind, then: Then) {
    let told = format!("{act:?}: write {number}, {kind:?}, {then:?}");
    let mut world = World::new(act).await;
    let faults = world.books.faults.clone().unwrap();
    let mut process = world.books.restarted();
    let at = World::at(act);
    faults.arm(number, kind);
    let first = world.act(&process, act, at).await;
    assert!(kind != Kind::Throttled || first.is_ok(), "{told}: {first:?}");
    faults.arm(usize::MAX, kind);
    if matches!(kind, Kind::CrashBefore | Kind::CrashAfter) {
        process = world.books.restarted();
    }
    let mut answered = first.ok();
    if matches!(then, Then::ProjectorFirst) {
        world.books.project().await;
        // What is still to be carried out is no finding.
        let audited = world.books.restarted().audit(world.id, at, |_| ()).await.unwrap().unwrap();
        assert_eq!((audited.findings.as_slice(), audited.added_up), ([].as_slice(), true), "{told}");
    }
    if !matches!(then, Then::NobodyRetries) {
        for attempt in 0..4 {
            let later = at + Duration::seconds(5 * (attempt + 1));
            match world.act(&process, act, later).await {
                Ok(again) => {
                    if let Some(before) = &answered {
                        assert_eq!(&again, before, "{told}");
                    }
                    answered = Some(again);
                    break;
                }
                Err(Unsettled::InProgress | Unsettled::Failed(_)) => world.books.project().await,
                Err(other) => panic!("{told}: {other:?}"),
            }
        }
        assert!(answered.is_some(), "{told}: four retries did not settle it");
    }
    // By then every hold has ended.
    let late =
        if act == Act::RefundLate { at + Duration::seconds(90) } else { start() + Duration::seconds(90) };
    world.look_after(late).await;
    world.is_sound(act, answered.as_deref(), &told, late).await;
    let account = world.books.ledger.account(world.id).await.unwrap().unwrap();
    assert!(account.held.is_zero(), "{told}");
    let end = late + Duration::minutes(1);
    let audited = world.books.restarted().audit(world.id, end, |_| ()).await.unwrap().unwrap();
    assert_eq!((audited.findings.as_slice(), audited.added_up), ([].as_slice(), true), "{told}");
}

impl World {
    async fn is_sound(&self, act: Act, answered: Option<&[Receipt]>, told: &str, at: DateTime<Utc>) {
        let rows = self.books.rows(self.id, at + Duration::minutes(1)).await;
        let name = match act {
            Act::Refund | Act::RefundLate | Act::RefundReopens => "credit.refund",
            Act::Hold => "credit.hold",
            Act::CapturePart | Act::CaptureAll => "credit.capture",
            Act::Release | Act::Expire => "credit.release",
            Act::Batch | Act::Partial | Act::Once => "verification.standard",
        };
        let mut made: Vec<_> = rows.iter().filter(|row| row.entry.operation.as_str() == name).collect();
        made.reverse();
        let most = if act == Act::Batch { 4 } else { 1 + usize::from(act == Act::Partial) };
        assert!(made.is_empty() || made.len() == most, "{told}: {} lines", made.len());
        if let Some(answered) = answered.filter(|answered| !answered.is_empty()) {
            assert_eq!(made, answered.iter().collect::<Vec<_>>(), "{told}");
        }
        let numbers: Vec<_> = rows.iter().rev().map(|row| row.sequence).collect();
        let account = self.books.ledger.account(self.id).await.unwrap().unwrap();
        assert_eq!(numbers, (1..=account.sequence).collect::<Vec<_>>(), "{told}");
        assert_eq!(self.books.ledger.watermark(self.id).await.unwrap(), account.sequence, "{told}");
        let mut held = 0;
        for row in rows.iter().filter(|row| row.is_hold()) {
            held += self.pot(row.entry.id).await.map_or(row.entry.amount.get(), |pot| pot.left().get());
        }
        assert_eq!(account.held.get(), held, "{told}");
        let this_month = |row: &&Receipt| account.period.start() <= row.entry.at;
        let spent = rows.iter().filter(this_month).filter(|row| row.may_be_refunded().is_ok());
        let spent: u64 = spent.map(|row| row.spent().get()).sum();
        let back = rows.iter().filter(|row| row.entry.operation.as_str() == "credit.refund");
        let back: u64 = if act == Act::RefundLate { 0 } else { back.map(|row| row.entry.amount.get()).sum() };
        assert_eq!(account.used.get(), spent - back, "{told}");
        // The account has followed all that was drawn, and nothing else.
        if let Some(from) = &self.from {
            let pot = self.pot(from.entry.id).await;
            assert!(pot.iter().all(|pot| pot.open.is_none()), "{told}");
            let drawn: Vec<_> = pot.iter().flat_map(|pot| &pot.made).map(|made| made.id).collect();
            let of =
                |row: &&Receipt| row.details.drawn.as_ref().is_some_and(|drawn| drawn.of == from.entry.id);
            let mut lines: Vec<_> = rows.iter().filter(of).map(|row| row.entry.id).collect();
            lines.reverse();
            assert_eq!(drawn, lines, "{told}");
        }
        let moved = |direction| {
            let parts = rows.iter().flat_map(|row| &row.entry.moves);
            parts.filter(|part| part.direction == direction).map(|part| part.amount.get()).sum::<u64>()
        };
        let left =
            account.lots.values().map(|lot| lot.left.get()).sum::<u64>() + account.subscription.left.get();
        assert_eq!(left + moved(Direction::Debit), moved(Direction::Credit), "{told}");
    }

    async fn pot(&self, of: EntryId) -> Option<Pot> {
        self.books.ledger.pot(self.id, of).await.unwrap()
    }
}
