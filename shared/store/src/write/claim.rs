//! Claims of idempotency keys.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, SubsecRound, Utc};

use crate::table::condition::Condition;
use crate::table::error::{Fault, Unsettled};
use crate::table::item::{ClaimItem, decode, with_key};
use crate::table::key::{ClaimsOf, Key};
use crate::table::ledger::Ledger;
use domain::{AccountId, BudgetId, ClaimKey, Details, EntryId, Fingerprint, IdempotencyKey, RowShards};
use ports::{Moment, random};

/// For how many days an idempotency key is valid. The contract promises 30. The table deletes items some time after
/// they expire, so system time decides whether a key is valid, not whether its item exists.
const CLAIM_DAYS: i64 = 31;

/// The id and time that a request got with its key: the same for every retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedId {
    /// The id of what the request creates.
    pub id: EntryId,
    /// When the request first arrived, in whole seconds.
    pub at: DateTime<Utc>,
    /// Whether an earlier attempt of the request claimed it.
    pub replayed: bool,
}

/// How an attempt to take a key ended.
#[derive(Clone, Debug)]
pub(crate) enum Claimed {
    /// This attempt holds it: exactly one attempt ever gets this result.
    Ours,
    /// Another attempt holds it.
    Theirs(Box<HeldClaim>),
}

/// A claim that an attempt holds.
#[derive(Clone, Debug)]
pub(crate) struct HeldClaim {
    claim: ClaimItem,
}

impl HeldClaim {
    pub(crate) fn new(claim: ClaimItem) -> Self {
        Self { claim }
    }

    /// The attempt that holds it.
    pub(crate) fn id(&self) -> EntryId {
        self.claim.id
    }

    /// Whether it was taken for the same request.
    pub(crate) fn is_for(&self, fingerprint: &Fingerprint) -> bool {
        self.claim.hash == fingerprint.0
    }

    /// Whether the key is still valid. Keys are for retries after lost answers, so they expire in system time: a test
    /// clock may move by a month at once.
    pub(crate) fn is_current(&self, wall: DateTime<Utc>) -> bool {
        wall < end_of_key(self.claim.wall)
    }

    pub(crate) fn seconds_running(&self, wall: DateTime<Utc>) -> i64 {
        wall.signed_duration_since(self.claim.wall).num_seconds()
    }

    /// When it was taken, in system time.
    pub(crate) fn wall(&self) -> DateTime<Utc> {
        self.claim.wall
    }

    /// The budgets that its attempt may have charged.
    pub(crate) fn budgets(&self) -> Vec<BudgetId> {
        self.claim.details.all_budgets().into_iter().collect()
    }

    pub(crate) fn into_details(self) -> Details {
        self.claim.details
    }
}

/// An idempotency key with the request that it is claimed for.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The key.
    pub key: &'a ClaimKey,
    /// The fingerprint of the request.
    pub fingerprint: &'a Fingerprint,
    /// The details of the transaction that the request makes.
    pub details: &'a Details,
}

impl<'a> Claim<'a> {
    /// A claim of `key` for the request with this fingerprint.
    #[must_use]
    pub fn new(key: &'a ClaimKey, fingerprint: &'a Fingerprint, details: &'a Details) -> Self {
        Self { key, fingerprint, details }
    }

    /// The claim among the keys of an owner.
    pub(crate) fn of(self, of: ClaimsOf) -> OwnedClaim<'a> {
        let Self { key, fingerprint, details } = self;
        OwnedClaim { of, key, fingerprint, details }
    }
}

/// A claim and the owner of its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnedClaim<'a> {
    pub(crate) of: ClaimsOf,
    pub(crate) key: &'a ClaimKey,
    pub(crate) fingerprint: &'a Fingerprint,
    pub(crate) details: &'a Details,
}

impl Ledger {
    /// Takes an idempotency key for a request that creates something once and moves no credits. Every retry of the
    /// request gets the same id and time, so what it creates from them is the same. Requests that move credits go
    /// through [`Ledger::settle`], which claims the key itself.
    ///
    /// # Errors
    /// [`Unsettled::KeyReused`]; [`Unsettled::Failed`] when the table does not answer.
    pub async fn claim_once(
        &self,
        of: ClaimsOf,
        key: &ClaimKey,
        fingerprint: &Fingerprint,
        moment: Moment,
    ) -> Result<ClaimedId, Unsettled> {
        let details = Details::default();
        let claim = Claim::new(key, fingerprint, &details).of(of);
        self.claim_above(EntryId::FIRST, claim, moment).await
    }

