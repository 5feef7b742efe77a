//! Refunds and disputes, as Stripe has them.

use std::collections::BTreeMap;
use std::error::Error;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::super::event::{self, Dispute, REVERSALS};
use super::answer::Meaning;
use super::http::{Client, Field, is_id};
use super::{Event, MoneyRefund, PaymentId, RefundAnswer, Reversals, Silence, order};

/// A list is read through so many pages at most; past them it is not known whole.
const PAGES_MAX: u32 = 50;

/// What we write on a refund of ours, to find it by.
const NAME: &str = "refund";

/// A page of a list, newest first.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Refund {
    id: String,
    amount: u64,
    status: Option<String>,
    failure_reason: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

/// What a list pages by.
trait Listed: DeserializeOwned {
    fn id(&self) -> String;
}

impl Listed for Refund {
    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Anything else that is listed: its id, and itself.
struct Whole {
    id: String,
    json: Box<RawValue>,
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Named {
            id: String,
        }
        let json = Box::<RawValue>::deserialize(input)?;
        let Named { id } = serde_json::from_str(json.get()).map_err(serde::de::Error::custom)?;
        Ok(Self { id, json })
    }
}

impl Listed for Whole {
    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Refunds a part of a payment. It is looked for first: Stripe forgets idempotency keys after a day, and a
/// refund never.
pub(super) async fn refund(
    client: &Client,
    id: &PaymentId,
    wanted: &MoneyRefund,
) -> Result<RefundAnswer, Silence> {
    if !is_id(&id.0) {
        return Err(Silence("there is no such payment".into()));
    }
    let is_ours =
        |refund: &&Refund| refund.metadata.as_ref().and_then(|notes| notes.get(NAME)) == Some(&wanted.name);
    if let Some(made) = refunds(client, id).await?.iter().find(is_ours) {
        return Ok(made.answer());
    }
    let form = [
        ("payment_intent", id.0.clone()),
        ("amount", wanted.amount.to_string()),
        ("metadata[refund]", wanted.name.clone()),
    ];
    let key = format!("{}:refund:{}", id.0, wanted.name);
    let answer = client.post(&["refunds"], &form, Some(&key)).await?;
    match answer.meaning() {
        Meaning::Done => Ok(answer.read::<Refund>()?.answer()),
        Meaning::Refused => Ok(RefundAnswer::Refused(answer.refusal())),
        Meaning::Silent | Meaning::Mend => Err(answer.silence()),
    }
}

/// What was taken back from a payment.
pub(super) async fn of(client: &Client, id: &PaymentId) -> Result<Reversals, Silence> {
    if !is_id(&id.0) {
        return Err(Silence("there is no such payment".into()));
    }
    let standing = refunds(client, id).await?;
    let standing = standing.iter().filter(|refund| !refund.has_failed());
    let refunded = standing.fold(0u64, |sum, refund| sum.saturating_add(refund.amount));
    let (disputes, _) = list::<Whole>(client, "disputes", &of_payment(id)).await?;
    let read = |listed: Whole| {
        let dispute = serde_json::from_str::<Dispute>(listed.json.get());
        dispute.map_err(|_| Silence(format!("the dispute {} does not read", listed.id)))
    };
    let disputes = disputes.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(Reversals { refunded, disputes: disputes.into_iter().filter_map(Dispute::read).collect() })
}

/// The events about refunds and disputes since a time.
pub(super) async fn events(client: &Client, since: DateTime<Utc>) -> Result<Vec<Event>, Silence> {
    let mut query: Vec<Field> = vec![("created[gte]", since.timestamp().to_string())];
    query.extend(REVERSALS.map(|kind| ("types[]", kind.to_owned())));
    let (listed, is_whole) = list::<Whole>(client, "events", &query).await?;
    if !is_whole {
        tracing::error!(pages = PAGES_MAX, "Stripe has more events about refunds and disputes than are read");
    }
    let read = |listed: Whole| match event::read(listed.json.get().as_bytes()) {
        Ok(event) => event,
        // One that does not read must not hide the others.
        Err(refused) => {
            tracing::error!(
                event = listed.id,
                cause = &refused as &dyn Error,
                "an event of Stripe does not read"
            );
            None
        }
    };
    Ok(listed.into_iter().filter_map(read).collect())
}

async fn refunds(client: &Client, id: &PaymentId) -> Result<Vec<Refund>, Silence> {
    match list(client, "refunds", &of_payment(id)).await? {
        (refunds, true) => Ok(refunds),
        (_, false) => Err(Silence("the payment has too many refunds to look through".into())),
    }
}

fn of_payment(PaymentId(id): &PaymentId) -> Vec<Field> {
    vec![("payment_intent", id.clone())]
}

/// A list, and whether it is whole.
async fn list<T: Listed>(client: &Client, what: &str, query: &[Field]) -> Result<(Vec<T>, bool), Silence> {
    let mut found = Vec::new();
    for _ in 0..PAGES_MAX {
        let mut query = query.to_vec();
        query.push(("limit", order::PAGE.to_string()));
        query.extend(found.last().map(|last: &T| ("starting_after", last.id())));
        let page: Page<T> = client.get(&[what], &query).await?.read()?;
        let is_last = !page.has_more || page.data.is_empty();
        found.extend(page.data);
        if is_last {
            return Ok((found, true));
        }
    }
    Ok((found, false))
}

impl Refund {
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
