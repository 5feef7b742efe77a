use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, SubsecRound, Utc};

use super::item::{ClaimItem, decode, with_key};
use super::key::Key;
use super::settle::random;
use super::{Fault, Ledger, Moment, Unsettled};
use crate::domain::{AccountId, ClaimKey, Details, EntryId, Fingerprint, IdempotencyKey};

/// For how many days an idempotency key is remembered. The contract promises 30; the table deletes
/// some time after that, so the end is judged by our clock and not by whether the item is there.
const CLAIM_DAYS: i64 = 31;

/// Whose keys a claim is one of: those of different organisations never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimsOf {
    /// One account's.
    Account(AccountId),
    /// The operators', for what belongs to no account yet.
    Operators,
}

/// What a request that makes something goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The id of what is made.
    pub id: EntryId,
    /// When it was first asked for. Whole seconds.
    pub at: DateTime<Utc>,
    /// Whether an earlier sending made it.
    pub replayed: bool,
}

/// What became of a wish to hold a key.
#[derive(Clone, Debug)]
pub(super) enum Claimed {
    /// It is ours: exactly one attempt ever hears this.
    Ours,
    /// Somebody was first.
    Theirs(Box<Held>),
}

/// A claim that somebody holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    claim: ClaimItem,
}

impl Held {
    pub(super) fn new(claim: ClaimItem) -> Self {
        Self { claim }
    }

    /// The attempt that holds it.
    pub(super) fn id(&self) -> EntryId {
        self.claim.id
    }

    /// Whether it was taken for the same request.
    pub(super) fn is_for(&self, asked: &Fingerprint) -> bool {
        self.claim.hash == asked.0
    }

    /// Whether the key still means anything. Keys are for answers that were lost, so they live by the
    /// machine's own time, not by one that may be moved by a month at once.
    pub(super) fn is_current(&self, wall: DateTime<Utc>) -> bool {
        wall < later(self.claim.wall)
    }

    pub(super) fn seconds_running(&self, wall: DateTime<Utc>) -> i64 {
        wall.signed_duration_since(self.claim.wall).num_seconds()
    }

    /// When it was taken, by the machine's own time.
    pub(super) fn wall(&self) -> DateTime<Utc> {
        self.claim.wall
    }

    pub(super) fn into_details(self) -> Details {
        self.claim.details
    }
}

/// What a claim is taken with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) of: ClaimsOf,
    pub(super) key: &'a ClaimKey,
    pub(super) asked: &'a Fingerprint,
    pub(super) details: &'a Details,
}

impl Ledger {
    /// Takes an idempotency key for what is made once and moves no credits, and answers with the same
    /// id and time whenever the same request is sent again. What is made from them may be made again:
    /// it is the same. What belongs to an account's credits goes through [`Ledger::settle`], which
    /// claims by itself.
    ///
    /// # Errors
    /// [`Unsettled::KeyReused`]; [`Unsettled::Failed`] when the table does not serve.
    pub async fn claim_once(
        &self,
        of: ClaimsOf,
        key: &ClaimKey,
        asked: &Fingerprint,
        moment: Moment,
    ) -> Result<Made, Unsettled> {
        self.claim_once_above(EntryId::FIRST, of, (key, asked), moment).await
    }

    /// The same for what is told in the order in which it was made: its id lies above `floor`, also where
    /// a clock stands still.
    ///
    /// # Errors
    /// As [`Ledger::claim_once`].
    pub async fn claim_once_above(
        &self,
        floor: EntryId,
        of: ClaimsOf,
        (key, asked): (&ClaimKey, &Fingerprint),
        moment: Moment,
    ) -> Result<Made, Unsettled> {
        let id = EntryId::above(floor, moment.now, random());
        let ours = Made { id, at: moment.now.trunc_subsecs(0), replayed: false };
        let wish = Wish { of, key, asked, details: &Details::default() };
        let held = match self.claim(wish, id, moment).await? {
            Claimed::Ours => return Ok(ours),
            Claimed::Theirs(held) => held,
        };
        if !held.is_current(moment.wall) {
            let taken = self.take_over(wish, held.id(), id, moment).await?;
            return if taken { Ok(ours) } else { Err(Unsettled::InProgress) };
        }
        if held.is_for(asked) {
            Ok(Made { id: held.id(), at: held.claim.at, replayed: true })
        } else {
            Err(Unsettled::KeyReused)
        }
    }

