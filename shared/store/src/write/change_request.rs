//! Requests that change settings: their idempotency keys, and the answers that are stored with them.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::table::attribute::{number, number_of, text, text_of};
use crate::table::condition::UpdateExpression;
use crate::table::error::{Fault, Unsettled};
use crate::table::item::{decode, with_key};
use crate::table::key::{ClaimsOf, Key};
use crate::table::ledger::Ledger;
use crate::write::claim::{Claim, HeldClaim, OwnedClaim, claim_item, end_of_key};
use domain::{ClaimKey, Details, EntryId, Fingerprint};
use ports::{Moment, random};

/// For how many seconds an earlier attempt of the same request counts as running. The slowest such request calls a
/// customer's endpoint, which takes 10 s at most.
const RUNNING_SECONDS: i64 = 30;

/// One running attempt of a request that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeAttempt {
    /// The request's id: the same for every attempt under one idempotency key.
    pub id: EntryId,
    /// When this attempt began, in system time.
    pub wall: DateTime<Utc>,
}

/// What to do with a request that changes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeStart {
    /// Carry it out.
    CarryOut(ChangeAttempt),
    /// Return the stored answer of an earlier attempt.
    Answered(String),
    /// Refuse it: an earlier attempt crashed, and another request has changed the same thing since.
    Overtaken,
}

/// A request that changes something. Without a key it is carried out every time it is sent; without a thing, no other
/// request can overtake it.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// The owner of the key.
    pub of: ClaimsOf,
    /// The idempotency key.
    pub key: Option<ClaimKey>,
    /// The digest of the thing that it sets. Later requests that set the same thing undo earlier ones.
    pub thing: Option<String>,
}

impl ChangeRequest {
    /// The digest of a thing that requests set.
    #[must_use]
    pub fn digest(thing: &str) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(thing))
    }
}

impl Ledger {
    /// Takes the idempotency key of a request that changes settings, or returns the answer of an earlier attempt.
    /// Unlike [`Ledger::settle`] it does not make the change: the caller makes it and then stores its answer with
    /// [`Ledger::save_answer`]. If an earlier attempt crashed, this one continues in its place, unless a request that
    /// was answered since has changed the same thing.
    ///
    /// # Errors
    /// [`Unsettled::KeyReused`], [`Unsettled::InProgress`]; [`Unsettled::Failed`] when the table does not answer.
    pub async fn begin_change(
        &self,
        request: &ChangeRequest,
        fingerprint: &Fingerprint,
        moment: Moment,
    ) -> Result<ChangeStart, Unsettled> {
        let id = EntryId::new(moment.now, random());
        let carry_out = |id| Ok(ChangeStart::CarryOut(ChangeAttempt { id, wall: moment.wall }));
        let Some(key) = &request.key else { return carry_out(id) };
        let details = Details::default();
        let claim = Claim::new(key, fingerprint, &details).of(request.of);
        let item = with_key(&Key::Claim(claim.of, key), &claim_item(claim, id, moment))?;
        let Some(known) = self.table.put_new(item, "claim an idempotency key").await? else {
            return carry_out(id);
        };
        let (answer, since) = (text_of(&known, "answer").map(str::to_owned), number_of(&known, "since"));
        let has_crashed = known.contains_key("broken");
        let held = HeldClaim::new(decode("a claim", known)?);
        if held.id() == id {
            // The SDK sent it twice, and the first call took the key.
            return carry_out(id);
        }
        if !held.is_current(moment.wall) {
            let taken = self.take_over(claim, held.id(), id, moment).await?;
            return if taken { carry_out(id) } else { Err(Unsettled::InProgress) };
        }
        if !held.is_for(fingerprint) {
            return Err(Unsettled::KeyReused);
        }
        if let Some(answer) = answer {
            return Ok(ChangeStart::Answered(answer));
        }
        if !has_crashed && held.seconds_running(moment.wall) < RUNNING_SECONDS {
            return Err(Unsettled::InProgress);
        }
        let since = since.unwrap_or_else(|| millis(held.wall()));
        if self.last_change(request).await?.is_some_and(|last| since < last) {
            return Ok(ChangeStart::Overtaken);
        }
        let continues = self.continue_for(claim, &held, moment).await?;
        if continues { carry_out(held.id()) } else { Err(Unsettled::InProgress) }
    }

