//! What usage cost.

use chrono::{DateTime, Utc};
use domain::{Account, Cost, Currency, LotId, LotPrice, LotPrices, LotRecord, Source, UsageSum};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use store::{PlanPrices, Unsettled};

use crate::App;

/// How many lots are read at the same time.
const LOTS_AT_ONCE: usize = 32;

/// Usage whose costs were added up.
#[derive(Clone, Debug)]
pub struct PricedUsage<'a> {
    /// The costs, in minor units of the currency.
    pub usage: UsageSum<'a>,
    /// The organisation's currency.
    pub currency: Currency,
    /// Whether subscription credits are among them. They count at the plan's list price.
    pub includes_list_prices: bool,
    /// Credits that count as 0 because their price is not known.
    pub unpriced_credits: i64,
}

/// The lots whose prices usage needs.
#[must_use]
pub fn priced_lots(usage: &UsageSum<'_>) -> Vec<LotId> {
    usage.lots().into_iter().filter(|lot| lot.is_counted()).collect()
}

/// The costs of usage that was added up in credits. Reads the organisation, its plans and the record of each of
/// [`priced_lots`].
///
/// # Errors
/// [`Unsettled::NoAccount`] when there is no such organisation; when a table does not answer.
pub async fn price_usage<'a>(
    app: &App,
    account: &Account,
    usage: UsageSum<'a>,
    wall: DateTime<Utc>,
) -> Result<PricedUsage<'a>, Unsettled> {
    let organisation = app.settings.organisation(account.id.org, wall).await?;
    let currency = organisation.ok_or(Unsettled::NoAccount)?.currency;
    let plans = PlanPrices::read(&app.ledger, &app.settings, account, wall).await?;
    let lots = priced_lots(&usage);
    let records = stream::iter(lots.clone()).map(|lot| app.activity.lot(account.id, lot));
    let records: Vec<_> = records.buffered(LOTS_AT_ONCE).try_collect().await?;
    let mut prices = LotPrices::new();
    let mut includes_list_prices = false;
    for (lot, counted) in lots.into_iter().zip(records) {
        let price = match (counted, lot) {
            (Some(counted), _) => price(&counted.record, &plans, currency),
            // The allowance of a month costs the same without a record.
            (None, LotId::Subscription(month)) => plans.list_price(month),
            (None, LotId::Granted(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_)) => None,
        };
        let price = price.filter(|price| price.cost.currency == currency);
        includes_list_prices |= matches!(lot, LotId::Subscription(_)) && price.is_some();
        prices.extend(price.map(|price| (lot, price)));
    }
    let (usage, unpriced_credits) = usage.priced(&prices);
    Ok(PricedUsage { usage, currency, includes_list_prices, unpriced_credits })
}

/// The price of a lot; `None` where it is not known. Bonus credits cost nothing in the organisation's currency.
fn price(record: &LotRecord, plans: &PlanPrices, currency: Currency) -> Option<LotPrice> {
    let nothing = LotPrice { cost: Cost { minor: 0, currency }, amount: record.amount };
    plans.price(record).or(Some(nothing).filter(|_| record.source == Source::Bonus))
}