    /// The id that the holder of a key got; `None` if the key is free.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn holder_of(&self, of: ClaimsOf, key: &ClaimKey) -> Result<Option<EntryId>, Fault> {
        Ok(self.claim_of(of, key).await?.map(|claim| HeldClaim::new(claim).id()))
    }

    /// As [`Ledger::claim_once`], for a key whose holder got the id `known` and was refused.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] when another request has the key meanwhile; when the table does not answer.
    pub async fn claim_from(
        &self,
        known: EntryId,
        of: ClaimsOf,
        claim: Claim<'_>,
        moment: Moment,
    ) -> Result<ClaimedId, Unsettled> {
        let id = EntryId::above(EntryId::FIRST, moment.now, random(), RowShards::ONE);
        let taken = self.take_over(claim.of(of), known, id, moment).await?;
        let ours = ClaimedId { id, at: moment.now.trunc_subsecs(0), replayed: false };
        if taken { Ok(ours) } else { Err(Unsettled::InProgress) }
    }

    /// As [`Ledger::claim_once`], for things of an account that are listed in the order of creation: the id lies above
    /// `floor`, even if a test clock stands still. The details of the claim are not used.
    ///
    /// # Errors
    /// As [`Ledger::claim_once`].
    pub async fn claim_once_above(
        &self,
        floor: EntryId,
        account: AccountId,
        claim: Claim<'_>,
        moment: Moment,
    ) -> Result<ClaimedId, Unsettled> {
        self.claim_above(floor, claim.of(ClaimsOf::Account(account)), moment).await
    }

    async fn claim_above(
        &self,
        floor: EntryId,
        claim: OwnedClaim<'_>,
        moment: Moment,
    ) -> Result<ClaimedId, Unsettled> {
        let id = EntryId::above(floor, moment.now, random(), RowShards::ONE);
        let ours = ClaimedId { id, at: moment.now.trunc_subsecs(0), replayed: false };
        let held = match self.claim(claim, id, moment).await? {
            Claimed::Ours => return Ok(ours),
            Claimed::Theirs(held) => held,
        };
        if !held.is_current(moment.wall) {
            let taken = self.take_over(claim, held.id(), id, moment).await?;
            return if taken { Ok(ours) } else { Err(Unsettled::InProgress) };
        }
        if held.is_for(claim.fingerprint) {
            Ok(ClaimedId { id: held.id(), at: held.claim.at, replayed: true })
        } else {
            Err(Unsettled::KeyReused)
        }
    }

    /// The id and time that an earlier attempt of the same request got; `None` when there was none. Takes no key.
    ///
    /// # Errors
    /// As [`Ledger::claim_once`].
    pub async fn made_before(
        &self,
        of: ClaimsOf,
        key: &ClaimKey,
        fingerprint: &Fingerprint,
        moment: Moment,
    ) -> Result<Option<ClaimedId>, Unsettled> {
        let Some(claim) = self.claim_of(of, key).await? else { return Ok(None) };
        let held = HeldClaim::new(claim);
        if !held.is_current(moment.wall) {
            Ok(None)
        } else if held.is_for(fingerprint) {
            Ok(Some(ClaimedId { id: held.id(), at: held.claim.at, replayed: true }))
        } else {
            Err(Unsettled::KeyReused)
        }
    }

    /// Takes a key for the attempt `id`. This write alone ensures that a request is carried out once.
    pub(crate) async fn claim(
        &self,
        claim: OwnedClaim<'_>,
        id: EntryId,
        moment: Moment,
    ) -> Result<Claimed, Fault> {
        let item = with_key(&Key::Claim(claim.of, claim.key), &claim_item(claim, id, moment))?;
        let Some(existing) = self.table.put_new(item, "claim an idempotency key").await? else {
            return Ok(Claimed::Ours);
        };
        let held = HeldClaim::new(decode("a claim", existing)?);
        // The SDK may have sent it twice: then the first call took the key for this attempt.
        Ok(if held.id() == id { Claimed::Ours } else { Claimed::Theirs(Box::new(held)) })
    }

    /// Takes a claim over from the attempt `from`, which will never land; `false` when another attempt has done so.
    pub(crate) async fn take_over(
        &self,
        claim: OwnedClaim<'_>,
        from: EntryId,
        id: EntryId,
        moment: Moment,
    ) -> Result<bool, Fault> {
        let item = with_key(&Key::Claim(claim.of, claim.key), &claim_item(claim, id, moment))?;
        // `= :id` makes a second call of the same take-over succeed.
        let condition = Condition::new("#id = :from OR #id = :id")
            .name("#id", "id")
            .value(":from", AttributeValue::S(from.bare()))
            .value(":id", AttributeValue::S(id.bare()));
        self.table.put_if(item, condition, "take a claim over").await
    }

    /// Releases the key of an attempt that was refused, so that it can be used again.
    pub(crate) async fn release(&self, of: ClaimsOf, key: &ClaimKey, id: EntryId) -> Result<(), Fault> {
        let condition = Condition::equal("id", AttributeValue::S(id.bare()));
        self.table.delete_if(&Key::Claim(of, key), condition, "release a claim").await.map(|_| ())
    }

    /// The claim of a key, if there is one.
    pub(crate) async fn claim_of(&self, of: ClaimsOf, key: &ClaimKey) -> Result<Option<ClaimItem>, Fault> {
        let item = self.table.get(&Key::Claim(of, key), "read a claim").await?;
        item.map(|item| decode("a claim", item)).transpose()
    }
}

