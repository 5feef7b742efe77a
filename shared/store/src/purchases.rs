use std::collections::BTreeMap;

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Ledger};
use domain::{
    AccountId, Amount, Cause, Dispute, KeyId, Money, Offer, PackageId, PaymentId, Purchase, PurchaseId, Rate,
    Recharge, Reference, Refunds, Stage,
};

/// A purchase as the table has it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseItem {
    credits: Amount,
    price: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<PackageId>,
    price_version: u32,
    method: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchange: Option<Rate>,
    cause: Cause,
    #[serde(with = "chrono::serde::ts_seconds")]
    made_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    stage: Stage,
    charges: u32,
    looks: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receipt: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    disputes: BTreeMap<String, Dispute>,
    #[serde(default, skip_serializing_if = "is_default")]
    refunds: Refunds,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    to_return: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counted: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uncounted_by: Option<String>,
    #[serde(with = "chrono::serde::ts_milliseconds")]
    leased_until: DateTime<Utc>,
    revision: u64,
}

impl From<&Purchase> for PurchaseItem {
    fn from(purchase: &Purchase) -> Self {
        let Purchase { offer, method, rate, cause, made_at, key_id, request_id, .. } = purchase.clone();
        Self {
            credits: offer.credits,
            price: offer.price,
            package: offer.package,
            price_version: offer.version,
            method,
            exchange: rate,
            cause,
            made_at,
            key_id,
            request_id,
            stage: purchase.stage.clone(),
            charges: purchase.charges,
            looks: purchase.looks,
            payment: purchase.payment.clone(),
            receipt: purchase.receipt.clone(),
            disputes: purchase.disputes.clone(),
            refunds: purchase.refunds.clone(),
            to_return: purchase.to_return,
            counted: purchase.counted,
            uncounted_by: purchase.uncounted_by.clone(),
            leased_until: purchase.leased_until,
            revision: purchase.revision,
        }
    }
}

fn is_default(refunds: &Refunds) -> bool {
    *refunds == Refunds::default()
}

impl PurchaseItem {
    fn purchase(self, id: PurchaseId) -> Purchase {
        Purchase {
            id,
            offer: Offer {
                credits: self.credits,
                price: self.price,
                package: self.package,
                version: self.price_version,
            },
            method: self.method,
            rate: self.exchange,
            cause: self.cause,
            made_at: self.made_at,
            key_id: self.key_id,
            request_id: self.request_id,
            stage: self.stage,
            charges: self.charges,
            looks: self.looks,
            payment: self.payment,
            receipt: self.receipt,
            disputes: self.disputes,
            refunds: self.refunds,
            to_return: self.to_return,
            counted: self.counted,
            uncounted_by: self.uncounted_by,
            leased_until: self.leased_until,
            revision: self.revision,
        }
    }
}

impl Ledger {
    /// A purchase, strongly consistent; `None` when there is none of that name.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn purchase(&self, id: PurchaseId) -> Result<Option<Purchase>, Fault> {
        let item = self.get(&Key::Purchase(id), true, "read a purchase").await?;
        item.map(|item| Ok(decode::<PurchaseItem>("a purchase", item)?.purchase(id))).transpose()
    }

    /// Writes down a purchase that is begun. Where one of that name is there already, it stays and comes
    /// back.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn begin_purchase(&self, purchase: &Purchase) -> Result<Option<Purchase>, Fault> {
        let item = with_key(&Key::Purchase(purchase.id), &PurchaseItem::from(purchase))?;
        let Some(existing) = self.put_new(item, "begin a purchase").await? else { return Ok(None) };
        let existing = decode::<PurchaseItem>("a purchase", existing)?.purchase(purchase.id);
        // The SDK may have sent it twice: then the first sending is ours.
        Ok(Some(existing).filter(|existing| existing != purchase))
    }

    /// Writes how far a purchase is, with a revision one higher, which comes back; `None` when somebody
    /// has written it since it was read.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn save_purchase(&self, purchase: &Purchase) -> Result<Option<Purchase>, Fault> {
        let mut next = purchase.clone();
        next.revision = purchase.revision.saturating_add(1);
        let item = with_key(&Key::Purchase(next.id), &PurchaseItem::from(&next))?;
        let saved = self.replace(item, Some(purchase.revision), "save a purchase").await?;
        // The SDK may have sent it twice: then the first sending saved it, for us. A rival that wrote the very
        // same is as good.
        let saved = saved || self.purchase(next.id).await?.is_some_and(|known| known == next);
        Ok(saved.then_some(next))
    }

    /// Auto-recharge of an account, strongly consistent; `None` when it was never set up.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn recharge(&self, account: AccountId) -> Result<Option<Recharge>, Fault> {
        let item = self.get(&Key::Recharge(account), true, "read auto-recharge").await?;
        item.map(|item| decode("auto-recharge", item)).transpose()
    }

    /// Writes auto-recharge with a revision one higher, which comes back; `None` when somebody has
    /// written it since it was read. The first has revision 0.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn save_recharge(
        &self,
        account: AccountId,
        recharge: &Recharge,
    ) -> Result<Option<Recharge>, Fault> {
        let seen = Some(recharge.revision).filter(|revision| *revision > 0);
        let next = Recharge { revision: recharge.revision.saturating_add(1), ..recharge.clone() };
        let item = with_key(&Key::Recharge(account), &next)?;
        let saved = self.replace(item, seen, "save auto-recharge").await?;
        let saved = saved || self.recharge(account).await?.is_some_and(|known| known == next);
        Ok(saved.then_some(next))
    }

    /// Writes an item in place of the one with that revision; `None` stands for no item.
    pub(super) async fn replace(
        &self,
        item: Item,
        seen: Option<u64>,
        doing: &'static str,
    ) -> Result<bool, Fault> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match seen {
            Some(revision) => put
                .condition_expression("#revision = :seen")
                .expression_attribute_names("#revision", "revision")
                .expression_attribute_values(":seen", AttributeValue::N(revision.to_string())),
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                Some(_) | None => Err(Fault::unavailable(doing)(error.into())),
            },
        }
    }
}