    /// What the same request was made as before, if it was; nothing is taken.
    ///
    /// # Errors
    /// As [`Ledger::claim_once`].
    pub async fn made_before(
        &self,
        of: ClaimsOf,
        key: &ClaimKey,
        asked: &Fingerprint,
        moment: Moment,
    ) -> Result<Option<Made>, Unsettled> {
        let Some(claim) = self.claim_of(of, key).await? else { return Ok(None) };
        let held = Held::new(claim);
        if !held.is_current(moment.wall) {
            Ok(None)
        } else if held.is_for(asked) {
            Ok(Some(Made { id: held.id(), at: held.claim.at, replayed: true }))
        } else {
            Err(Unsettled::KeyReused)
        }
    }

    /// Takes a key for the attempt `id`. Exactly once is decided here and by nothing else.
    pub(super) async fn claim(&self, wish: Wish<'_>, id: EntryId, moment: Moment) -> Result<Claimed, Fault> {
        let claim = claim_item(wish, id, moment);
        let item = with_key(&Key::Claim(wish.of, wish.key), &claim)?;
        let Some(existing) = self.put_new(item, "claim an idempotency key").await? else {
            return Ok(Claimed::Ours);
        };
        let held = Held::new(decode("a claim", existing)?);
        // The SDK may have sent it twice: then the first sending took it, for us.
        Ok(if held.id() == id { Claimed::Ours } else { Claimed::Theirs(Box::new(held)) })
    }

    /// Takes a claim over from the attempt `from`, which will never land; `false` when somebody else
    /// has done so.
    pub(super) async fn take_over(
        &self,
        wish: Wish<'_>,
        from: EntryId,
        id: EntryId,
        moment: Moment,
    ) -> Result<bool, Fault> {
        let item = with_key(&Key::Claim(wish.of, wish.key), &claim_item(wish, id, moment))?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        // `= :id` makes a second sending of the same take-over succeed.
        let put =
            put.condition_expression("#id = :from OR #id = :id").expression_attribute_names("#id", "id");
        let put = put.expression_attribute_values(":from", AttributeValue::S(from.bare()));
        match put.expression_attribute_values(":id", AttributeValue::S(id.bare())).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                Some(_) | None => Err(Fault::unavailable("take a claim over")(error.into())),
            },
        }
    }

    /// Lets go of a claim whose attempt was refused, so that the same key may be tried again.
    pub(super) async fn release(&self, of: ClaimsOf, key: &ClaimKey, id: EntryId) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.set_key(Some(Key::Claim(of, key).attributes())).condition_expression("#id = :id");
        let delete = delete.expression_attribute_names("#id", "id");
        match delete.expression_attribute_values(":id", AttributeValue::S(id.bare())).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
                Some(_) | None => Err(Fault::unavailable("release a claim")(error.into())),
            },
        }
    }
}

/// A key for what we do by ourselves: its name says what that is, so it is done once.
///
/// # Errors
/// [`Fault::Corrupt`] when the name can be no key.
pub fn system_key(name: &str) -> Result<ClaimKey, Fault> {
    let key = IdempotencyKey::try_from(name.to_owned());
    key.map(ClaimKey::System).map_err(|problem| Fault::corrupt("a name of ours", problem))
}

/// When a key that was taken at `at`, by the machine's own time, means nothing any more.
pub(super) fn later(at: DateTime<Utc>) -> DateTime<Utc> {
    let days = Duration::try_days(CLAIM_DAYS).unwrap_or_default();
    at.checked_add_signed(days).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

pub(super) fn claim_item(wish: Wish<'_>, id: EntryId, moment: Moment) -> ClaimItem {
    ClaimItem {
        hash: wish.asked.0.clone(),
        id,
        at: moment.now,
        wall: moment.wall,
        ttl: later(moment.wall),
        details: wish.details.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(wall: DateTime<Utc>) -> Held {
        let key = system_key("renewal").unwrap();
        let asked = Fingerprint("asked".to_owned());
        let details = Details { nth: Some(7), ..Details::default() };
        let wish = Wish { of: ClaimsOf::Operators, key: &key, asked: &asked, details: &details };
        Held::new(claim_item(wish, EntryId::FIRST, Moment { now: wall, wall }))
    }

    /// A key means something for 31 days to the instant, by the machine's own time.
    #[test]
    fn a_key_is_remembered_for_31_days() {
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

    /// Whoever settles an attempt of another process writes the row that this process would have written.
    #[test]
    fn a_claim_keeps_what_was_asked() {
        let wall: DateTime<Utc> = "2024-01-31T23:59:50Z".parse().unwrap();
        assert_eq!(held(wall).into_details().nth, Some(7));
        assert_eq!(held(wall).seconds_running(wall + Duration::milliseconds(2_999)), 2);
        assert!(held(wall).is_for(&Fingerprint("asked".to_owned())));
        assert!(!held(wall).is_for(&Fingerprint("other".to_owned())));
    }
}