/// A key for work of the system itself: its name identifies the work, so that it is done once.
///
/// # Errors
/// [`Fault::Corrupt`] when the name has a character or length that no key may have.
pub fn system_key(name: &str) -> Result<ClaimKey, Fault> {
    let key = IdempotencyKey::try_from(name.to_owned());
    key.map(ClaimKey::System).map_err(|problem| Fault::corrupt("the name of a system key", problem))
}

/// When a key that was taken at `at`, in system time, stops being valid.
pub(crate) fn end_of_key(at: DateTime<Utc>) -> DateTime<Utc> {
    let days = Duration::try_days(CLAIM_DAYS).unwrap_or_default();
    at.checked_add_signed(days).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

pub(crate) fn claim_item(claim: OwnedClaim<'_>, id: EntryId, moment: Moment) -> ClaimItem {
    ClaimItem {
        hash: claim.fingerprint.0.clone(),
        id,
        at: moment.now,
        wall: moment.wall,
        ttl: end_of_key(moment.wall),
        details: claim.details.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(wall: DateTime<Utc>) -> HeldClaim {
        let key = system_key("renewal").unwrap();
        let fingerprint = Fingerprint("request".to_owned());
        let details = Details { nth: Some(7), ..Details::default() };
        let claim =
            OwnedClaim { of: ClaimsOf::Operators, key: &key, fingerprint: &fingerprint, details: &details };
        HeldClaim::new(claim_item(claim, EntryId::FIRST, Moment { now: wall, wall }))
    }

    /// A key is valid for 31 days to the instant, in system time.
    #[test]
    fn a_key_is_valid_for_31_days() {
        let wall: DateTime<Utc> = "2024-01-31T23:59:50.250Z".parse().unwrap();
        let end = wall + Duration::days(CLAIM_DAYS);
        for (at, expected) in [
            (wall, true),
            (end - Duration::milliseconds(1), true),
            (end, false),
            (end + Duration::milliseconds(1), false),
        ] {
            assert_eq!(held(wall).is_current(at), expected, "{at}");
        }
    }

    /// A process that settles the attempt of another process writes the row that the other one would have written.
    #[test]
    fn a_claim_keeps_the_details_of_its_request() {
        let wall: DateTime<Utc> = "2024-01-31T23:59:50Z".parse().unwrap();
        assert_eq!(held(wall).into_details().nth, Some(7));
        assert_eq!(held(wall).seconds_running(wall + Duration::milliseconds(2_999)), 2);
        assert!(held(wall).is_for(&Fingerprint("request".to_owned())));
        assert!(!held(wall).is_for(&Fingerprint("other".to_owned())));
    }
}
