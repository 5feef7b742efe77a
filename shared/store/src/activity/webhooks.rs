//! Webhooks of an account, their delivery states and their delivery logs.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::activity::activity_table::Activity;
use crate::activity::webhook_register::STATE;
use crate::table::attribute::sort_key;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::expiry::after_days;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, deliveries_partition};
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, Delivery, DeliveryId, DeliveryState, DeliveryStatus, Webhook, WebhookId};
use ports::Moment;

/// For how many days deliveries are kept: as long as the feed keeps their events.
const DELIVERY_DAYS: i64 = 30;

/// For how many days the deletion of a webhook is recorded: longer than idempotency keys are valid.
const GONE_DAYS: i64 = 32;

/// The full name of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookKey {
    /// The account.
    pub account: AccountId,
    /// The webhook.
    pub id: WebhookId,
}

/// What became of a webhook to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddedWebhook {
    /// It was added.
    Added,
    /// A webhook with its id exists and stays.
    Known(Box<Webhook>),
    /// The account has [`Webhook::COUNT_MAX`] webhooks.
    Full,
}

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
    /// Adds a webhook with its first delivery state, unless the account has as many as it may have. The register of
    /// webhooks decides that, see `webhook_register.rs`.
    ///
    /// # Errors
    /// When the table does not answer; [`Fault::Busy`] when too many other requests change the register.
    pub async fn add_webhook(
        &self,
        account: AccountId,
        webhook: &Webhook,
        state: &DeliveryState,
        moment: Moment,
    ) -> Result<AddedWebhook, Fault> {
        const DOING: &str = "add a webhook";
        if !self.register_webhook(account, webhook.id, moment).await? {
            return Ok(AddedWebhook::Full);
        }
        // The state first: a webhook without one would never get a delivery. Every attempt writes the same state.
        let state = with_key(&Key::Webhook(account, state_name(webhook.id)), state)?;
        self.table.put_if(state, Condition::absent(), DOING).await?;
        let item = with_key(&Key::Webhook(account, webhook.id.to_string()), webhook)?;
        let is_new = self.table.put_if(item, Condition::absent(), DOING).await?;
        if !self.register_webhook(account, webhook.id, moment).await? {
            return Ok(AddedWebhook::Full);
        }
        let known = if is_new { None } else { self.webhook(account, webhook.id).await? };
        Ok(known.map_or(AddedWebhook::Added, |known| AddedWebhook::Known(Box::new(known))))
    }

    /// A webhook by its id.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn webhook(&self, account: AccountId, id: WebhookId) -> Result<Option<Webhook>, Fault> {
        let item = self.table.get(&Key::Webhook(account, id.to_string()), "read a webhook").await?;
        item.map(|item| decode("a webhook", item)).transpose()
    }

    /// All webhooks of an account with their delivery states, the oldest first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn webhooks(&self, account: AccountId) -> Result<Vec<(Webhook, DeliveryState)>, Fault> {
        let mut all = self.webhook_items(account).await?;
        let (mut found, mut last) = (Vec::new(), None::<Webhook>);
        for item in std::mem::take(&mut all.items) {
            let name = sort_key(&item).unwrap_or_default().to_owned();
            // A webhook sorts right before its state.
            match name.strip_suffix(STATE) {
                None => last = Some(decode("a webhook", item)?),
                Some(id) => {
                    let webhook = last.take().filter(|webhook| webhook.id.to_string() == id);
                    let state = decode("the state of a webhook", item)?;
                    found.extend(webhook.filter(|_| all.names(id)).map(|webhook| (webhook, state)));
                }
            }
        }
        Ok(found)
    }

    /// The ids of all webhooks of an account, also of those whose items cannot be read.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn webhook_ids(&self, account: AccountId) -> Result<Vec<WebhookId>, Fault> {
        let all = self.webhook_items(account).await?;
        let names = all.items.iter().filter_map(sort_key).filter(|name| all.names(name));
        Ok(names.filter_map(|name| WebhookId::try_from(name.to_owned()).ok()).collect())
    }

    /// Saves a webhook with its revision incremented and returns it; `None` when another process has saved or deleted
    /// it since it was read.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_webhook(
        &self,
        account: AccountId,
        webhook: &Webhook,
    ) -> Result<Option<Webhook>, Fault> {
        let next = Webhook { revision: webhook.revision.saturating_add(1), ..webhook.clone() };
        let item = with_key(&Key::Webhook(account, webhook.id.to_string()), &next)?;
        let saved = self.table.replace(item, Some(webhook.revision), "save a webhook").await?;
        let saved = saved || self.webhook(account, webhook.id).await?.as_ref() == Some(&next);
        Ok(saved.then_some(next))
    }

    /// Deletes a webhook; `false` when there was none. Its deliveries stay until they expire. The deletion is recorded
    /// for as long as idempotency keys are valid, so that a retry of the request that created the webhook does not
    /// create it again.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn delete_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        moment: Moment,
    ) -> Result<bool, Fault> {
        const DOING: &str = "delete a webhook";
        let known = self.webhook(account, id).await?.is_some();
        if known {
            let gone = GoneItem { ttl: after_days(moment, GONE_DAYS) };
            self.table.put(with_key(&Key::GoneWebhook(account, id), &gone)?, DOING).await?;
        }
        // The state first: from here on a worker finds no state and sends nothing more.
        self.table.delete(&Key::Webhook(account, state_name(id)), DOING).await?;
        self.table.delete(&Key::Webhook(account, id.to_string()), DOING).await?;
        self.unregister_webhook(account, id).await?;
        Ok(known)
    }

    /// Whether a webhook was deleted.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn is_deleted(&self, account: AccountId, id: WebhookId) -> Result<bool, Fault> {
        Ok(self.table.get(&Key::GoneWebhook(account, id), "look for a webhook").await?.is_some())
    }

    /// The delivery state of a webhook; `None` when the webhook does not exist any more.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn delivery_state(
        &self,
        account: AccountId,
        id: WebhookId,
    ) -> Result<Option<DeliveryState>, Fault> {
        let item =
            self.table.get(&Key::Webhook(account, state_name(id)), "read the state of a webhook").await?;
        item.map(|item| decode("the state of a webhook", item)).transpose()
    }

    /// Saves a delivery state with its revision incremented and returns it; `None` when another process has saved or
    /// deleted it since it was read.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_delivery_state(
        &self,
        account: AccountId,
        id: WebhookId,
        state: &DeliveryState,
    ) -> Result<Option<DeliveryState>, Fault> {
        let next = DeliveryState { revision: state.revision.saturating_add(1), ..state.clone() };
        let item = with_key(&Key::Webhook(account, state_name(id)), &next)?;
        let saved = self.table.replace(item, Some(state.revision), "save the state of a webhook").await?;
        let saved = saved || self.delivery_state(account, id).await?.as_ref() == Some(&next);
        Ok(saved.then_some(next))
    }

    /// Applies `change` to a delivery state, again whenever another process saves it first. Returns the saved state;
    /// `None` when the webhook no longer exists.
    ///
    /// # Errors
    /// [`Fault::Busy`] when too many other processes change it; when the table does not answer.
    pub async fn change_delivery_state(
        &self,
        account: AccountId,
        id: WebhookId,
        change: impl Fn(&DeliveryState) -> DeliveryState + Send + Sync,
    ) -> Result<Option<DeliveryState>, Fault> {
        const ATTEMPTS_MAX: u32 = 64;
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

    /// Writes a delivery into the log of its webhook, over its earlier state.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn log_delivery(
        &self,
        webhook: WebhookKey,
        delivery: &Delivery,
        moment: Moment,
    ) -> Result<(), Fault> {
        let ttl = after_days(moment, DELIVERY_DAYS);
        let key = Key::Delivery(webhook.account, webhook.id, delivery.id);
        let item = with_key(&key, &DeliveryItem { delivery: delivery.clone(), ttl })?;
        self.table.put(item, "log a delivery").await
    }

    /// One delivery to a webhook.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn delivery(
        &self,
        account: AccountId,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>, Fault> {
        let item = self.table.get(&Key::Delivery(account, webhook, id), "read a delivery").await?;
        Ok(item.map(|item| decode::<DeliveryItem>("a delivery", item)).transpose()?.map(|item| item.delivery))
    }

    /// At most `limit` deliveries to a webhook, before `before` or the latest ones, newest first; and whether there are
    /// more.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn deliveries(
        &self,
        webhook: WebhookKey,
        before: Option<DeliveryId>,
        limit: i32,
    ) -> Result<(Vec<Delivery>, bool), Fault> {
        let keys = before.map_or(SortKeys::All, |before| SortKeys::Below(before.bare()));
        let query = ItemQuery::new(deliveries_partition(webhook.account, webhook.id), keys);
        let page = self.table.query(query.falling().limit(limit), "read deliveries").await?;
        let read = |item| Ok(decode::<DeliveryItem>("a delivery", item)?.delivery);
        let deliveries = page.items.into_iter().map(read).collect::<Result<_, Fault>>()?;
        Ok((deliveries, page.last.is_some()))
    }

    /// The same deliveries with their present status; `None` when there is no such webhook. The state is read before the log,
    /// so that what it has finished is finished in the log.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn current_deliveries(
        &self,
        webhook: WebhookKey,
        before: Option<DeliveryId>,
        limit: i32,
    ) -> Result<Option<(Vec<Delivery>, bool)>, Fault> {
        let state = self.delivery_state(webhook.account, webhook.id).await?;
        let Some(state) = state else { return Ok(None) };
        let (lines, more) = self.deliveries(webhook, before, limit).await?;
        let current = self.with_current_status(webhook, &state, lines).await?;
        Ok(current.map(|lines| (lines, more)))
    }

    /// Deliveries with their present status; `None` when there is no such webhook. `state` was read before the log: an attempt
    /// may have begun and failed in between, so deliveries that look superseded are checked by the present state.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn with_current_status(
        &self,
        webhook: WebhookKey,
        state: &DeliveryState,
        lines: Vec<Delivery>,
    ) -> Result<Option<Vec<Delivery>>, Fault> {
        let known: Vec<_> = lines.iter().cloned().map(|line| line.by(state)).collect();
        if known.iter().all(|line| line.status != DeliveryStatus::Superseded) {
            return Ok(Some(known));
        }
        let Some(later) = self.delivery_state(webhook.account, webhook.id).await? else { return Ok(None) };
        let pairs = lines.into_iter().zip(known);
        let current = pairs.map(|(line, known)| match known.status {
            DeliveryStatus::Superseded => line.by(&later),
            DeliveryStatus::Succeeded
            | DeliveryStatus::Retrying
            | DeliveryStatus::Failed
            | DeliveryStatus::Skipped
            | DeliveryStatus::Aborted => known,
        });
        Ok(Some(current.collect()))
    }
}

fn state_name(id: WebhookId) -> String {
    format!("{id}{STATE}")
}
