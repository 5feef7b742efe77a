use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use aws_sdk_dynamodb::{Client, Config};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::catalogue::Memory;
use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Moment};
use domain::{Allowance, ApiKey, Currency, KeyId, OrgId, Plan, PlanId, Secret, SpendingLimit};

/// For how many seconds a warm function goes by what it has read of prices, plans and keys. A
/// revoked key may live that much longer, and a price that is changed with effect from now is
/// charged everywhere after it.
const FRESH_SECONDS: i64 = 60;

/// How many API keys a warm function remembers; past it, all are forgotten and read again.
const KEYS_MAX: usize = 10_000;

/// An organisation as the settings have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Organisation {
    /// Its id.
    pub org: OrgId,
    /// Its name.
    pub name: String,
    /// Its subscription plan.
    pub plan: PlanId,
    /// Credits a month: the plan's, or a negotiated number.
    pub allowance: Allowance,
    /// What the payment provider calls it; none before its first purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The currency that it is billed in.
    pub currency: Currency,
    /// What its purchases of a day may cost, where an operator has set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spending_limit: Option<SpendingLimit>,
    /// Whether its own keys may move it to a plan that costs more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub self_service_plans: bool,
    /// When it was opened.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
}

impl Organisation {
    /// What its purchases of a day may cost.
    #[must_use]
    pub fn may_spend(&self) -> SpendingLimit {
        self.spending_limit.unwrap_or_else(|| SpendingLimit::of(self.currency))
    }
}

/// A key that was found, and the plan of the organisation that it belongs to; none for an
/// operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The key.
    pub key: ApiKey,
    /// Its organisation's plan.
    pub plan: Option<Plan>,
}

/// Organisations, keys and the catalogue: one table, read through a small cache.
#[derive(Debug)]
pub struct Settings {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) catalogue: Mutex<Memory>,
    keys: Mutex<HashMap<String, (DateTime<Utc>, Remembered)>>,
}

/// A key, and the name of its organisation's plan: what the plan is, the catalogue says at each
/// instant.
#[derive(Clone, Debug)]
struct Remembered {
    key: ApiKey,
    plan: Option<PlanId>,
}

#[derive(Serialize, Deserialize)]
struct IssuedKeyItem {
    hash: String,
}

impl Settings {
    /// Settings kept in `table`.
    #[must_use]
    pub fn new(config: &Config, table: impl Into<String>) -> Self {
        Self {
            client: Client::from_conf(config.clone()),
            table: table.into(),
            catalogue: Mutex::default(),
            keys: Mutex::default(),
        }
    }

