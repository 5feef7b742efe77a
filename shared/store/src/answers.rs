use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::chain::number;
use super::claim::{Held, Wish, claim_item, later};
use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{ClaimsOf, Fault, Ledger, Moment, Unsettled};
use domain::{ClaimKey, Details, EntryId, Fingerprint};
use ports::random;

/// For how many seconds an earlier sending of the same request counts as still at work. The slowest such
/// request calls a customer's endpoint, which takes 10 s at most.
const RUNNING_SECONDS: i64 = 30;

/// One sending of a request that changes something, while its handler is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The request's id: every sending under one idempotency key has the same.
    pub id: EntryId,
    /// When this sending began, by the machine's own time.
    pub wall: DateTime<Utc>,
}

/// Whether a request that changes something is to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It is.
    CarryOut(Begun),
    /// It was, and this is what was kept of its answer.
    Answered(String),
    /// An earlier sending broke off, and another request has changed the same thing since.
    Overtaken,
}

/// A request that changes something: whose its idempotency key is, the key, and the digest of what it
/// changes. Without a key it is carried out however often it is sent; without a thing that it changes, no
/// other request can overtake it.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Whose keys.
    pub of: ClaimsOf,
    /// The key.
    pub key: Option<ClaimKey>,
    /// A digest of the thing that is set, in which later requests undo earlier ones.
    pub thing: Option<String>,
}

impl Changes {
    /// The digest of a thing that is set.
    #[must_use]
    pub fn digest(thing: &str) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(thing))
    }
}

impl Ledger {
    /// Takes the idempotency key of a request that changes settings, or says what the same request was
    /// answered before. Unlike [`Ledger::settle`] it knows nothing of the change itself: the caller makes it
    /// and then keeps its answer by [`Ledger::keep_answer`]. A sending that finds an earlier one broken off
    /// goes on in its place, unless a request that was answered since has changed the same thing.
    ///
    /// # Errors
    /// [`Unsettled::KeyReused`], [`Unsettled::InProgress`]; [`Unsettled::Failed`] when the table does not serve.
    pub async fn begin(
        &self,
        changes: &Changes,
        asked: &Fingerprint,
        moment: Moment,
    ) -> Result<Start, Unsettled> {
        let id = EntryId::new(moment.now, random());
        let carry_out = |id| Ok(Start::CarryOut(Begun { id, wall: moment.wall }));
        let Some(key) = &changes.key else { return carry_out(id) };
        let wish = Wish { of: changes.of, key, asked, details: &Details::default() };
        let item = with_key(&Key::Claim(wish.of, key), &claim_item(wish, id, moment))?;
        let Some(known) = self.put_new(item, "claim an idempotency key").await? else { return carry_out(id) };
        let (answer, since) = (text(&known, "answer"), number(&known, "since"));
        let broke_off = known.contains_key("broken");
        let held = Held::new(decode("a claim", known)?);
        if held.id() == id {
            // The SDK sent it twice, and the first sending took it.
            return carry_out(id);
        }
        if !held.is_current(moment.wall) {
            let taken = self.take_over(wish, held.id(), id, moment).await?;
            return if taken { carry_out(id) } else { Err(Unsettled::InProgress) };
        }
        if !held.is_for(asked) {
            return Err(Unsettled::KeyReused);
        }
        if let Some(answer) = answer {
            return Ok(Start::Answered(answer));
        }
        if !broke_off && held.seconds_running(moment.wall) < RUNNING_SECONDS {
            return Err(Unsettled::InProgress);
        }
        let since = since.unwrap_or_else(|| millis(held.wall()));
        if self.last_change(changes).await?.is_some_and(|last| since < last) {
            return Ok(Start::Overtaken);
        }
        let goes_on = self.go_on(wish, &held, moment).await?;
        if goes_on { carry_out(held.id()) } else { Err(Unsettled::InProgress) }
    }

