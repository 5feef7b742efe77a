//! Crashes and lost answers at every write of holds, captures, refunds, batches and deduplicated charges; then
//! retry, projector and scheduled jobs. Exactly one effect, and the remainder agrees with the account.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Amount, Attempt, Batch, BatchItem, ClaimKey, Consume, Credits, Details,
    DrawdownReason, Fingerprint, Grant, GrantOrigin, IdempotencyKey, Operation, Posting, Receipt, Reference,
    RefundReason, Refusal, Remainder, Source, batch, consume, grant, hold,
};
use store::{
    Claim, DedupeKey, DedupeRequest, DrawdownRequest, Ledger, Moment, Refund, RefundAuthority, Settled,
    Unsettled,
};
use tests::{TestLedger, WriteFault, keyed, moment, settle, ways_in_turn};

use crate::crash::debit::AfterFault;

/// The request that a fault interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    Refund,
    /// A refund after the month that paid has ended.
    RefundLate,
    /// A refund to a lot that was emptied and removed.
    RefundReopens,
    Hold,
    CapturePart,
    CaptureAll,
    Release,
    /// The end of a hold by its scheduled job.
    Expire,
    Batch,
    /// A partial batch in which some items cannot be paid.
    Partial,
    /// A deduplicated charge.
    Once,
}

/// What the caller of an interrupted request knows in the end.
pub(super) enum InterruptedAnswer {
    /// The lines of the ledger that were made.
    Lines(Vec<Receipt>),
    /// No credits moved.
    MovedNothing,
    /// The request may have been carried out.
    InDoubt,
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

/// A ledger in which the request is possible: 5 subscription credits and 20 purchased ones, of which a debit or a
/// hold has taken 7 or 25.
pub(super) struct InterruptedDrawdown {
    pub(super) fixture: TestLedger,
    pub(super) id: AccountId,
    /// The debit or the hold.
    pub(super) from: Option<Receipt>,
}

impl InterruptedDrawdown {
    async fn new(act: Interrupted) -> Self {
        let mut fixture = TestLedger::new().await;
        let id = fixture.open(5, start()).await;
        let gift = Grant {
            source: Source::Purchased,
            amount: Amount::try_from(20).unwrap(),
            service: None,
            expires_at: None,
            origin: GrantOrigin::Operator,
        };
        let give = |account: &Account, attempt: &Attempt| grant(account, &gift, attempt);
        settle(&fixture.ledger, id, keyed("gift", "gift"), moment(start()), give).await.unwrap();
        let from = match act {
            Interrupted::Refund | Interrupted::RefundLate | Interrupted::RefundReopens => {
                let wanted = charge(if act == Interrupted::RefundReopens { 25 } else { 7 });
                let debit = |account: &Account, attempt: &Attempt| consume(account, &wanted, attempt);
                Some(
                    settle(&fixture.ledger, id, keyed("debit", "debit"), moment(start()), debit)
                        .await
                        .unwrap()
                        .receipt,
                )
            }
            Interrupted::CapturePart
            | Interrupted::CaptureAll
            | Interrupted::Release
            | Interrupted::Expire => {
                Some(make_hold(&fixture.ledger, id, "hold", moment(start())).await.unwrap().receipt)
            }
            Interrupted::Hold | Interrupted::Batch | Interrupted::Partial | Interrupted::Once => None,
        };
        if act == Interrupted::RefundReopens {
            let nothing = |account: &Account, attempt: &Attempt| consume(account, &charge(0), attempt);
            settle(&fixture.ledger, id, keyed("nothing", "nothing"), moment(start()), nothing).await.unwrap();
        }
        fixture.project().await;
        Self { fixture, id, from }
    }

    /// Sends the request, or repeats it; returns the answer.
    async fn act(
        &self,
        ledger: &Ledger,
        act: Interrupted,
        at: DateTime<Utc>,
    ) -> Result<Vec<Receipt>, Unsettled> {
        let now = moment(at);
        let key = ClaimKey::Caller(IdempotencyKey::try_from("act".to_owned()).unwrap());
        let asked = Fingerprint("act".into());
        let lines = |settled: Settled| std::iter::once(settled.receipt).chain(settled.more).collect();
        match act {
            Interrupted::Refund | Interrupted::RefundLate | Interrupted::RefundReopens => {
                let request = Refund {
                    transaction: self.from.as_ref().unwrap().entry.id,
                    reason: RefundReason::TechnicalFailure,
                    amount: None,
                    note: None,
                    duplicate_of: None,
                    by: RefundAuthority::Table,
                };
                let claim = Claim { key: &key, fingerprint: &asked, details: &Details::default() };
                Ok(vec![ledger.refund(self.id, &request, claim, now).await?.unwrap().settled.receipt])
            }
            Interrupted::Hold => Ok(vec![make_hold(ledger, self.id, "act", now).await?.receipt]),
            Interrupted::CapturePart | Interrupted::CaptureAll | Interrupted::Release => {
                self.draw_down(ledger, act, (&key, &asked), now).await
            }
            Interrupted::Expire => {
                ledger.expire(self.id, self.from.as_ref().unwrap(), now).await?;
                Ok(vec![])
            }
            Interrupted::Batch | Interrupted::Partial => {
                let amounts = if act == Interrupted::Batch { [3, 4, 0, 5] } else { [3, 40, 4, 90] };
                let items = amounts.into_iter().map(|count| Some(charge(count))).collect();
                let request = Batch { items, atomic: act == Interrupted::Batch };
                let item = |count| BatchItem {
                    operation: Reference::try_from("verification.standard".to_owned()).unwrap(),
                    amount: Some(credits(count)),
                    details: details(),
                };
                let details =
                    Details { items: amounts.into_iter().map(item).collect(), ..Details::default() };
                let decide = |account: &Account, attempt: &Attempt| batch(account, &request, attempt);
                Ok(lines(ledger.settle(self.id, Claim::new(&key, &asked, &details), now, decide).await?))
            }
            Interrupted::Once => charge_once(ledger, self.id, (&key, &asked), now).await,
        }
    }

