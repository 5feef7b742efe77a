use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::activity::Activity;
use super::events::after_days;
use super::item::{decode, with_key};
use super::key::{Item, Key, deliveries_partition, webhooks_partition};
use super::{Fault, Moment};
use domain::{AccountId, Delivery, DeliveryId, DeliveryState, Webhook, WebhookId};

/// For how many days deliveries are kept: as long as the feed keeps their events.
const DELIVERY_DAYS: i64 = 30;

/// How many items of webhooks, settings and states together, one look brings at once.
const ITEMS_AT_ONCE: i32 = 100;

/// What the name of a state ends with. A webhook and how far its deliveries are stand side by side, so that one
/// look finds both, and whoever changes the one does not disturb the other.
const STATE: &str = "#state";

/// For how many days it is remembered that a webhook was deleted: longer than idempotency keys live.
const GONE_DAYS: i64 = 32;

#[derive(Serialize, Deserialize)]
struct GoneItem {
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct DeliveryItem {
    #[serde(flatten)]
    delivery: Delivery,
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

impl Activity {
    /// Adds a webhook and where its deliveries begin, unless there is one of its id: then that one comes back.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn add_webhook(
        &self,
        account: AccountId,
        webhook: &Webhook,
        state: &DeliveryState,
    ) -> Result<Option<Webhook>, Fault> {
        // The state first: a webhook without one would never be delivered to. It is the same whoever writes it.
        let place = state_place(webhook.id);
        self.replace(with_key(&Key::Webhook(account, place), state)?, None, "add a webhook").await?;
        let item = with_key(&Key::Webhook(account, webhook.id.to_string()), webhook)?;
        if self.replace(item, None, "add a webhook").await? {
            return Ok(None);
        }
        self.webhook(account, webhook.id).await
    }

    /// A webhook by its id.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn webhook(&self, account: AccountId, id: WebhookId) -> Result<Option<Webhook>, Fault> {
        let item = self.get(&Key::Webhook(account, id.to_string()), "read a webhook").await?;
        item.map(|item| decode("a webhook", item)).transpose()
    }

    /// All webhooks of an account with how far their deliveries are, the oldest first.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn webhooks(&self, account: AccountId) -> Result<Vec<(Webhook, DeliveryState)>, Fault> {
        let (mut found, mut last, mut after) = (Vec::new(), None::<Webhook>, None);
        loop {
            let from = (after.take(), true);
            let partition = webhooks_partition(account);
            let (items, more) = self.items(partition, from, ITEMS_AT_ONCE, "read webhooks").await?;
            for item in items {
                let place = place_of(&item);
                // A webhook sorts right before its state.
                match place.strip_suffix(STATE) {
                    None => last = Some(decode("a webhook", item)?),
                    Some(id) => {
                        let webhook = last.take().filter(|webhook| webhook.id.to_string() == id);
                        let state = decode("the state of a webhook", item)?;
                        found.extend(webhook.map(|webhook| (webhook, state)));
                    }
                }
                after = Some(place).filter(|_| more);
            }
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Writes a webhook with a revision one higher, which comes back; `None` when somebody has written or
    /// deleted it since it was read.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn save_webhook(
        &self,
        account: AccountId,
        webhook: &Webhook,
    ) -> Result<Option<Webhook>, Fault> {
        let next = Webhook { revision: webhook.revision.saturating_add(1), ..webhook.clone() };
        let item = with_key(&Key::Webhook(account, webhook.id.to_string()), &next)?;
        let guard = Some(("revision", webhook.revision));
        let saved = self.replace(item, guard, "save a webhook").await?;
        let saved = saved || self.webhook(account, webhook.id).await?.as_ref() == Some(&next);
        Ok(saved.then_some(next))
    }

