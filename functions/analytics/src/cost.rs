//! What usage cost.

use domain::{Cost, Currency, LotId, LotPrice, LotPrices, LotRecord, Source, UsageSum};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use scrip_http::{ApiError, App, Caller, may};
use store::Unsettled;

use super::list_price::PlanPrices;
use super::response::CostView;

/// How many lots one request reads at most.
const LOTS_MAX: usize = 1_000;

/// How many of them are read at the same time.
const LOTS_AT_ONCE: usize = 32;

/// The costs of usage that was added up in credits.
pub(crate) async fn priced<'a>(
    app: &App,
    caller: &Caller<may::Read>,
    usage: UsageSum<'a>,
) -> Result<(UsageSum<'a>, Option<CostView>), ApiError> {
    let account = app.ledger.account(caller.account).await?.ok_or(Unsettled::NoAccount)?;
    let organisation = app.settings.organisation(account.id.org, caller.call.moment.wall).await?;
    let currency = organisation.ok_or(Unsettled::NoAccount)?.currency;
    let plans = PlanPrices::read(app, caller, &account).await?;
    let lots: Vec<_> = usage.lots().into_iter().filter(|lot| lot.is_counted()).collect();
    if LOTS_MAX < lots.len() {
        let problem = "the range has usage of more than 1,000 lots; send a shorter range";
        return Err(ApiError::field("from", problem));
    }
    let records = stream::iter(lots).map(|lot| app.activity.lot(caller.account, lot)).buffered(LOTS_AT_ONCE);
    let mut prices = LotPrices::new();
    let mut includes_list_prices = false;
    for lot in records.try_collect::<Vec<_>>().await?.into_iter().flatten() {
        let price = price(&lot.record, &plans, currency);
        includes_list_prices |= matches!(lot.record.lot, LotId::Subscription(_)) && price.is_some();
        prices.extend(price.map(|price| (lot.record.lot, price)));
    }
    let (usage, unpriced_credits) = usage.priced(&prices);
    let cost = CostView { currency: currency.code(), includes_list_prices, unpriced_credits };
    Ok((usage, Some(cost)))
}

/// The price of a lot in the organisation's currency; `None` where it is not known.
fn price(record: &LotRecord, plans: &PlanPrices, currency: Currency) -> Option<LotPrice> {
    let nothing = LotPrice { cost: Cost { minor: 0, currency }, amount: record.amount };
    let price = plans.price(record).or(Some(nothing).filter(|_| record.source == Source::Bonus));
    price.filter(|price| price.cost.currency == currency)
}
