//! Purchases, and the settings of auto-recharge.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::record::unbooked::{beside, pending_item};
use crate::table::attribute::{number_of, sort_key};
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem, purchase_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Write;
use domain::{
    AccountId, Amount, AutoRecharge, Dispute, EntryId, KeyId, MemberId, Money, Offer, PackageId, PaymentId,
    Purchase, PurchaseCause, PurchaseId, PurchaseStatus, Rate, Reference, Refunds, Service,
};

/// The item of a purchase.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PurchaseItem {
    credits: Amount,
    price: Money,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<PackageId>,
    price_version: u32,
    method: Reference,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exchange: Option<Rate>,
    cause: PurchaseCause,
    #[serde(with = "chrono::serde::ts_seconds")]
    made_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    super_admin: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    requested_by: Option<MemberId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(rename = "stage")]
    status: PurchaseStatus,
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
        let Purchase {
            offer,
            method,
            rate,
            cause,
            made_at,
            key_id,
            super_admin,
            requested_by,
            request_id,
            ..
        } = purchase.clone();
        Self {
            credits: offer.credits,
            price: offer.price,
            service: offer.service,
            package: offer.package,
            price_version: offer.version,
            method,
            exchange: rate,
            cause,
            made_at,
            key_id,
            super_admin,
            requested_by,
            request_id,
            status: purchase.status.clone(),
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
                service: self.service,
                package: self.package,
                version: self.price_version,
            },
            method: self.method,
            rate: self.exchange,
            cause: self.cause,
            made_at: self.made_at,
            key_id: self.key_id,
            super_admin: self.super_admin,
            requested_by: self.requested_by,
            request_id: self.request_id,
            status: self.status,
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
    /// A purchase, strongly consistent; `None` when there is no such purchase.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn purchase(&self, id: PurchaseId) -> Result<Option<Purchase>, Fault> {
        let item = self.table.get(&Key::Purchase(id), "read a purchase").await?;
        item.map(|item| Ok(decode::<PurchaseItem>("a purchase", item)?.purchase(id))).transpose()
    }

    /// An account's purchases before one of them, the newest first, at most `limit`; and whether there are more.
    ///
    /// # Errors
    /// When the table does not answer; when a purchase is unreadable.
    pub async fn purchases(
        &self,
        account: AccountId,
        before: Option<EntryId>,
        limit: u16,
    ) -> Result<(Vec<Purchase>, bool), Fault> {
        let keys = before.map_or(SortKeys::All, |before| SortKeys::Below(before.bare()));
        let query = ItemQuery::new(purchase_partition(account), keys).falling().limit(limit.into());
        let page = self.table.query(query, "read purchases").await?;
        let more = page.last.is_some();
        let read = |item: StoredItem| {
            let id = sort_key(&item).and_then(EntryId::from_bare);
            let transaction = id.ok_or_else(|| Fault::corrupt("a purchase", "its id"))?;
            Ok(decode::<PurchaseItem>("a purchase", item)?.purchase(PurchaseId { account, transaction }))
        };
        Ok((page.items.into_iter().map(read).collect::<Result<_, Fault>>()?, more))
    }

    /// Saves a new purchase, and that it is not in the ledger. If one with its id exists, that one stays and is returned.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn begin_purchase(&self, purchase: &Purchase) -> Result<Option<Purchase>, Fault> {
        let item = with_key(&Key::Purchase(purchase.id), &PurchaseItem::from(purchase))?;
        let account = self.table.get(&Key::Account(purchase.id.account), "read an account").await?;
        let after = account.as_ref().and_then(|account| number_of(account, "seq")).unwrap_or(0);
        let beside = Write::Put(pending_item(purchase.id, after));
        if self.table.put_beside(item, Condition::absent(), beside, "begin a purchase").await? {
            return Ok(None);
        }
        // The SDK may have sent it twice: then the first call saved this purchase.
        Ok(self.purchase(purchase.id).await?.filter(|existing| existing != purchase))
    }

    /// Saves a purchase with its revision incremented and returns it; `None` when another process has saved it since it
    /// was read.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_purchase(&self, purchase: &Purchase) -> Result<Option<Purchase>, Fault> {
        let mut next = purchase.clone();
        next.revision = purchase.revision.saturating_add(1);
        let item = with_key(&Key::Purchase(next.id), &PurchaseItem::from(&next))?;
        let unchanged = Condition::at("revision", Some(purchase.revision));
        let saved = match beside(next.id, &next.status) {
            Some(beside) => self.table.put_beside(item, unchanged, beside, "save a purchase").await?,
            None => self.table.put_if(item, unchanged, "save a purchase").await?,
        };
        // The SDK may have sent it twice: then the first call saved it. An equal purchase of another process is as good.
        let saved = saved || self.purchase(next.id).await?.is_some_and(|known| known == next);
        Ok(saved.then_some(next))
    }

    /// The auto-recharge of an account, strongly consistent; `None` when it was never set up.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn recharge(&self, account: AccountId) -> Result<Option<AutoRecharge>, Fault> {
        let item = self.table.get(&Key::Recharge(account), "read auto-recharge").await?;
        item.map(|item| decode("auto-recharge", item)).transpose()
    }

    /// Saves an auto-recharge with its revision incremented and returns it; `None` when another process has saved it
    /// since it was read. A new one has revision 0.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_recharge(
        &self,
        account: AccountId,
        recharge: &AutoRecharge,
    ) -> Result<Option<AutoRecharge>, Fault> {
        let seen = Some(recharge.revision).filter(|revision| *revision > 0);
        let next = AutoRecharge { revision: recharge.revision.saturating_add(1), ..recharge.clone() };
        let item = with_key(&Key::Recharge(account), &next)?;
        let saved = self.table.replace(item, seen, "save auto-recharge").await?;
        let saved = saved || self.recharge(account).await?.is_some_and(|known| known == next);
        Ok(saved.then_some(next))
    }
}