    /// Deletes a webhook; false when there was none. Its deliveries stay until their time is over, and for as long as
    /// idempotency keys live it is remembered that it is deleted: the request that made it does not make it again.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn delete_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        moment: Moment,
    ) -> Result<bool, Fault> {
        let known = self.webhook(account, id).await?.is_some();
        if known {
            let gone = GoneItem { ttl: after_days(moment, GONE_DAYS) };
            self.write(with_key(&Key::GoneWebhook(account, id), &gone)?, "delete a webhook").await?;
        }
        // The state first: whoever delivers finds none from here on, and sends nothing more.
        self.delete(&Key::Webhook(account, state_place(id)), "delete a webhook").await?;
        self.delete(&Key::Webhook(account, id.to_string()), "delete a webhook").await?;
        Ok(known)
    }

    /// Whether a webhook was deleted.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn is_deleted(&self, account: AccountId, id: WebhookId) -> Result<bool, Fault> {
        Ok(self.get(&Key::GoneWebhook(account, id), "look for a webhook").await?.is_some())
    }

    /// How far deliveries to a webhook are; `None` when there is no such webhook any more.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn delivery_state(
        &self,
        account: AccountId,
        id: WebhookId,
    ) -> Result<Option<DeliveryState>, Fault> {
        let item = self.get(&Key::Webhook(account, state_place(id)), "read the state of a webhook").await?;
        item.map(|item| decode("the state of a webhook", item)).transpose()
    }

    /// Writes how far deliveries are with a revision one higher, which comes back; `None` when somebody has
    /// written or deleted it since it was read.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn save_delivery_state(
        &self,
        account: AccountId,
        id: WebhookId,
        state: &DeliveryState,
    ) -> Result<Option<DeliveryState>, Fault> {
        let next = DeliveryState { revision: state.revision.saturating_add(1), ..state.clone() };
        let item = with_key(&Key::Webhook(account, state_place(id)), &next)?;
        let guard = Some(("revision", state.revision));
        let saved = self.replace(item, guard, "save the state of a webhook").await?;
        let saved = saved || self.delivery_state(account, id).await?.as_ref() == Some(&next);
        Ok(saved.then_some(next))
    }

    /// Changes how far deliveries are by `change`, whoever else changes it meanwhile; as it then is, or `None`
    /// when there is no such webhook any more.
    ///
    /// # Errors
    /// [`Fault::Busy`] when too many others change it; when the table does not serve.
    pub async fn change_delivery_state(
        &self,
        account: AccountId,
        id: WebhookId,
        change: impl Fn(&DeliveryState) -> DeliveryState + Send + Sync,
    ) -> Result<Option<DeliveryState>, Fault> {
        const ATTEMPTS_MAX: u32 = 16;
        for _ in 0..ATTEMPTS_MAX {
            let Some(known) = self.delivery_state(account, id).await? else { return Ok(None) };
            let wanted = change(&known);
            if wanted == known {
                return Ok(Some(known));
            }
            if let Some(saved) = self.save_delivery_state(account, id, &wanted).await? {
                return Ok(Some(saved));
            }
        }
        Err(Fault::Busy)
    }

    /// Writes a delivery into the log of its webhook, over how it stood there before.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn log_delivery(
        &self,
        (account, webhook): (AccountId, WebhookId),
        delivery: &Delivery,
        moment: Moment,
    ) -> Result<(), Fault> {
        let ttl = after_days(moment, DELIVERY_DAYS);
        let key = Key::Delivery(account, webhook, delivery.id);
        let item = with_key(&key, &DeliveryItem { delivery: delivery.clone(), ttl })?;
        self.write(item, "log a delivery").await
    }

    /// One delivery to a webhook.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn delivery(
        &self,
        account: AccountId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, Fault> {
        let item = self.get(&Key::Delivery(account, webhook, id), "read a delivery").await?;
        Ok(item.map(|item| decode::<DeliveryItem>("a delivery", item)).transpose()?.map(|item| item.delivery))
    }

    /// Deliveries to a webhook, the newest first, from the one on that comes after `before`; at most `limit`.
    /// Whether there are more.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn deliveries(
        &self,
        (account, webhook): (AccountId, WebhookId),
        before: Option<DeliveryId>,
        limit: i32,
    ) -> Result<(Vec<Delivery>, bool), Fault> {
        let partition = deliveries_partition(account, webhook);
        let from = before.map(DeliveryId::bare);
        let (items, more) = self.items(partition, (from, false), limit, "read deliveries").await?;
        let read = |item| Ok(decode::<DeliveryItem>("a delivery", item)?.delivery);
        Ok((items.into_iter().map(read).collect::<Result<_, Fault>>()?, more))
    }
}

fn state_place(id: WebhookId) -> String {
    format!("{id}{STATE}")
}

fn place_of(item: &Item) -> String {
    match item.get("sk") {
        Some(AttributeValue::S(place)) => place.clone(),
        Some(_) | None => String::new(),
    }
}