    /// Adds an organisation; nothing happens when it is there already.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn add_organisation(&self, organisation: &Organisation) -> Result<(), Fault> {
        self.put_new(with_key(&Key::Organisation(organisation.org), organisation)?).await
    }

    /// An organisation by its id.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn organisation(&self, org: OrgId) -> Result<Option<Organisation>, Fault> {
        let item = self.get(&Key::Organisation(org), true, "read an organisation").await?;
        item.map(|item| decode("an organisation", item)).transpose()
    }

    /// Keeps what the payment provider calls an organisation, unless it has a name there already; the name
    /// that it then has.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn add_customer(&self, org: OrgId, customer: &str) -> Result<String, Fault> {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Organisation(org).attributes()));
        let update = update.update_expression("SET customer = if_not_exists(customer, :customer)");
        let update = update.expression_attribute_values(":customer", AttributeValue::S(customer.to_owned()));
        let update = update.condition_expression("attribute_exists(pk)");
        let update = update.return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew);
        let answer = update.send().await;
        let answer = answer.map_err(|error| Fault::unavailable("keep a customer's name")(error.into()))?;
        let known: Organisation = decode("an organisation", answer.attributes.unwrap_or_default())?;
        Ok(known.customer.unwrap_or_else(|| customer.to_owned()))
    }

    /// Sets what the purchases of a day may cost an organisation; the organisation as it then is, or `None` when
    /// there is none.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn set_spending_limit(
        &self,
        org: OrgId,
        limit: SpendingLimit,
    ) -> Result<Option<Organisation>, Fault> {
        let limit = serde_dynamo::to_attribute_value(limit)
            .map_err(|source| Fault::corrupt("a spending limit", source))?;
        self.set_term(org, "spendingLimit", limit).await
    }

    /// Sets whether an organisation's own keys may move it to a plan that costs more; the organisation as it
    /// then is, or `None` when there is no such organisation.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn set_self_service_plans(
        &self,
        org: OrgId,
        allowed: bool,
    ) -> Result<Option<Organisation>, Fault> {
        self.set_term(org, "selfServicePlans", AttributeValue::Bool(allowed)).await
    }

    /// Sets one attribute of an organisation; the organisation as it then is, or `None` when there is none.
    async fn set_term(
        &self,
        org: OrgId,
        name: &'static str,
        value: AttributeValue,
    ) -> Result<Option<Organisation>, Fault> {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Organisation(org).attributes()));
        let update = update.update_expression("SET #term = :value").expression_attribute_names("#term", name);
        let update = update.expression_attribute_values(":value", value);
        let update = update.condition_expression("attribute_exists(pk)");
        let update = update.return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew);
        match update.send().await {
            Ok(answer) => decode("an organisation", answer.attributes.unwrap_or_default()).map(Some),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                Some(_) | None => Err(Fault::unavailable("set a term of an organisation")(error.into())),
            },
        }
    }

    /// Has an organisation have a plan since a revision of its live ledger, unless it has one since a later
    /// one.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn set_plan(
        &self,
        org: OrgId,
        plan: &PlanId,
        allowance: Allowance,
        since: u64,
    ) -> Result<(), Fault> {
        let allowance = serde_dynamo::to_attribute_value(allowance)
            .map_err(|source| Fault::corrupt("an allowance", source))?;
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Organisation(org).attributes()));
        let update =
            update.update_expression("SET #plan = :plan, allowance = :allowance, planSince = :since");
        let update = update.condition_expression(
            "attribute_exists(pk) AND (attribute_not_exists(planSince) OR planSince < :since)",
        );
        let update = update.expression_attribute_names("#plan", "plan");
        let update = update.expression_attribute_values(":plan", AttributeValue::S(plan.0.clone()));
        let update = update.expression_attribute_values(":allowance", allowance);
        let update = update.expression_attribute_values(":since", AttributeValue::N(since.to_string()));
        let outcome = update.send().await;
        // What a key may do hangs on the plan: here at once, elsewhere within a minute.
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (_, known)| known.key.org != Some(org));
        match outcome {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
                Some(_) | None => Err(Fault::unavailable("set a plan")(error.into())),
            },
        }
    }

    /// Adds a key under its hash; nothing happens when it is there already, revoked or not.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn add_key(&self, secret: &Secret, key: &ApiKey) -> Result<(), Fault> {
        let hash = secret.hash();
        if let Some(org) = key.org {
            let issued = with_key(&Key::Issued(org, key.key_id), &IssuedKeyItem { hash: hash.clone() })?;
            let known = with_key(&Key::Secret(&hash), key)?;
            return self.put_both_new(issued, known).await;
        }
        self.put_new(with_key(&Key::Secret(&hash), key)?).await
    }

    /// Issues a key of an organisation, unless one of that id was issued before: that one is returned, whose
    /// secret nobody can be shown any more.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn issue_key(
        &self,
        org: OrgId,
        secret: &Secret,
        key: &ApiKey,
    ) -> Result<Option<ApiKey>, Fault> {
        self.add_key(secret, key).await?;
        let issued = self.get(&Key::Issued(org, key.key_id), true, "find an API key").await?;
        let gone = || Fault::corrupt("an API key", "it was issued and can't be found");
        let IssuedKeyItem { hash } = decode("an issued key", issued.ok_or_else(gone)?)?;
        if hash == secret.hash() {
            return Ok(None);
        }
        let known = self.get(&Key::Secret(&hash), true, "read an API key").await?.ok_or_else(gone)?;
        decode("an API key", known).map(Some)
    }

    /// What is known of a key, at most [`FRESH_SECONDS`] old by `moment.wall`, with the plan as it is
    /// at `moment.now`; `None` for a key that was never issued.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn known(&self, secret: &Secret, moment: Moment) -> Result<Option<Known>, Fault> {
        let Some(Remembered { key, plan }) = self.remembered(secret, moment.wall).await? else {
            return Ok(None);
        };
        let Some(plan) = plan else { return Ok(Some(Known { key, plan: None })) };
        let catalogue = self.catalogue(moment.wall).await?;
        let plan = catalogue.plan(&plan, moment.now).cloned();
        let plan =
            plan.ok_or_else(|| Fault::corrupt("an organisation", "its plan is not in the catalogue"))?;
        Ok(Some(Known { key, plan: Some(plan) }))
    }

    async fn remembered(&self, secret: &Secret, wall: DateTime<Utc>) -> Result<Option<Remembered>, Fault> {
        let hash = secret.hash();
        let remembered = self.keys.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if let Some((read, remembered)) = remembered
            && is_fresh(read, wall)
        {
            return Ok(Some(remembered));
        }
        let Some(item) = self.get(&Key::Secret(&hash), true, "read an API key").await? else {
            return Ok(None);
        };
        let key: ApiKey = decode("an API key", item)?;
        let plan = match key.org {
            Some(org) => {
                let organisation = self.organisation(org).await?;
                let gone = || Fault::corrupt("an API key", "its organisation is gone");
                Some(organisation.ok_or_else(gone)?.plan)
            }
            None => None,
        };
        let remembered = Remembered { key, plan };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(hash, (wall, remembered.clone()));
        Ok(Some(remembered))
    }

    /// Revokes a key of an organisation; the key as it is then, or `None` when the organisation has
    /// no such key. A key that was revoked before keeps its time.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn revoke(&self, org: OrgId, key: KeyId, now: DateTime<Utc>) -> Result<Option<ApiKey>, Fault> {
        let issued = self.get(&Key::Issued(org, key), true, "find an API key").await?;
        let Some(issued) = issued else { return Ok(None) };
        let IssuedKeyItem { hash } = decode("an issued key", issued)?;
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Secret(&hash).attributes()));
        let update = update.update_expression("SET revokedAt = if_not_exists(revokedAt, :now)");
        let update =
            update.expression_attribute_values(":now", AttributeValue::N(now.timestamp().to_string()));
        let update = update.condition_expression("attribute_exists(pk)");
        let answer = update.return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew).send().await;
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash);
        match answer {
            Ok(answer) => decode("an API key", answer.attributes.unwrap_or_default()).map(Some),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                Some(_) | None => Err(Fault::unavailable("revoke an API key")(error.into())),
            },
        }
    }

    pub(super) async fn get(
        &self,
        key: &Key<'_>,
        consistent: bool,
        doing: &'static str,
    ) -> Result<Option<Item>, Fault> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let got = get.consistent_read(consistent).send().await;
        got.map(|answer| answer.item).map_err(|error| Fault::unavailable(doing)(error.into()))
    }

    pub(super) async fn put_new(&self, item: Item) -> Result<(), Fault> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Err(error) if !is_there(error.as_service_error()) => {
                Err(Fault::unavailable("write a setting")(error.into()))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Both or neither, and neither where one of them is there already: a key that works and can't be found to be revoked must not exist.
    async fn put_both_new(&self, first: Item, second: Item) -> Result<(), Fault> {
        use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException;

        let mut both = self.client.transact_write_items();
        for item in [first, second] {
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            let put = put.condition_expression("attribute_not_exists(pk)").build();
            let put = put.map_err(|error| Fault::unavailable("write a key")(error.into()))?;
            both = both.transact_items(TransactWriteItem::builder().put(put).build());
        }
        let Err(error) = both.send().await else { return Ok(()) };
        match error.as_service_error() {
            Some(TransactionCanceledException(cancelled))
                if cancelled.cancellation_reasons().iter().all(|reason| {
                    matches!(reason.code(), Some("ConditionalCheckFailed" | "None") | None)
                }) =>
            {
                Ok(())
            }
            Some(_) | None => Err(Fault::unavailable("write a key")(error.into())),
        }
    }
}

pub(super) fn is_there(error: Option<&aws_sdk_dynamodb::operation::put_item::PutItemError>) -> bool {
    error.is_some_and(|error| error.is_conditional_check_failed_exception())
}

pub(super) fn is_fresh(read: DateTime<Utc>, wall: DateTime<Utc>) -> bool {
    wall.signed_duration_since(read).num_seconds() < FRESH_SECONDS
}
