//! What credits of lots cost: what was paid, or the list price of the plan.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{Account, Allowance, Cost, LotId, LotPrice, LotRecord, Period, PlanId, Source};

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
    opened_at: DateTime<Utc>,
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
        Ok(Self { catalogue, switches, plan: account.plan.clone(), opened_at: account.id.org.time() })
    }

    /// The price of a lot's credits: what was paid for them, or for subscription credits the [list price] of their month.
    /// `None` for credits that were not bought.
    ///
    /// [list price]: PlanPrices::list_price
    #[must_use]
    pub fn price(&self, record: &LotRecord) -> Option<LotPrice> {
        if record.source != Source::Subscription {
            return record.cost.map(|cost| LotPrice { cost, amount: record.amount });
        }
        self.list_price(match record.lot {
            LotId::Subscription(month) => month,
            LotId::Granted(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => {
                Period::of(record.opened_at)
            }
        })
    }

    /// The list price of the subscription credits of a month: the fee of the dearest plan that the account had in it, for
    /// the plan's allowance, as the fee was when the account took the plan or the month began. `None` where these plans were
    /// unlimited, free or without an allowance.
    #[must_use]
    pub fn list_price(&self, month: Period) -> Option<LotPrice> {
        let (begin, end) = (month.start().max(self.opened_at), month.next().start());
        let taken = self.switches.iter().filter(|taken| begin <= taken.at && taken.at < end);
        let plans = taken.map(|taken| (&taken.switch.to, taken.at)).chain([(self.plan_before(begin), begin)]);
        plans.filter_map(|(plan, at)| self.fee(plan, at)).max_by_key(|price| price.cost.minor)
    }

    fn fee(&self, plan: &PlanId, at: DateTime<Utc>) -> Option<LotPrice> {
        let plan = self.catalogue.plans.plan(plan, at)?;
        match plan.allowance {
            Allowance::Monthly(amount) if !amount.is_zero() && 0 < plan.fee.amount() => {
                let cost = Cost { minor: plan.fee.amount(), currency: plan.fee.currency() };
                Some(LotPrice { cost, amount })
            }
            Allowance::Monthly(_) | Allowance::Unlimited => None,
        }
    }

    /// The plan of the account before its changes from a time on.
    fn plan_before(&self, at: DateTime<Utc>) -> &PlanId {
        let later = self.switches.iter().take_while(|switch| at <= switch.at).last();
        later.map_or(&self.plan, |later| &later.switch.from)
    }
}
