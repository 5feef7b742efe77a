//! Deduplicated debits: the same operation for the same resource and customer is charged once within a time window.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::table::attribute::number;
use crate::table::condition::Condition;
use crate::table::error::{Fault, Unsettled};
use crate::table::item::{decode, with_key};
use crate::table::key::{ClaimsOf, Key};
use crate::table::ledger::Ledger;
use crate::write::claim::{Claim, Claimed, HeldClaim, OwnedClaim, system_key};
use crate::write::settle::{Settled, as_in_progress};
use domain::{
    Account, AccountId, Attempt, ClaimKey, Details, EntryId, Fingerprint, Operation, Posting, Receipt,
    Reference, Refusal,
};
use ports::{Moment, random};

/// How often, and how long, a request waits for another one that is being charged for the same dedupe key.
const WAITS: u32 = 12;
const WAIT: Duration = Duration::from_millis(25);

/// How many earlier charges are read when the last one no longer counts.
const EARLIER_MAX: usize = 8;

/// How many charges after the last stored one are read at most.
const LATER_MAX: u32 = 16;

/// For how many days the last charge is stored: longer than the longest window.
const DEDUPE_DAYS: i64 = 62;

/// What is charged once within a window: an operation on a resource for a customer.
#[derive(Clone, Copy, Debug)]
pub struct DedupeKey<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// The resource. Resources and customers are compared in Unicode's normal form C.
    pub resource: &'a Reference,
    /// The customer; `None` for a debit without one.
    pub customer: Option<&'a Reference>,
    /// For how many seconds after a charge another one counts as its duplicate.
    pub window_seconds: u32,
}

/// A request for a debit that is deduplicated.
#[derive(Clone, Copy, Debug)]
pub struct DedupeRequest<'a> {
    /// The caller's own key, the request's fingerprint, and the details of its transaction.
    pub claim: Claim<'a>,
    /// What is charged once.
    pub dedupe: DedupeKey<'a>,
    /// When the request arrived.
    pub moment: Moment,
}

/// The result of a deduplicated debit.
#[derive(Clone, Debug)]
pub struct DeduplicatedCharge {
    /// The transaction that pays for it.
    pub settled: Settled,
    /// Whether an earlier request has paid.
    pub is_duplicate: bool,
}

/// The last charge for a dedupe key.
#[derive(Serialize, Deserialize)]
struct DedupeItem {
    /// The number of the charge among those for the key: 1, 2, 3, …
    #[serde(rename = "n")]
    number: u64,
    #[serde(rename = "txn")]
    transaction: EntryId,
    #[serde(with = "chrono::serde::ts_seconds")]
    at: DateTime<Utc>,
    /// When the table may delete it.
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

/// The charges of an account for one dedupe key.
struct DedupeCharges<'a> {
    ledger: &'a Ledger,
    account: AccountId,
    digest: String,
    window: TimeDelta,
    moment: Moment,
}

impl Ledger {
    /// Settles a debit unless the same was charged within its window; otherwise returns that charge. All requests with
    /// the same dedupe key compete for one charge under one system key, so that only one of them pays. The caller's own
    /// key stores which charge it competed for.
    ///
    /// A charge that was refunded in full does not count: the next request pays.
    ///
    /// # Errors
    /// As [`Ledger::settle`].
    pub async fn settle_deduplicated(
        &self,
        account: AccountId,
        request: DedupeRequest<'_>,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<DeduplicatedCharge, Unsettled> {
        let DedupeRequest { claim, dedupe, moment } = request;
        DedupeCharges::new(self, account, dedupe, moment).settle(claim, decide).await
    }

    /// The transaction that has paid for the same within its window, if there is one.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn paid_before(
        &self,
        account: AccountId,
        dedupe: DedupeKey<'_>,
        moment: Moment,
    ) -> Result<Option<EntryId>, Fault> {
        Ok(DedupeCharges::new(self, account, dedupe, moment).number().await?.1)
    }
}

