//! The catalogue at one point in time, and the copy of it that a warm function caches.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use domain::{Currency, ExchangeRateList, PackageList, Plan, PlanId, PlanList, PriceList, Rate};

/// For how many seconds a warm function caches prices, plans and keys. A revoked key may be accepted that much longer,
/// and a price that changes immediately is charged everywhere after it.
const FRESH_SECONDS: i64 = 60;

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

/// The cached catalogue.
#[derive(Debug, Default)]
pub(crate) struct CatalogueCache {
    /// The catalogue and when it was read.
    known: Option<(DateTime<Utc>, Arc<Catalogue>)>,
    /// How often the cache was emptied.
    emptied: u64,
}

/// The result of a cache lookup.
pub(crate) enum Cached {
    /// A fresh catalogue.
    Fresh(Arc<Catalogue>),
    /// Nothing fresh; how often the cache was emptied so far.
    Stale(u64),
}

impl CatalogueCache {
    pub(crate) fn get(&self, wall: DateTime<Utc>) -> Cached {
        match &self.known {
            Some((read, catalogue)) if is_fresh(*read, wall) => Cached::Fresh(catalogue.clone()),
            Some(_) | None => Cached::Stale(self.emptied),
        }
    }

    /// Caches a catalogue that was read at `wall`, unless the cache was emptied since the read began: a catalogue from
    /// before the last change must not be cached after it.
    pub(crate) fn put(&mut self, wall: DateTime<Utc>, catalogue: Arc<Catalogue>, emptied: u64) {
        if self.emptied == emptied {
            self.known = Some((wall, catalogue));
        }
    }

    pub(crate) fn empty(&mut self) {
        self.known = None;
        self.emptied = self.emptied.saturating_add(1);
    }
}

/// Whether something that was read at `read` may still be used at `wall`.
pub(crate) fn is_fresh(read: DateTime<Utc>, wall: DateTime<Utc>) -> bool {
    wall.signed_duration_since(read).num_seconds() < FRESH_SECONDS
}
