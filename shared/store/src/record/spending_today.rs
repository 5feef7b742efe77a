//! What an organisation may still spend on purchases today.

use crate::settings::organisations::Organisation;
use crate::table::error::Fault;
use crate::table::ledger::Ledger;
use domain::{AccountId, Currency, Money, Refusal, SpendingLimit};
use ports::Moment;

/// What an organisation may spend today, and has spent.
#[derive(Clone, Copy, Debug)]
pub struct SpendingToday {
    /// The currency that the organisation pays in.
    pub currency: Currency,
    limit: SpendingLimit,
    spent: u64,
}

impl SpendingToday {
    /// Whether a price is within what is left of today.
    ///
    /// # Errors
    /// [`Refusal::SpendingLimit`].
    pub fn fits(&self, price: Money) -> Result<(), Refusal> {
        let Self { limit, spent, .. } = *self;
        let fits = limit.room_for(price).is_some_and(|room| spent <= room);
        if fits { Ok(()) } else { Err(Refusal::SpendingLimit { price, limit, spent }) }
    }
}

impl Ledger {
    /// What the organisation of an account may spend today, and has spent.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn spending_today(
        &self,
        account: AccountId,
        organisation: &Organisation,
        moment: Moment,
    ) -> Result<SpendingToday, Fault> {
        let spent = self.spent(account, moment.now.date_naive()).await?;
        Ok(SpendingToday { currency: organisation.currency, limit: organisation.may_spend(), spent })
    }
}
