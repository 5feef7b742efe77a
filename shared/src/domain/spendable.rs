use chrono::{DateTime, Utc};

use super::{Account, Credits, Period, Service};

impl Account {
    /// What a debit for `service` that reaches us at `now` can spend of what is there: this month's subscription
    /// credits, and the lots that pay for it. Credits on account are not counted. None on an unlimited plan, which
    /// needs none.
    #[must_use]
    pub fn spendable(&self, service: Option<Service>, now: DateTime<Utc>) -> Credits {
        // The month turns for whoever looks, whether or not its renewal is written down.
        let has_turned = self.period < Period::of(now);
        let month = if has_turned { self.allowance.monthly() } else { self.subscription.left };
        let lots = self.lots.values().filter(|lot| lot.pays_for(service, now));
        lots.fold(month, |sum, lot| sum.plus(lot.left).unwrap_or(Credits::MAX))
    }
}

impl Service {
    /// Its name in requests.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smartcheck => "smartcheck",
            Self::Smartaccess => "smartaccess",
            Self::Smartenroll => "smartenroll",
            Self::Api => "api",
            Self::Biometric => "biometric",
        }
    }
}