impl<'a> DedupeCharges<'a> {
    fn new(ledger: &'a Ledger, account: AccountId, dedupe: DedupeKey<'_>, moment: Moment) -> Self {
        let window = TimeDelta::seconds(dedupe.window_seconds.into());
        Self { ledger, account, digest: digest(dedupe), window, moment }
    }

    async fn settle(
        &self,
        claim: Claim<'_>,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<DeduplicatedCharge, Unsettled> {
        let of = ClaimsOf::Account(self.account);
        let earlier = self.ledger.claim_of(of, claim.key).await?.map(HeldClaim::new);
        let replayed = earlier.as_ref().is_some_and(|held| held.is_current(self.moment.wall));
        let (mine, number) = match earlier {
            Some(held) if replayed && !held.is_for(claim.fingerprint) => return Err(Unsettled::KeyReused),
            Some(held) if replayed => {
                let mine = held.id();
                let Details { nth, dedupe, .. } = held.into_details();
                if let Some(paid) = dedupe {
                    return self.paid_by(paid, true).await;
                }
                (mine, nth.unwrap_or(1))
            }
            earlier => {
                let (number, paid) = self.number().await?;
                let mine = EntryId::new(self.moment.now, random());
                let claimed = Details { nth: Some(number), dedupe: paid, ..Details::default() };
                let claim = Claim { details: &claimed, ..claim }.of(of);
                self.claim_anew(claim, earlier, mine).await?;
                if let Some(paid) = paid {
                    return self.paid_by(paid, false).await;
                }
                (mine, number)
            }
        };
        let details = Details { dedupe: Some(mine), nth: Some(number), ..claim.details.clone() };
        match self.charge(number, &details, decide).await {
            Ok(settled) => {
                let is_duplicate = settled.receipt.details.dedupe != Some(mine);
                Ok(DeduplicatedCharge { settled: Settled { replayed, ..settled }, is_duplicate })
            }
            Err(error @ (Unsettled::Refused(_) | Unsettled::HoldsEnded)) => {
                self.ledger.release(of, claim.key, mine).await?;
                Err(error)
            }
            // An earlier attempt under the caller's key may have charged.
            Err(error) if replayed => Err(as_in_progress(error)),
            Err(error) => Err(error),
        }
    }

    /// Takes a key that is free, or that has expired and is not deleted yet.
    async fn claim_anew(
        &self,
        claim: OwnedClaim<'_>,
        old: Option<HeldClaim>,
        mine: EntryId,
    ) -> Result<(), Unsettled> {
        match old {
            Some(old) if self.ledger.take_over(claim, old.id(), mine, self.moment).await? => Ok(()),
            Some(_) => Err(Unsettled::InProgress),
            None => match self.ledger.claim(claim, mine, self.moment).await? {
                Claimed::Ours => Ok(()),
                Claimed::Theirs(held) if held.is_for(claim.fingerprint) => Err(Unsettled::InProgress),
                Claimed::Theirs(_) => Err(Unsettled::KeyReused),
            },
        }
    }

    /// The result for a duplicate of the transaction `paid`.
    async fn paid_by(&self, paid: EntryId, replayed: bool) -> Result<DeduplicatedCharge, Unsettled> {
        let receipt = self.ledger.transaction(self.account, paid).await?.ok_or(Unsettled::InProgress)?;
        Ok(DeduplicatedCharge { settled: Settled { receipt, more: vec![], replayed }, is_duplicate: true })
    }

    /// The number of the charge for a new request: that of one that still counts, with its transaction; or the next.
    async fn number(&self) -> Result<(u64, Option<EntryId>), Fault> {
        let mut next = 1;
        if let Some(last) = self.last().await? {
            if self.counts(last.transaction, last.at).await? {
                return Ok((last.number, Some(last.transaction)));
            }
            // An earlier one may still count, where the last one was refunded.
            for earlier in (1..last.number).rev().take(EARLIER_MAX) {
                let Some(made) = self.made(earlier).await? else { break };
                if self.counts(made.entry.id, made.entry.at).await? {
                    return Ok((earlier, Some(made.entry.id)));
                }
            }
            next = last.number.saturating_add(1);
        }
        for _ in 0..LATER_MAX {
            // The process that made it may have crashed before it stored it as the last one.
            let Some(made) = self.made(next).await? else { break };
            if self.counts(made.entry.id, made.entry.at).await? {
                return Ok((next, Some(made.entry.id)));
            }
            next = next.saturating_add(1);
        }
        Ok((next, None))
    }

