use std::time::Duration;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::claim::{Claimed, Held, Wish};
use super::item::{decode, with_key};
use super::key::Key;
use super::{ClaimsOf, Fault, Ledger, Moment, Settled, Unsettled, system_key};
use domain::{
    Account, AccountId, ClaimKey, Details, EntryId, Fingerprint, Head, Operation, Posting, Receipt,
    Reference, Refusal,
};
use ports::random;

/// How often, and how long, a request waits for another one that is being charged for the same just now.
const WAITS: u32 = 12;
const WAIT: Duration = Duration::from_millis(25);

/// How many charges before the last are looked at where the last counts no more.
const EARLIER_MAX: usize = 8;

/// How many charges for the same that nobody has written down are passed over at most.
const UNKNOWN_MAX: u32 = 16;

/// What is not to be charged twice: one operation on one resource for one customer.
#[derive(Clone, Copy, Debug)]
pub struct Same<'a> {
    /// The operation.
    pub operation: &'a Operation,
    /// The resource, compared in Unicode's normal form C, and so is the customer.
    pub resource: &'a Reference,
    /// The customer, or none.
    pub customer: Option<&'a Reference>,
    /// For how many seconds after it was charged it is not charged again.
    pub window_seconds: u32,
}

/// What a request came to that was not to be charged twice.
#[derive(Clone, Debug)]
pub struct ChargedOnce {
    /// The transaction that pays for it.
    pub settled: Settled,
    /// Whether an earlier request has paid.
    pub is_duplicate: bool,
}

/// Who was last charged for the same.
#[derive(Serialize, Deserialize)]
struct SeenItem {
    /// The how manieth charge for the same.
    n: u64,
    txn: EntryId,
    #[serde(with = "chrono::serde::ts_seconds")]
    at: DateTime<Utc>,
    /// When the table may delete it.
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

struct Once<'a> {
    ledger: &'a Ledger,
    account: AccountId,
    digest: String,
    window: TimeDelta,
    moment: Moment,
}