    /// Keeps the answer of a request that was carried out, and that it has changed its thing. Once this has
    /// succeeded, the same request is answered the same, and no sending of an earlier one undoes it.
    ///
    /// # Errors
    /// When the table does not serve; the caller must not be told that the request succeeded then.
    pub async fn keep_answer(&self, changes: &Changes, begun: &Begun, answer: &str) -> Result<(), Fault> {
        if let Some(thing) = &changes.thing {
            self.note_change(changes.of, thing, begun.wall).await?;
        }
        let Some(key) = &changes.key else { return Ok(()) };
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Claim(changes.of, key).attributes()));
        let update = update.update_expression("SET #answer = :answer").condition_expression("#id = :id");
        let update = update.expression_attribute_names("#answer", "answer");
        let update = update.expression_attribute_names("#id", "id");
        let update = update.expression_attribute_values(":answer", AttributeValue::S(answer.to_owned()));
        let update = update.expression_attribute_values(":id", AttributeValue::S(begun.id.bare()));
        // A key that has come to its end meanwhile is somebody else's.
        made(update.send().await, "keep an answer").map(|_| ())
    }

    /// Notes that a thing, by its digest, was changed at an instant of the machine's own time: no sending of an earlier
    /// request that broke off undoes it.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn note_change(&self, of: ClaimsOf, thing: &str, at: DateTime<Utc>) -> Result<(), Fault> {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::LastChange(of, thing).attributes()));
        let update = update.update_expression("SET #changed = :changed, #ttl = :ttl");
        let update = update.condition_expression("attribute_not_exists(pk) OR #changed < :changed");
        let update = update.expression_attribute_names("#changed", "changed");
        let update = update.expression_attribute_names("#ttl", "ttl");
        let update = update.expression_attribute_values(":changed", digits(millis(at)));
        let ttl = AttributeValue::N(later(at).timestamp().to_string());
        let update = update.expression_attribute_values(":ttl", ttl);
        made(update.send().await, "note a change").map(|_| ())
    }

    /// Gives the key of a refused request back: it may be sent again, with another body too.
    ///
    /// # Errors
    /// When the table does not serve; the key is then taken until [`RUNNING_SECONDS`] have passed.
    pub async fn give_key_back(&self, changes: &Changes, begun: &Begun) -> Result<(), Fault> {
        match &changes.key {
            Some(key) => self.release(changes.of, key, begun.id).await,
            None => Ok(()),
        }
    }

    /// Notes that a sending broke off, and may have changed something: the next one goes on at once.
    ///
    /// # Errors
    /// When the table does not serve; the next one then waits until [`RUNNING_SECONDS`] have passed.
    pub async fn break_off(&self, changes: &Changes, begun: &Begun) -> Result<(), Fault> {
        let Some(key) = &changes.key else { return Ok(()) };
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Claim(changes.of, key).attributes()));
        let update = update.update_expression("SET #broken = :broken").condition_expression("#id = :id");
        let update = update.expression_attribute_names("#broken", "broken");
        let update = update.expression_attribute_names("#id", "id");
        let update = update.expression_attribute_values(":broken", AttributeValue::Bool(true));
        let update = update.expression_attribute_values(":id", AttributeValue::S(begun.id.bare()));
        made(update.send().await, "note that a request broke off").map(|_| ())
    }

    /// When the thing was last changed by a request that was answered: milliseconds.
    async fn last_change(&self, changes: &Changes) -> Result<Option<u64>, Fault> {
        let Some(thing) = &changes.thing else { return Ok(None) };
        let item = self.get(&Key::LastChange(changes.of, thing), true, "read the last change").await?;
        Ok(item.and_then(|item| number(&item, "changed")))
    }

    /// Goes on in place of a sending that broke off; `false` when another sending does so.
    async fn go_on(&self, wish: Wish<'_>, held: &Held, moment: Moment) -> Result<bool, Fault> {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Claim(wish.of, wish.key).attributes()));
        let update = update
            .update_expression("SET #wall = :now, #since = if_not_exists(#since, :before) REMOVE #broken");
        let update =
            update.condition_expression("#id = :id AND #wall = :before AND attribute_not_exists(#answer)");
        let names = ["id", "wall", "since", "answer", "broken"];
        let update = names
            .into_iter()
            .fold(update, |update, name| update.expression_attribute_names(format!("#{name}"), name));
        let update = update.expression_attribute_values(":id", AttributeValue::S(held.id().bare()));
        let update = update.expression_attribute_values(":before", digits(millis(held.wall())));
        let update = update.expression_attribute_values(":now", digits(millis(moment.wall)));
        made(update.send().await, "go on with a request")
    }
}

/// Whether an update was made, and not kept from it by its condition.
fn made<T>(
    sent: Result<T, aws_sdk_dynamodb::error::SdkError<UpdateItemError>>,
    doing: &'static str,
) -> Result<bool, Fault> {
    match sent {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Some(_) | None => Err(Fault::unavailable(doing)(error.into())),
        },
    }
}

fn text(item: &Item, name: &str) -> Option<String> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        Some(_) | None => None,
    }
}

fn digits(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn millis(at: DateTime<Utc>) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or(0)
}
