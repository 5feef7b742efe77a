//! What credits of lots cost: what was paid, or the list price of the plan.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{Account, Allowance, Cost, LotPrice, LotRecord, PlanId, Source};

use crate::read::plan_history::PlanSwitch;
use crate::settings::organisations::Settings;
use crate::settings::snapshot::Catalogue;
use crate::table::error::Fault;
use crate::table::ledger::Ledger;

/// The plans that an account has had, and what they cost.
pub struct PlanPrices {
    catalogue: Arc<Catalogue>,
    switches: Vec<PlanSwitch>,
    plan: PlanId,
}

impl PlanPrices {
    /// Reads the plans of an account: its last hundred changes of plan, and the catalogue, as of `wall` at most a
    /// minute ago.
    ///
    /// # Errors
    /// When a table does not answer.
    pub async fn read(
        ledger: &Ledger,
        settings: &Settings,
        account: &Account,
        wall: DateTime<Utc>,
    ) -> Result<Self, Fault> {
        let catalogue = settings.catalogue(wall).await?;
        let switches = ledger.plan_history(account.id).await?;
        Ok(Self { catalogue, switches, plan: account.plan.clone() })
    }

    /// The price of a lot's credits: what was paid for them, or for subscription credits the list price of the plan for
    /// its allowance. `None` for credits that were not bought, and where the plan is unlimited, free or without an
    /// allowance.
    #[must_use]
    pub fn price(&self, record: &LotRecord) -> Option<LotPrice> {
        if record.source != Source::Subscription {
            return record.cost.map(|cost| LotPrice { cost, amount: record.amount });
        }
        self.list_price(record.opened_at)
    }

    /// The list price of plan credits that arrive at a time; `None` where the plan is unlimited, free or without an
    /// allowance.
    #[must_use]
    pub fn list_price(&self, at: DateTime<Utc>) -> Option<LotPrice> {
        let plan = self.catalogue.plans.plan(self.plan_at(at), at)?;
        match plan.allowance {
            Allowance::Monthly(amount) if !amount.is_zero() && 0 < plan.fee.amount() => {
                let cost = Cost { minor: plan.fee.amount(), currency: plan.fee.currency() };
                Some(LotPrice { cost, amount })
            }
            Allowance::Monthly(_) | Allowance::Unlimited => None,
        }
    }

    /// The plan of the account at a time.
    fn plan_at(&self, at: DateTime<Utc>) -> &PlanId {
        let later = self.switches.iter().take_while(|switch| at < switch.at).last();
        later.map_or(&self.plan, |later| &later.switch.from)
    }
}
