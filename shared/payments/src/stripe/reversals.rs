//! Refunds, disputes and their events in Stripe's API.

use std::collections::BTreeMap;
use std::error::Error;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::client::{FormField, StripeClient, is_id};
use super::event::{self, REVERSALS, StripeDispute};
use super::meaning::Meaning;
use super::{MoneyRefund, NoAnswer, PaymentId, ProviderEvent, RefundAnswer, Reversals, order};

/// The maximum number of pages that are read of a list. A longer list is incomplete.
const PAGES_MAX: u32 = 50;

/// The metadata field with our name of a refund.
const NAME_FIELD: &str = "refund";

/// A page of a list, newest first.
#[derive(Deserialize)]
struct StripePage<T> {
    data: Vec<T>,
    has_more: bool,
}

#[derive(Deserialize)]
struct StripeRefund {
    id: String,
    amount: u64,
    status: Option<String>,
    failure_reason: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

/// An object with an id, by which a list is paged.
trait HasId: DeserializeOwned {
    fn id(&self) -> String;
}

impl HasId for StripeRefund {
    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Any object of a list: its id and its JSON.
struct RawObject {
    id: String,
    json: Box<RawValue>,
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct ObjectId {
            id: String,
        }
        let json = Box::<RawValue>::deserialize(input)?;
        let ObjectId { id } = serde_json::from_str(json.get()).map_err(serde::de::Error::custom)?;
        Ok(Self { id, json })
    }
}

impl HasId for RawObject {
    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Refunds a part of a payment. An earlier refund of the same name is searched first, because Stripe drops idempotency
/// keys after a day.
pub(super) async fn refund(
    client: &StripeClient,
    id: &PaymentId,
    wanted: &MoneyRefund,
) -> Result<RefundAnswer, NoAnswer> {
    if !is_id(&id.0) {
        return Err(NoAnswer("there is no such payment".into()));
    }
    let is_ours = |refund: &&StripeRefund| {
        refund.metadata.as_ref().and_then(|notes| notes.get(NAME_FIELD)) == Some(&wanted.name)
    };
    if let Some(made) = refunds(client, id).await?.iter().find(is_ours) {
        return Ok(made.answer());
    }
    let form = [
        ("payment_intent", id.0.clone()),
        ("amount", wanted.amount.to_string()),
        ("metadata[refund]", wanted.name.clone()),
    ];
    let key = format!("{}:refund:{}", id.0, wanted.name);
    let response = client.post(&["refunds"], &form, Some(&key)).await?;
    match response.meaning() {
        Meaning::Done => Ok(response.read::<StripeRefund>()?.answer()),
        Meaning::Refused => Ok(RefundAnswer::Refused(response.refusal())),
        Meaning::Unknown | Meaning::Misconfigured => Err(response.no_answer()),
    }
}

/// The refunds and disputes of a payment.
pub(super) async fn of(client: &StripeClient, id: &PaymentId) -> Result<Reversals, NoAnswer> {
    if !is_id(&id.0) {
        return Err(NoAnswer("there is no such payment".into()));
    }
    let refunds = refunds(client, id).await?;
    let valid = refunds.iter().filter(|refund| !refund.has_failed());
    let refunded = valid.fold(0u64, |sum, refund| sum.saturating_add(refund.amount));
    let (disputes, _) = list::<RawObject>(client, "disputes", &of_payment(id)).await?;
    let read = |listed: RawObject| {
        let dispute = serde_json::from_str::<StripeDispute>(listed.json.get());
        dispute.map_err(|_| NoAnswer(format!("the dispute {} is not readable", listed.id)))
    };
    let disputes = disputes.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(Reversals { refunded, disputes: disputes.into_iter().filter_map(StripeDispute::read).collect() })
}

/// The events about refunds and disputes since a time.
pub(super) async fn events(
    client: &StripeClient,
    since: DateTime<Utc>,
) -> Result<Vec<ProviderEvent>, NoAnswer> {
    let mut query: Vec<FormField> = vec![("created[gte]", since.timestamp().to_string())];
    query.extend(REVERSALS.map(|kind| ("types[]", kind.to_owned())));
    let (listed, is_complete) = list::<RawObject>(client, "events", &query).await?;
    if !is_complete {
        tracing::error!(
            pages = PAGES_MAX,
            "Stripe has more events about refunds and disputes than were read"
        );
    }
    let read = |listed: RawObject| match event::read(listed.json.get().as_bytes()) {
        Ok(event) => event,
        // An unreadable event must not hide the others.
        Err(refused) => {
            tracing::error!(
                event = listed.id,
                cause = &refused as &dyn Error,
                "an event of Stripe is not readable"
            );
            None
        }
    };
    Ok(listed.into_iter().filter_map(read).collect())
}

async fn refunds(client: &StripeClient, id: &PaymentId) -> Result<Vec<StripeRefund>, NoAnswer> {
    match list(client, "refunds", &of_payment(id)).await? {
        (refunds, true) => Ok(refunds),
        (_, false) => Err(NoAnswer("the payment has too many refunds to look through".into())),
    }
}

fn of_payment(PaymentId(id): &PaymentId) -> Vec<FormField> {
    vec![("payment_intent", id.clone())]
}

/// The objects of a list, and whether the list is complete.
async fn list<T: HasId>(
    client: &StripeClient,
    what: &str,
    query: &[FormField],
) -> Result<(Vec<T>, bool), NoAnswer> {
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let mut query = query.to_vec();
        query.push(("limit", order::PAGE.to_string()));
        query.extend(found.last().map(|last: &T| ("starting_after", last.id())));
        let page: StripePage<T> = client.get(&[what], &query).await?.read()?;
        let is_last = !page.has_more || page.data.is_empty();
        found.extend(page.data);
        if is_last {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

impl StripeRefund {
    fn has_failed(&self) -> bool {
        matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }

    fn answer(&self) -> RefundAnswer {
        if self.has_failed() {
            RefundAnswer::Refused(self.failure_reason.clone().unwrap_or_else(|| "refund_failed".to_owned()))
        } else {
            RefundAnswer::Made
        }
    }
}