    /// Stores the answer of a request that was carried out, and that it has changed its thing. From then on every retry
    /// of the request gets the same answer, and no retry of an earlier request undoes the change.
    ///
    /// # Errors
    /// When the table does not answer; the caller must then not report success.
    pub async fn save_answer(
        &self,
        request: &ChangeRequest,
        attempt: &ChangeAttempt,
        answer: &str,
    ) -> Result<(), Fault> {
        if let Some(thing) = &request.thing {
            self.save_change_time(request.of, thing, attempt.wall).await?;
        }
        let Some(key) = &request.key else { return Ok(()) };
        // A key whose time has ended meanwhile belongs to another request.
        let update = UpdateExpression::new("SET #answer = :answer")
            .only_if("#id = :id")
            .name("#answer", "answer")
            .name("#id", "id")
            .value(":answer", text(answer))
            .value(":id", text(attempt.id.bare()));
        self.table.update(&Key::Claim(request.of, key), update, "save an answer").await.map(|_| ())
    }

    /// Saves when a thing, by its digest, was changed, in system time, so that no retry of an earlier request that
    /// crashed undoes the change.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_change_time(&self, of: ClaimsOf, thing: &str, at: DateTime<Utc>) -> Result<(), Fault> {
        let ttl = AttributeValue::N(end_of_key(at).timestamp().to_string());
        let update = UpdateExpression::new("SET #changed = :changed, #ttl = :ttl")
            .only_if("attribute_not_exists(pk) OR #changed < :changed")
            .name("#changed", "changed")
            .name("#ttl", "ttl")
            .value(":changed", number(millis(at)))
            .value(":ttl", ttl);
        self.table.update(&Key::LastChange(of, thing), update, "save the time of a change").await.map(|_| ())
    }

    /// Releases the key of a refused request: it can be used again, with another body too.
    ///
    /// # Errors
    /// When the table does not answer; the key then stays taken until [`RUNNING_SECONDS`] have passed.
    pub async fn release_key(&self, request: &ChangeRequest, attempt: &ChangeAttempt) -> Result<(), Fault> {
        match &request.key {
            Some(key) => self.release(request.of, key, attempt.id).await,
            None => Ok(()),
        }
    }

    /// Saves that an attempt has failed and may have changed something: the next one continues at once.
    ///
    /// # Errors
    /// When the table does not answer; the next one then waits until [`RUNNING_SECONDS`] have passed.
    pub async fn save_failure(&self, request: &ChangeRequest, attempt: &ChangeAttempt) -> Result<(), Fault> {
        let Some(key) = &request.key else { return Ok(()) };
        let update = UpdateExpression::new("SET #broken = :broken")
            .only_if("#id = :id")
            .name("#broken", "broken")
            .name("#id", "id")
            .value(":broken", AttributeValue::Bool(true))
            .value(":id", text(attempt.id.bare()));
        let key = Key::Claim(request.of, key);
        self.table.update(&key, update, "save that a request has failed").await.map(|_| ())
    }

    /// When an answered request last changed the thing, in milliseconds since 1970.
    async fn last_change(&self, request: &ChangeRequest) -> Result<Option<u64>, Fault> {
        let Some(thing) = &request.thing else { return Ok(None) };
        let item = self.table.get(&Key::LastChange(request.of, thing), "read the last change").await?;
        Ok(item.and_then(|item| number_of(&item, "changed")))
    }

    /// Continues in place of an attempt that crashed; `false` when another attempt does so.
    async fn continue_for(
        &self,
        claim: OwnedClaim<'_>,
        held: &HeldClaim,
        moment: Moment,
    ) -> Result<bool, Fault> {
        let update =
            UpdateExpression::new("SET #wall = :now, #since = if_not_exists(#since, :before) REMOVE #broken")
                .only_if("#id = :id AND #wall = :before AND attribute_not_exists(#answer)")
                .name("#id", "id")
                .name("#wall", "wall")
                .name("#since", "since")
                .name("#answer", "answer")
                .name("#broken", "broken")
                .value(":id", text(held.id().bare()))
                .value(":before", number(millis(held.wall())))
                .value(":now", number(millis(moment.wall)));
        self.table.update(&Key::Claim(claim.of, claim.key), update, "continue a request").await
    }
}

fn millis(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or(0)
}