impl Ledger {
    /// Settles a debit unless the same was charged within its window, and then names that charge. All who ask
    /// for the same go for one charge under one name, so that of many who ask together one pays; the caller's
    /// own key remembers which charge it went for.
    ///
    /// A charge that was refunded whole counts for nothing: whoever comes next pays.
    ///
    /// # Errors
    /// As [`Ledger::settle`].
    pub async fn settle_once(
        &self,
        account: AccountId,
        (key, asked, details): (&ClaimKey, &Fingerprint, &Details),
        (same, moment): (Same<'_>, Moment),
        decide: impl Fn(&Account, &Head) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<ChargedOnce, Unsettled> {
        let once = Once::new(self, account, same, moment);
        let of = ClaimsOf::Account(account);
        let earlier = self.claim_of(of, key).await?.map(Held::new);
        let replayed = earlier.as_ref().is_some_and(|held| held.is_current(moment.wall));
        let (mine, number) = match earlier {
            Some(held) if replayed && !held.is_for(asked) => return Err(Unsettled::KeyReused),
            Some(held) if replayed => {
                let mine = held.id();
                let Details { nth, dedupe, .. } = held.into_details();
                if let Some(paid) = dedupe {
                    return self.paid_by(account, paid, true).await;
                }
                (mine, nth.unwrap_or(1))
            }
            earlier => {
                let (number, paid) = once.number().await?;
                let mine = EntryId::new(moment.now, random());
                let claimed = Details { nth: Some(number), dedupe: paid, ..Details::default() };
                let wish = Wish { of, key, asked, details: &claimed };
                self.claim_anew(wish, earlier, mine, moment).await?;
                if let Some(paid) = paid {
                    return self.paid_by(account, paid, false).await;
                }
                (mine, number)
            }
        };
        let details = Details { dedupe: Some(mine), nth: Some(number), ..details.clone() };
        match once.charge(number, &details, decide).await {
            Ok(settled) => {
                let is_duplicate = settled.receipt.details.dedupe != Some(mine);
                Ok(ChargedOnce { settled: Settled { replayed, ..settled }, is_duplicate })
            }
            Err(error @ (Unsettled::Refused(_) | Unsettled::HoldsEnded)) => {
                self.release(of, key, mine).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }
}

impl Ledger {
    /// Takes a key that nobody has, or that means nothing any more and is not deleted yet.
    async fn claim_anew(
        &self,
        wish: Wish<'_>,
        old: Option<Held>,
        mine: EntryId,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        match old {
            Some(old) if self.take_over(wish, old.id(), mine, moment).await? => Ok(()),
            Some(_) => Err(Unsettled::InProgress),
            None => match self.claim(wish, mine, moment).await? {
                Claimed::Ours => Ok(()),
                Claimed::Theirs(held) if held.is_for(wish.asked) => Err(Unsettled::InProgress),
                Claimed::Theirs(_) => Err(Unsettled::KeyReused),
            },
        }
    }

    /// What is told where the same was paid for before.
    async fn paid_by(
        &self,
        account: AccountId,
        paid: EntryId,
        replayed: bool,
    ) -> Result<ChargedOnce, Unsettled> {
        let receipt = self.transaction(account, paid).await?.ok_or(Unsettled::InProgress)?;
        Ok(ChargedOnce { settled: Settled { receipt, more: vec![], replayed }, is_duplicate: true })
    }

    /// The transaction that has paid for the same within its window, if one has.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn paid_before(
        &self,
        account: AccountId,
        same: Same<'_>,
        moment: Moment,
    ) -> Result<Option<EntryId>, Fault> {
        let once = Once::new(self, account, same, moment);
        Ok(once.number().await?.1)
    }
}

impl<'a> Once<'a> {
    fn new(ledger: &'a Ledger, account: AccountId, same: Same<'_>, moment: Moment) -> Self {
        let window = TimeDelta::seconds(same.window_seconds.into());
        Self { ledger, account, digest: digest(same), window, moment }
    }

    /// Which charge a new request goes for: one that still counts, and its transaction; or the next.
    async fn number(&self) -> Result<(u64, Option<EntryId>), Fault> {
        let mut next = 1;
        if let Some(seen) = self.seen().await? {
            if self.counts(seen.txn, seen.at).await? {
                return Ok((seen.n, Some(seen.txn)));
            }
            // One before it may still count, where the last was refunded.
            for earlier in (1..seen.n).rev().take(EARLIER_MAX) {
                let Some(made) = self.made(earlier).await? else { break };
                if self.counts(made.entry.id, made.entry.at).await? {
                    return Ok((earlier, Some(made.entry.id)));
                }
            }
            next = seen.n.saturating_add(1);
        }
        for _ in 0..UNKNOWN_MAX {
            // Whoever made it may have crashed before writing down that it was made.
            let Some(made) = self.made(next).await? else { break };
            if self.counts(made.entry.id, made.entry.at).await? {
                return Ok((next, Some(made.entry.id)));
            }
            next = next.saturating_add(1);
        }
        Ok((next, None))
    }

    /// The charge of that number, if it was made.
    async fn made(&self, number: u64) -> Result<Option<Receipt>, Fault> {
        let claim = self.ledger.claim_of(ClaimsOf::Account(self.account), &self.name(number)?).await?;
        match claim.map(Held::new) {
            Some(held) => self.ledger.transaction(self.account, held.id()).await,
            None => Ok(None),
        }
    }

    /// Makes a charge, or finds it made.
    async fn charge(
        &self,
        number: u64,
        details: &Details,
        decide: impl Fn(&Account, &Head) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let key = self.name(number)?;
        let asked = Fingerprint(key.to_string());
        for wait in 0..=WAITS {
            let claim = (&key, &asked, details);
            match self.ledger.spend(self.account, claim, self.moment, &decide).await {
                // Somebody is at it, and will mostly be done in a moment.
                Err(Unsettled::InProgress) if wait < WAITS => tokio::time::sleep(WAIT).await,
                Ok(settled) => {
                    self.write_down(number, &settled).await?;
                    return Ok(settled);
                }
                Err(unsettled) => return Err(unsettled),
            }
        }
        Err(Unsettled::InProgress)
    }

    /// Whether a charge made at `at` still pays for the same.
    async fn counts(&self, txn: EntryId, at: DateTime<Utc>) -> Result<bool, Fault> {
        let is_recent = self.moment.now.signed_duration_since(at) < self.window;
        Ok(is_recent && self.ledger.is_paid(self.account, txn).await?)
    }

    async fn seen(&self) -> Result<Option<SeenItem>, Fault> {
        let key = Key::Seen(self.account, &self.digest);
        let item = self.ledger.get(&key, true, "look for the same").await?;
        item.map(|item| decode("a charge for the same", item)).transpose()
    }

    /// Names the charge; a later one stays. If this fails it is found by its name.
    async fn write_down(&self, number: u64, settled: &Settled) -> Result<(), Fault> {
        let entry = &settled.receipt.entry;
        // The longest window, and some.
        let ttl = self.moment.wall.checked_add_signed(TimeDelta::days(62)).unwrap_or(self.moment.wall);
        let seen = SeenItem { n: number, txn: entry.id, at: entry.at, ttl };
        let item = with_key(&Key::Seen(self.account, &self.digest), &seen)?;
        let put = self.ledger.client.put_item().table_name(&self.ledger.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk) OR n < :n");
        match put.expression_attribute_values(":n", AttributeValue::N(number.to_string())).send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                Some(_) | None => {
                    let fault = Fault::unavailable("name a charge")(error.into());
                    tracing::warn!(account = %self.account, fault = &fault as &dyn std::error::Error, "left to the next");
                    Ok(())
                }
            },
        }
    }

    fn name(&self, number: u64) -> Result<ClaimKey, Fault> {
        system_key(&format!("same-{}-{number}", self.digest))
    }
}

/// What tells one from another, in as few letters as a key may have.
fn digest(same: Same<'_>) -> String {
    let mut digest = Sha256::new();
    let operation = same.operation.as_str().to_owned();
    for part in [Some(same.resource.composed()), Some(operation), same.customer.map(Reference::composed)] {
        let length = part.as_ref().map_or(u64::MAX, |part| u64::try_from(part.len()).unwrap_or(0));
        digest.update(length.to_be_bytes());
        digest.update(part.unwrap_or_default());
    }
    URL_SAFE_NO_PAD.encode(digest.finalize())
}
