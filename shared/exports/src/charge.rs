//! The credits of an export: held when it is asked for, then captured or released, each under a key of the export's own,
//! so that each happens once.

use domain::{
    Account, Attempt, Details, DrawdownReason, DrawdownShares, EntryId, Export, Fingerprint, HoldStatus,
    PriceCategory, Quantity, Receipt, Reference, Refusal, Remainder, hold_ends,
};
use ports::Moment;
use store::{Claim, DrawdownRequest, Fault, Job, Ledger, Unsettled, hold_details, system_key};

/// What became of held credits that were to be captured.
pub(crate) enum Captured {
    /// They are captured, by this transaction.
    By(EntryId),
    /// They can never be captured.
    Never(Refusal),
}

/// Holds the credits of an export, and returns the entry; `None` if it costs nothing.
pub(crate) async fn hold(
    ledger: &Ledger,
    export: &Export,
    moment: Moment,
) -> Result<Option<EntryId>, Unsettled> {
    let Some(debit) = export.debit() else { return Ok(None) };
    let ends = hold_ends(moment.now, Export::HOLD_SECONDS);
    let details = Details {
        quantity: Some(Quantity::ONE),
        price_version: export.price.as_ref().map(|price| price.version),
        category: Some(PriceCategory::Other),
        purpose: Some(debit.operation.clone()),
        resource_id: Reference::try_from(export.key.export.to_string()).ok(),
        member_id: export.requested_by.map(Reference::from),
        key_id: export.key_id,
        super_admin: export.super_admin,
        requested_by: export.requested_by,
        request_id: Some(export.request_id.clone()),
        expires_at: Some(ends),
        ..Details::default()
    };
    // The job comes first, so that a crash cannot leave the hold without an end.
    ledger.schedule(Job::Calendar(export.key.account), ends).await?;
    let name = name(export, "hold");
    let (key, fingerprint) = (system_key(&name)?, Fingerprint(name));
    let claim = Claim::new(&key, &fingerprint, &details);
    let decide = |account: &Account, attempt: &Attempt| domain::hold(account, &debit, attempt);
    let settled = ledger.spend(export.key.account, claim, moment, decide).await?;
    Ok(Some(settled.receipt.entry.id))
}

/// Captures the held credits of an export whose file is made.
pub(crate) async fn capture(ledger: &Ledger, export: &Export, moment: Moment) -> Result<Captured, Unsettled> {
    let decide = |remainder: &Remainder| remainder.to_capture(None, moment.now);
    let captured = draw_down(ledger, export, &DrawdownReason::Capture, moment, decide).await;
    match captured {
        Ok(transaction) => Ok(Captured::By(transaction)),
        Err(Unsettled::Refused(Refusal::HoldClosed(HoldStatus::Captured))) => {
            // The owner of the account has captured the hold.
            let hold = held(ledger, export).await?;
            let remainder = ledger.remainder(export.key.account, hold.entry.id).await?;
            let last = remainder.and_then(|remainder| remainder.made.last().map(|made| made.id));
            Ok(Captured::By(last.ok_or(Unsettled::InProgress)?))
        }
        Err(Unsettled::Refused(refusal)) => Ok(Captured::Never(refusal)),
        Err(unsettled) => Err(unsettled),
    }
}

/// Releases the held credits of an export that has failed. A hold that is closed already has returned them.
pub(crate) async fn release(ledger: &Ledger, export: &Export, moment: Moment) -> Result<(), Unsettled> {
    let decide = |remainder: &Remainder| remainder.to_release(&DrawdownReason::Release, moment.now);
    match draw_down(ledger, export, &DrawdownReason::Release, moment, decide).await {
        Ok(_) => Ok(()),
        Err(Unsettled::Refused(Refusal::HoldClosed(_))) => {
            // A hold that has ended and is not closed yet is closed now.
            let hold = held(ledger, export).await?;
            ledger.finish_drawdown(export.key.account, hold.entry.id, moment).await
        }
        Err(unsettled) => Err(unsettled),
    }
}

async fn draw_down(
    ledger: &Ledger,
    export: &Export,
    why: &DrawdownReason,
    moment: Moment,
    decide: impl Fn(&Remainder) -> Result<DrawdownShares, Refusal> + Send + Sync,
) -> Result<EntryId, Unsettled> {
    let hold = held(ledger, export).await?;
    let name = name(export, if *why == DrawdownReason::Capture { "capture" } else { "release" });
    let (key, fingerprint) = (system_key(&name)?, Fingerprint(name));
    let details = Details {
        key_id: export.key_id,
        super_admin: export.super_admin,
        requested_by: export.requested_by,
        request_id: Some(export.request_id.clone()),
        ..hold_details(&hold)
    };
    let claim = Claim::new(&key, &fingerprint, &details);
    let request = DrawdownRequest { claim, why, moment };
    let drawn = ledger.draw_down(export.key.account, &hold, request, decide).await?;
    Ok(drawn.settled.receipt.entry.id)
}

async fn held(ledger: &Ledger, export: &Export) -> Result<Receipt, Unsettled> {
    let hold = export.hold.ok_or_else(|| Fault::corrupt("an export", "it has no hold"))?;
    // Its row may not be written yet.
    ledger.find(export.key.account, hold).await?.ok_or(Unsettled::InProgress)
}

/// The name of the key of one step.
fn name(export: &Export, step: &str) -> String {
    format!("{step}-for-{}", export.key.export)
}
