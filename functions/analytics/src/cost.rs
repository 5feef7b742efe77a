//! What usage cost.

use domain::UsageSum;
use scrip_http::{ApiError, App, Caller, PricedUsage, may, price_usage, priced_lots};
use store::Unsettled;

use super::response::CostView;

/// How many lots one request reads at most.
const LOTS_MAX: usize = 1_000;

/// The costs of usage that was added up in credits.
pub(crate) async fn priced<'a>(
    app: &App,
    caller: &Caller<may::Read>,
    usage: UsageSum<'a>,
) -> Result<(UsageSum<'a>, Option<CostView>), ApiError> {
    if LOTS_MAX < priced_lots(&usage).len() {
        let problem = "the range has usage of more than 1,000 lots; send a shorter range";
        return Err(ApiError::field("from", problem));
    }
    let account = app.ledger.account(caller.account).await?.ok_or(Unsettled::NoAccount)?;
    let PricedUsage { usage, currency, includes_list_prices, unpriced_credits } =
        price_usage(app, &account, usage, caller.call.moment.wall).await?;
    let cost = CostView { currency: currency.code(), includes_list_prices, unpriced_credits };
    Ok((usage, Some(cost)))
}
