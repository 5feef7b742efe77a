//! The register of an account's webhooks, which holds their number at its limit.
//!
//! The register is one item with the ids of all webhooks of the account; a webhook that it does not name is not listed
//! and gets no deliveries. The limit is the condition of the write that adds an id, so no other write decides it.
//!
//! - **Create:** add the id to the register, unless it is full; write the delivery state and the webhook; add the id
//!   again. A crash in between leaves an id without a webhook.
//! - **Delete:** delete the delivery state and the webhook; remove the id. A crash in between leaves an id without a
//!   delivery state, or without both.
//! - **Free:** a request that finds the register full reads it, then reads the webhooks, and removes ids that lack one of
//!   the two if no other request has changed the register since (`revision`). So no place is lost for good. An item
//!   that a crash has left behind is never listed again, and is deleted if the deletion is sent again.
//!
//! A request that stood still after its first step can lose its id to this. The second addition decides: it comes after
//! the webhook was written, so either it changes the revision before ids are removed, and nothing is removed; or it adds
//! the id again, or finds the register full and the webhook is refused. In neither case are there too many. A minute's
//! grace only keeps requests that are still running from losing their ids.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::activity::activity_table::Activity;
use crate::table::attribute::{millis, number, sort_key};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem, webhooks_partition};
use crate::table::query::ItemQuery;
use domain::{AccountId, Webhook, WebhookId};
use ports::Moment;

/// The sort key of the register. It sorts before the webhooks of its account.
const REGISTER: &str = "register";

/// The suffix of a delivery state's sort key.
pub(super) const STATE: &str = "#state";

/// For how many seconds an id without a webhook is kept: longer than a request that creates a webhook can take.
const GRACE_SECONDS: i64 = 60;

/// How often an addition is tried. Each failed attempt means that another request has changed the register meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// How many items, webhooks and delivery states together, one read returns at most.
const ITEMS_AT_ONCE: i32 = 100;

/// The ids of an account's webhooks.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Register {
    /// When each id was added, in milliseconds since 1970 by the machine's clock.
    ids: BTreeMap<String, i64>,
    /// Incremented with every change.
    revision: u64,
}

/// The items of an account's webhooks, and which ids the register names.
pub(super) struct WebhookItems {
    /// Webhooks and delivery states, by sort key.
    pub(super) items: Vec<StoredItem>,
    /// `None` for an account whose webhooks are older than the register.
    register: Option<Register>,
}

impl WebhookItems {
    /// Whether the webhook counts: the register names it.
    pub(super) fn names(&self, id: &str) -> bool {
        self.register.as_ref().is_none_or(|register| register.ids.contains_key(id))
    }

    /// The ids for which there is a webhook with a delivery state.
    fn ids(&self) -> BTreeSet<&str> {
        let names: BTreeSet<_> = self.items.iter().filter_map(sort_key).collect();
        let with_state = names.iter().filter_map(|name| name.strip_suffix(STATE));
        with_state.filter(|id| names.contains(id)).collect()
    }
}

impl Activity {
    /// Adds a webhook's id to the register; `false` when the account has [`Webhook::COUNT_MAX`] other webhooks.
    pub(super) async fn register_webhook(
        &self,
        account: AccountId,
        id: WebhookId,
        moment: Moment,
    ) -> Result<bool, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            if self.add_to_register(account, id, moment).await? {
                return Ok(true);
            }
            let register = self.table.get(&register_key(account), "read the register of webhooks").await?;
            match register {
                None => self.begin_register(account, moment).await?,
                Some(item) => {
                    let register: Register = decode("the register of webhooks", item)?;
                    let is_full = Webhook::COUNT_MAX <= register.ids.len();
                    if is_full && !self.free_unused(account, register, moment).await? {
                        return Ok(false);
                    }
                }
            }
        }
        Err(Fault::Busy)
    }

    /// Removes a webhook's id from the register, if it is there.
    pub(super) async fn unregister_webhook(&self, account: AccountId, id: WebhookId) -> Result<(), Fault> {
        let update = UpdateExpression::new("REMOVE ids.#id ADD #revision :one")
            .only_if("attribute_exists(ids.#id)")
            .name("#id", &id.to_string())
            .name("#revision", "revision")
            .value(":one", number(1));
        self.table.update(&register_key(account), update, "remove a webhook").await.map(|_| ())
    }

    /// The items of an account's webhooks.
    pub(super) async fn webhook_items(&self, account: AccountId) -> Result<WebhookItems, Fault> {
        let query = ItemQuery::all(webhooks_partition(account)).limit(ITEMS_AT_ONCE);
        let items = self.table.query_all(query, "read webhooks").await?;
        let (register, items): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| sort_key(item) == Some(REGISTER));
        let register = register.into_iter().next().map(|item| decode("the register of webhooks", item));
        Ok(WebhookItems { items, register: register.transpose()? })
    }

    async fn add_to_register(
        &self,
        account: AccountId,
        id: WebhookId,
        moment: Moment,
    ) -> Result<bool, Fault> {
        let update = UpdateExpression::new("SET ids.#id = if_not_exists(ids.#id, :now) ADD #revision :one")
            .only_if("size(ids) < :most OR attribute_exists(ids.#id)")
            .name("#id", &id.to_string())
            .name("#revision", "revision")
            .value(":now", millis(moment.wall))
            .value(":one", number(1))
            .value(":most", number(u64::try_from(Webhook::COUNT_MAX).unwrap_or(u64::MAX)));
        self.table.update(&register_key(account), update, "add a webhook").await
    }

    /// Writes the first register of an account, with the webhooks that are older than it.
    async fn begin_register(&self, account: AccountId, moment: Moment) -> Result<(), Fault> {
        let known = self.webhook_items(account).await?;
        let at = moment.wall.timestamp_millis();
        let ids = known.ids().into_iter().map(|id| (id.to_owned(), at)).collect();
        let item = with_key(&register_key(account), &Register { ids, revision: 0 })?;
        self.table.put_new(item, "begin the register of webhooks").await.map(|_| ())
    }

    /// Removes ids without a webhook or without its delivery state from a full register, which was read before. `false` when there is none.
    async fn free_unused(
        &self,
        account: AccountId,
        register: Register,
        moment: Moment,
    ) -> Result<bool, Fault> {
        let known = self.webhook_items(account).await?;
        let existing = known.ids();
        let grace = TimeDelta::seconds(GRACE_SECONDS);
        let end = moment.wall.checked_sub_signed(grace).unwrap_or(moment.wall).timestamp_millis();
        let is_unused = |(id, added): &(&String, &i64)| !existing.contains(id.as_str()) && **added <= end;
        let unused: Vec<_> = register.ids.iter().filter(is_unused).map(|(id, _)| id.as_str()).collect();
        if unused.is_empty() {
            return Ok(false);
        }
        let names: Vec<_> = (0..unused.len()).map(|place| format!("#id{place}")).collect();
        let places: Vec<_> = names.iter().map(|name| format!("ids.{name}")).collect();
        let update = UpdateExpression::new(&format!("REMOVE {} ADD #revision :one", places.join(", ")))
            .only_if("#revision = :seen")
            .name("#revision", "revision")
            .value(":one", number(1))
            .value(":seen", number(register.revision));
        let update = names.iter().zip(unused).fold(update, |update, (name, id)| update.name(name, id));
        // Whether it removed them or another request was first: the register is to be tried again.
        self.table.update(&register_key(account), update, "free places for webhooks").await.map(|_| true)
    }
}

fn register_key(account: AccountId) -> Key<'static> {
    Key::Webhook(account, REGISTER.to_owned())
}
