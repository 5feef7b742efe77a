use std::error::Error;

use super::Till;
use domain::{AccountId, Currency, Money, OrgId, Purchase, Rate, Refusal, SpendingLimit};
use store::{Fault, Moment, Organisation, Unsettled};

/// What an organisation may spend on a day, and has spent.
#[derive(Clone, Copy, Debug)]
pub struct SpendingToday {
    /// The currency that the organisation pays in.
    pub currency: Currency,
    limit: SpendingLimit,
    spent: u64,
}

impl SpendingToday {
    /// Whether a price is within what is left of the day.
    ///
    /// # Errors
    /// [`Refusal::SpendingLimit`].
    pub fn fits(&self, price: Money) -> Result<(), Refusal> {
        let Self { limit, spent, .. } = *self;
        let fits = limit.room_for(price).is_some_and(|room| spent <= room);
        if fits { Ok(()) } else { Err(Refusal::SpendingLimit { price, limit, spent }) }
    }
}

impl Till<'_> {
    /// What one unit of the price's currency is worth in the organisation's own; none when nobody has
    /// said.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn rate(&self, org: OrgId, price: Money, moment: Moment) -> Result<Option<Rate>, Fault> {
        let currency = self.currency(org).await?;
        Ok(self.settings.catalogue(moment.wall).await?.rate(price.currency(), currency))
    }

    /// The currency that an organisation pays in.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn currency(&self, org: OrgId) -> Result<Currency, Fault> {
        Ok(self.organisation(org).await?.currency)
    }

    pub(super) async fn organisation(&self, org: OrgId) -> Result<Organisation, Fault> {
        let organisation = self.settings.organisation(org).await?;
        organisation.ok_or_else(|| Fault::corrupt("an account", "its organisation is gone"))
    }

    /// What an organisation may spend today, and has spent.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn spending_today(&self, account: AccountId, moment: Moment) -> Result<SpendingToday, Fault> {
        let organisation = self.organisation(account.org).await?;
        let spent = self.ledger.spent(account, moment.now.date_naive()).await?;
        Ok(SpendingToday { currency: organisation.currency, limit: organisation.may_spend(), spent })
    }

    /// Whether a price is within what its organisation may still spend today. A purchase is counted by
    /// [`Till::sell`], and may be refused there all the same: others buy meanwhile.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn fits_today(
        &self,
        account: AccountId,
        price: Money,
        moment: Moment,
    ) -> Result<Result<(), Refusal>, Fault> {
        Ok(self.spending_today(account, moment).await?.fits(price))
    }

    /// Counts a purchase toward what its organisation may spend a day.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] when the organisation may not spend that much today.
    pub(super) async fn count(&self, purchase: &Purchase) -> Result<(), Unsettled> {
        let Some(day) = purchase.counted else { return Ok(()) };
        let (account, price) = (purchase.id.account, purchase.offer.price);
        let limit = self.organisation(account.org).await?.may_spend();
        match self.ledger.count_spending(account, day, price, limit).await? {
            Ok(()) => Ok(()),
            Err(spent) => Err(Refusal::SpendingLimit { price, limit, spent }.into()),
        }
    }

    /// Takes it off again. If that fails, the day has less room than it should.
    pub(super) async fn uncount(&self, purchase: &Purchase) {
        let Some(day) = purchase.counted else { return };
        let (account, price) = (purchase.id.account, purchase.offer.price);
        if let Err(fault) = self.ledger.uncount_spending(account, day, price).await {
            tracing::warn!(%account, cause = &fault as &dyn Error, "a failed purchase stays counted for its day");
        }
    }
}
