//! The catalogue: versions of prices, plans and packages, and exchange rates.

mod exchange_rate;
mod package;
mod plan;
mod price;
mod version;

pub use exchange_rate::ExchangeRateList;
pub use package::{Offer, Package, PackageList, PackageUpdate};
pub use plan::{BadPlanFee, Plan, PlanFee, PlanList, PlanUpdate};
pub use price::{ListedPrice, Price, PriceList, PriceUpdate, PricedOperation};
pub use version::{BadUpdate, EffectiveTime};
