//! The catalogue at one point in time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use domain::{Currency, ExchangeRateList, PackageList, Plan, PlanId, PlanList, PriceList, Rate};

/// The catalogue: everything that is sold, in all versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Operations and their prices.
    pub prices: PriceList,
    /// Subscription plans.
    pub plans: PlanList,
    /// Packages of credits.
    pub packages: PackageList,
    /// Exchange rates.
    #[serde(default)]
    pub rates: ExchangeRateList,
}

impl Catalogue {
    /// A plan as it is at `at`.
    #[must_use]
    pub fn plan(&self, plan: &PlanId, at: DateTime<Utc>) -> Option<&Plan> {
        self.plans.plan(plan, at)
    }

    /// How many units of `to` one unit of `from` is worth: one for the same currency, `None` when no rate is set.
    #[must_use]
    pub fn rate(&self, from: Currency, to: Currency) -> Option<Rate> {
        self.rates.rate(from, to)
    }
}