    async fn draw_down(
        &self,
        ledger: &Ledger,
        act: Interrupted,
        (key, asked): (&ClaimKey, &Fingerprint),
        now: Moment,
    ) -> Result<Vec<Receipt>, Unsettled> {
        let why = if act == Interrupted::Release { DrawdownReason::Release } else { DrawdownReason::Capture };
        let details = Details::default();
        let claim = Claim { key, fingerprint: asked, details: &details };
        let asking = DrawdownRequest { claim, why: &why, moment: now };
        let amount = (act == Interrupted::CapturePart).then(|| credits(6));
        let decide = |remainder: &Remainder| {
            if act == Interrupted::Release {
                remainder.to_release(&DrawdownReason::Release, now.now)
            } else {
                remainder.to_capture(amount, now.now)
            }
        };
        let hold = self.from.as_ref().unwrap();
        Ok(vec![ledger.draw_down(self.id, hold, asking, decide).await?.settled.receipt])
    }

    /// The time of the request.
    fn at(act: Interrupted) -> DateTime<Utc> {
        let after = if act == Interrupted::RefundLate {
            Duration::days(1)
        } else {
            Duration::seconds(if act == Interrupted::Expire { 60 } else { 1 })
        };
        start() + after
    }

    /// Runs later jobs: the job of a refund, or the account's own for the end of a hold.
    async fn run_jobs(&mut self, at: DateTime<Utc>) {
        for attempt in 0..4 {
            let now = moment(at + Duration::seconds(10 * attempt));
            let ledger = self.fixture.restarted();
            let debit = self.from.as_ref().filter(|from| !from.is_hold());
            let drawn = match debit {
                Some(debit) => ledger.finish_drawdown(self.id, debit.entry.id, now).await,
                None => Ok(()),
            };
            // The marker of an open hold may remain after the hold was closed, until the next read.
            let held = ledger.catch_up(self.id, now).await.unwrap().held;
            self.fixture.project().await;
            match drawn {
                Ok(()) if held.is_zero() => {
                    // The account is correct. A remainder that is behind is corrected by its next
                    // reader.
                    if let Some(hold) = self.from.as_ref().filter(|from| from.is_hold()) {
                        ledger.finish_drawdown(self.id, hold.entry.id, now).await.unwrap();
                        assert!(ledger.account(self.id).await.unwrap().unwrap().held.is_zero());
                    }
                    return;
                }
                Ok(()) | Err(Unsettled::InProgress) => (),
                Err(other) => panic!("{other:?}"),
            }
        }
        panic!("the scheduled job failed every time");
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
    let same =
        DedupeKey { operation: &operation, resource: &resource, customer: None, window_seconds: 3_600 };
    let decide = |account: &Account, attempt: &Attempt| consume(account, &charge(7), attempt);
    let claim = Claim { key, fingerprint: asked, details: &details };
    let request = DedupeRequest { claim, dedupe: same, moment: now };
    let once = ledger.settle_deduplicated(id, request, decide).await?;
    assert!(!once.is_duplicate, "no other request has asked");
    Ok(vec![once.settled.receipt])
}

async fn make_hold(ledger: &Ledger, id: AccountId, name: &str, now: Moment) -> Result<Settled, Unsettled> {
    let key = ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
    let details = Details { expires_at: Some(start() + Duration::seconds(60)), ..details() };
    let decide = |account: &Account, attempt: &Attempt| -> Result<Posting, Refusal> {
        hold(account, &charge(7), attempt)
    };
    ledger.settle(id, Claim::new(&key, &Fingerprint("act".into()), &details), now, decide).await
}

/// What follows a fault: retries and projector in both orders, or only the scheduled jobs.
const WAYS: [AfterFault; 3] = [AfterFault::RetryFirst, AfterFault::ProjectorFirst, AfterFault::NobodyRetries];

/// Every write of each request is lost before it is made, or is made with its answer lost, in a process that dies
/// or lives; then it goes on in one of the ways.
async fn histories_of(acts: &[Interrupted], written: &[usize]) {
    let mut histories = 0;
    for (act, expected) in acts.iter().zip(written) {
        let world = InterruptedDrawdown::new(*act).await;
        let faults = world.fixture.faults.clone().unwrap();
        faults.arm(usize::MAX, WriteFault::CrashBefore);
        world.act(&world.fixture.restarted(), *act, InterruptedDrawdown::at(*act)).await.unwrap();
        assert_eq!(faults.writes(), *expected, "{act:?}");
        for number in 0..*expected {
            for (place, kind) in WriteFault::EACH.into_iter().enumerate() {
                for then in ways_in_turn(&WAYS, 1, number * WriteFault::EACH.len() + place) {
                    one_history(*act, number, kind, then).await;
                    histories += 1;
                }
            }
        }
    }
    assert!(histories >= written.iter().sum::<usize>() * WriteFault::EACH.len());
}

/// The writes: job, remainder, claim, account, row, remainder, the job's removal; one renews the month first (account, row).
#[tokio::test]
async fn a_refund_has_one_effect_whatever_is_lost() {
    histories_of(&[Interrupted::Refund, Interrupted::RefundLate, Interrupted::RefundReopens], &[7, 9, 7])
        .await;
}

/// A hold writes the claim, the account, the marker that it is open, and the row. A capture writes the job, the
/// remainder, claim, account, row and remainder, and removes the job; an end of the hold also removes the marker.
#[tokio::test]
async fn a_hold_is_captured_or_released_whatever_is_lost() {
    let acts = [
        Interrupted::Hold,
        Interrupted::CapturePart,
        Interrupted::CaptureAll,
        Interrupted::Release,
        Interrupted::Expire,
    ];
    histories_of(&acts, &[4, 7, 8, 8, 6]).await;
}

/// A batch writes the claim, the account, and a row for each item that is charged. A deduplicated charge writes two
/// claims, account, row, and the customer of the charge.
#[tokio::test]
async fn batches_and_deduplicated_charges_have_one_effect_whatever_is_lost() {
    histories_of(&[Interrupted::Batch, Interrupted::Partial, Interrupted::Once], &[6, 4, 5]).await;
}

async fn one_history(act: Interrupted, number: usize, kind: WriteFault, then: AfterFault) {
    let case = format!("{act:?}: write {number}, {kind:?}, {then:?}");
    let mut world = InterruptedDrawdown::new(act).await;
    let faults = world.fixture.faults.clone().unwrap();
    let mut process = world.fixture.restarted();
    let at = InterruptedDrawdown::at(act);
    faults.arm(number, kind);
    let first = world.act(&process, act, at).await;
    assert!(kind != WriteFault::Throttled || first.is_ok(), "{case}: {first:?}");
    faults.arm(usize::MAX, kind);
    if matches!(kind, WriteFault::CrashBefore | WriteFault::CrashAfter) {
        process = world.fixture.restarted();
    }
    // The end of a hold releases what is left of it anyway.
    let moved_nothing = matches!(first, Err(Unsettled::Failed(_)))
        && matches!(then, AfterFault::NobodyRetries)
        && !matches!(act, Interrupted::Release | Interrupted::Expire);
    let mut answered = first.ok();
    if matches!(then, AfterFault::ProjectorFirst) {
        world.fixture.project().await;
        // Work that is still in progress is not a finding.
        let audited = world.fixture.restarted().audit(world.id, at, |_| ()).await.unwrap().unwrap();
        assert_eq!((audited.findings.as_slice(), audited.added_up), ([].as_slice(), true), "{case}");
    }
    if !matches!(then, AfterFault::NobodyRetries) {
        for attempt in 0..4 {
            let later = at + Duration::seconds(5 * (attempt + 1));
            match world.act(&process, act, later).await {
                Ok(again) => {
                    if let Some(before) = &answered {
                        assert_eq!(&again, before, "{case}");
                    }
                    answered = Some(again);
                    break;
                }
                Err(Unsettled::InProgress | Unsettled::Failed(_)) => world.fixture.project().await,
                Err(other) => panic!("{case}: {other:?}"),
            }
        }
        assert!(answered.is_some(), "{case}: four retries did not settle it");
    }
    let late = if act == Interrupted::RefundLate {
        at + Duration::seconds(90)
    } else {
        start() + Duration::seconds(90)
    };
    world.run_jobs(late).await;
    let answer = match answered {
        Some(lines) => InterruptedAnswer::Lines(lines),
        None if moved_nothing => InterruptedAnswer::MovedNothing,
        None => InterruptedAnswer::InDoubt,
    };
    world.is_sound(act, answer, &case, late).await;
    let account = world.fixture.ledger.account(world.id).await.unwrap().unwrap();
    assert!(account.held.is_zero(), "{case}");
    let end = late + Duration::minutes(1);
    let audited = world.fixture.restarted().audit(world.id, end, |_| ()).await.unwrap().unwrap();
    assert_eq!((audited.findings.as_slice(), audited.added_up), ([].as_slice(), true), "{case}");
}
