//! Spending limits: what an organisation may still spend today.

use std::error::Error;

use super::Checkout;
use domain::{AccountId, Currency, Money, OrgId, Purchase, Rate};
use store::{Fault, Moment, Organisation, SpendingToday, Unsettled};

impl Checkout<'_> {
    /// The exchange rate from the currency of a price to the billing currency; `None` when no rate is configured.
    ///
    /// # Errors
    /// When the table is unavailable.
    pub async fn rate(&self, org: OrgId, price: Money, moment: Moment) -> Result<Option<Rate>, Fault> {
        let currency = self.currency(org, moment).await?;
        Ok(self.settings.catalogue(moment.wall).await?.rate(price.currency(), currency))
    }

    /// The billing currency of an organisation.
    ///
    /// # Errors
    /// When the table is unavailable.
    pub async fn currency(&self, org: OrgId, moment: Moment) -> Result<Currency, Fault> {
        Ok(self.organisation(org, moment).await?.currency)
    }

    pub(crate) async fn organisation(&self, org: OrgId, moment: Moment) -> Result<Organisation, Fault> {
        let organisation = self.settings.organisation(org, moment.wall).await?;
        organisation.ok_or_else(|| Fault::corrupt("an account", "its organisation is gone"))
    }

    /// The spending limit of an organisation, and what it has spent today.
    ///
    /// # Errors
    /// When the table is unavailable.
    pub async fn spending_today(&self, account: AccountId, moment: Moment) -> Result<SpendingToday, Fault> {
        let organisation = self.organisation(account.org, moment).await?;
        self.ledger.spending_today(account, &organisation, moment).await
    }

    /// Checks a price against what the organisation may still spend today. [`Checkout::start`] counts the purchase and may still
    /// refuse it, because of other purchases meanwhile.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] when the price exceeds the rest of the limit; [`Unsettled::Failed`].
    pub async fn fits_today(
        &self,
        account: AccountId,
        price: Money,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        Ok(self.spending_today(account, moment).await?.fits(price)?)
    }

    /// Counts a purchase against the spending limit of its organisation.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] when the price exceeds the rest of the limit.
    pub(super) async fn count(&self, purchase: &Purchase, moment: Moment) -> Result<(), Unsettled> {
        let Some(day) = purchase.counted else { return Ok(()) };
        let (account, price) = (purchase.id.account, purchase.offer.price);
        let limit = self.organisation(account.org, moment).await?.may_spend();
        self.ledger.count_spending(account, day, price, limit).await
    }

    /// Removes a purchase from the count. If that fails, less can be spent that day than the limit allows.
    pub(super) async fn uncount(&self, purchase: &Purchase) {
        let Some(day) = purchase.counted else { return };
        let (account, price) = (purchase.id.account, purchase.offer.price);
        if let Err(fault) = self.ledger.uncount_spending(account, day, price).await {
            tracing::warn!(%account, cause = &fault as &dyn Error, "a failed purchase stays counted for its day");
        }
    }
}
