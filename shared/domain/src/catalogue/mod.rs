//! The catalogue: versions of prices, plans and packages, and exchange rates.

mod exchange_rate;
mod package;
mod plan;
mod price;
mod version;

pub use exchange_rate::RateList;
pub use package::{Offer, Package, PackageChange, PackageList};
pub use plan::{BadFee, Fee, Plan, PlanChange, PlanList};
pub use price::{Category, ListedPrice, Price, PriceChange, PriceList, PricedOperation};
pub use version::{BadChange, When};