    /// The charge of this number, if it was made.
    async fn made(&self, number: u64) -> Result<Option<Receipt>, Fault> {
        let claim = self.ledger.claim_of(ClaimsOf::Account(self.account), &self.key(number)?).await?;
        match claim.map(HeldClaim::new) {
            Some(held) => self.ledger.transaction(self.account, held.id()).await,
            None => Ok(None),
        }
    }

    /// Makes a charge, or finds the existing one.
    async fn charge(
        &self,
        number: u64,
        details: &Details,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let key = self.key(number)?;
        let fingerprint = Fingerprint(key.to_string());
        for wait in 0..=WAITS {
            let claim = Claim::new(&key, &fingerprint, details);
            match self.ledger.spend(self.account, claim, self.moment, &decide).await {
                // Another request is making it, and usually finishes in a moment.
                Err(Unsettled::InProgress) if wait < WAITS => tokio::time::sleep(WAIT).await,
                Ok(settled) => {
                    self.save_last(number, &settled).await?;
                    return Ok(settled);
                }
                // The first attempt may have been this request's own, and its answer was lost.
                Err(unsettled) if wait > 0 => return Err(as_in_progress(unsettled)),
                Err(unsettled) => return Err(unsettled),
            }
        }
        Err(Unsettled::InProgress)
    }

    /// Whether a charge made at `at` still pays for the same.
    async fn counts(&self, transaction: EntryId, at: DateTime<Utc>) -> Result<bool, Fault> {
        let is_recent = self.moment.now.signed_duration_since(at) < self.window;
        Ok(is_recent && self.ledger.is_paid(self.account, transaction).await?)
    }

    async fn last(&self) -> Result<Option<DedupeItem>, Fault> {
        let key = Key::Dedupe(self.account, &self.digest);
        let item = self.ledger.table.get(&key, "look for an earlier charge").await?;
        item.map(|item| decode("the last charge for a dedupe key", item)).transpose()
    }

    /// Stores a charge as the last one, unless a later one is stored. If this fails, the charge is found by its key.
    async fn save_last(&self, number_made: u64, settled: &Settled) -> Result<(), Fault> {
        let entry = &settled.receipt.entry;
        let days = TimeDelta::days(DEDUPE_DAYS);
        let ttl = self.moment.wall.checked_add_signed(days).unwrap_or(self.moment.wall);
        let last = DedupeItem { number: number_made, transaction: entry.id, at: entry.at, ttl };
        let item = with_key(&Key::Dedupe(self.account, &self.digest), &last)?;
        let condition = Condition::new("attribute_not_exists(pk) OR n < :n").value(":n", number(number_made));
        if let Err(fault) = self.ledger.table.put_if(item, condition, "save the last charge").await {
            tracing::warn!(account = %self.account, fault = &fault as &dyn std::error::Error, "left to the next");
        }
        Ok(())
    }

    fn key(&self, number: u64) -> Result<ClaimKey, Fault> {
        system_key(&format!("same-{}-{number}", self.digest))
    }
}

/// A digest of a dedupe key, in as few characters as an idempotency key may have.
fn digest(dedupe: DedupeKey<'_>) -> String {
    let mut digest = Sha256::new();
    let operation = dedupe.operation.as_str().to_owned();
    for part in [Some(dedupe.resource.composed()), Some(operation), dedupe.customer.map(Reference::composed)]
    {
        let length = part.as_ref().map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(0));
        digest.update(length.to_be_bytes());
        digest.update(part.unwrap_or_default());
    }
    URL_SAFE_NO_PAD.encode(digest.finalize())
}
