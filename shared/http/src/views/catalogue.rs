//! The catalogue: prices, packages, plans and exchange rates.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::timestamp;
use domain::{Allowance, ListedPrice, PackageId, PlanFee, PriceCategory, Rate, Service};

/// An amount of money.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Money)]
#[schema(example = json!({ "amount": 4900, "currency": "GBP" }))]
pub struct MoneyView {
    /// Minor units: pence, cents.
    pub amount: u64,
    /// ISO 4217 code.
    pub currency: &'static str,
}

/// What an operation costs.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "operation": "verification.enhanced", "category": "verification", "credits": 2, "monthly": false, "priceVersion": 1,
    "effectiveFrom": "1970-01-01T00:00:00Z",
    "next": { "credits": 3, "priceVersion": 2, "effectiveFrom": "2026-11-01T00:00:00Z" }
}))]
pub struct OperationPrice {
    /// The operation's name in requests.
    pub operation: String,
    /// verification, aml, deepfake, kyt or other.
    #[schema(value_type = String)]
    pub category: PriceCategory,
    /// Credits for one operation.
    pub credits: u64,
    /// Whether it is charged every month as long as it continues.
    pub monthly: bool,
    /// The version of the price. Transactions say which version they were charged at.
    pub price_version: u32,
    /// When the price took effect.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    pub effective_from: DateTime<Utc>,
    /// The next price, if a change is planned.
    pub next: Option<NextPrice>,
}

/// A planned price.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextPrice {
    /// Credits for one operation.
    pub credits: u64,
    /// The version of the price.
    pub price_version: u32,
    /// When the price takes effect.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    pub effective_from: DateTime<Utc>,
}

/// A package of credits.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Package)]
pub struct PackageView {
    /// The package's name in requests.
    pub package: String,
    /// The package's display name.
    pub name: String,
    /// The number of credits.
    pub credits: u64,
    /// The price of the whole package.
    pub price: MoneyView,
    /// The service that its credits are reserved for. Left out for credits that pay for every service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub service: Option<Service>,
    /// The version of the package.
    pub price_version: u32,
}

/// A package that is on sale now.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "package": "growth", "name": "Growth Pack", "credits": 1000, "price": { "amount": 8900, "currency": "GBP" },
    "perCredit": 0.089, "saving": 9.2, "priceVersion": 1
}))]
pub struct PackageOnSale {
    #[serde(flatten)]
    package: PackageView,
    /// The price of one credit, in whole units of the currency (pounds, not pence).
    #[serde(serialize_with = "number")]
    #[schema(value_type = f64)]
    per_credit: Decimal,
    /// The discount against the smallest package in the same currency and for the same service, in per cent.
    #[serde(serialize_with = "number")]
    #[schema(value_type = f64)]
    saving: Decimal,
}

/// The exchange rate between two currencies.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExchangeRate)]
#[schema(example = json!({ "from": "GBP", "to": "EUR", "rate": 1.17 }))]
pub struct ExchangeRateView {
    /// ISO 4217 code.
    from: String,
    /// ISO 4217 code.
    to: String,
    /// Units of `to` for one unit of `from`.
    #[serde(serialize_with = "number")]
    #[schema(value_type = f64)]
    rate: Decimal,
}

/// A whole number, or `unlimited`.
#[derive(ToSchema)]
#[schema(as = PlanLimit)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the OpenAPI document uses it")]
enum PlanLimitView {
    /// A whole number.
    Number(u64),
    /// The word `unlimited`.
    Unlimited(String),
}

/// A subscription plan.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Plan)]
#[schema(example = json!({
    "plan": "professional", "name": "Professional", "price": { "amount": 29900, "currency": "GBP" }, "allowance": 5000,
    "credits": 5000, "unlimited": false, "apiAccess": true, "maxUsers": 10, "priceVersion": 1
}))]
pub struct PlanView {
    /// The plan's name in requests.
    pub plan: String,
    /// The plan's display name.
    pub name: String,
    /// The price of a month; an amount of 0 is free.
    pub price: MoneyView,
    /// Credits a month, or `unlimited`.
    #[schema(value_type = PlanLimitView)]
    pub allowance: Allowance,
    /// Credits a month; null for an unlimited plan.
    pub credits: Option<u64>,
    /// Whether the plan is unlimited: debits are never refused for insufficient credits.
    pub unlimited: bool,
    /// Whether API keys without the `dashboard` scope work.
    pub api_access: bool,
    /// The most users of an organisation; null for any number.
    pub max_users: Option<u32>,
    /// The version of the plan.
    pub price_version: u32,
}

impl From<domain::Money> for MoneyView {
    fn from(money: domain::Money) -> Self {
        Self { amount: money.amount(), currency: money.currency().code() }
    }
}

impl From<PlanFee> for MoneyView {
    fn from(fee: PlanFee) -> Self {
        Self { amount: fee.amount(), currency: fee.currency().code() }
    }
}

impl From<&ListedPrice> for OperationPrice {
    fn from(listed: &ListedPrice) -> Self {
        let next = listed.next.map(|next| NextPrice {
            credits: next.credits.get(),
            price_version: next.version,
            effective_from: next.effective_from,
        });
        Self {
            operation: listed.operation.as_str().to_owned(),
            category: listed.category,
            credits: listed.price.credits.get(),
            monthly: listed.monthly,
            price_version: listed.price.version,
            effective_from: listed.price.effective_from,
            next,
        }
    }
}

impl From<&domain::Package> for PackageView {
    fn from(package: &domain::Package) -> Self {
        let PackageId(id) = &package.package;
        Self {
            package: id.clone(),
            name: package.name.clone(),
            credits: package.credits.into(),
            price: package.price.into(),
            service: package.service,
            price_version: package.version,
        }
    }
}

impl PackageOnSale {
    /// The views of packages, which are sorted with the smallest first.
    #[must_use]
    pub fn all(on_sale: &[&domain::Package]) -> Vec<Self> {
        let one = |package: &&domain::Package| {
            let alike = |other: &&&domain::Package| {
                other.price.currency() == package.price.currency() && other.service == package.service
            };
            let smallest = on_sale.iter().find(alike).unwrap_or(package);
            Self {
                package: (*package).into(),
                per_credit: package.price.per_credit(package.credits),
                saving: package.saving(smallest),
            }
        };
        on_sale.iter().map(one).collect()
    }
}

impl ExchangeRateView {
    /// The rate from one currency to another.
    #[must_use]
    pub fn new(from: &str, to: &str, rate: Rate) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), rate: rate.get() }
    }
}

impl From<&domain::Plan> for PlanView {
    fn from(plan: &domain::Plan) -> Self {
        let credits = match plan.allowance {
            Allowance::Monthly(credits) => Some(credits.get()),
            Allowance::Unlimited => None,
        };
        Self {
            plan: plan.plan.0.clone(),
            name: plan.name.clone(),
            price: plan.fee.into(),
            allowance: plan.allowance,
            credits,
            unlimited: credits.is_none(),
            api_access: plan.api_access,
            max_users: plan.max_users,
            price_version: plan.version,
        }
    }
}

/// Writes a decimal as a JSON number, without a point if it is whole.
fn number<S: Serializer>(number: &Decimal, out: S) -> Result<S::Ok, S::Error> {
    match number.normalize() {
        whole if whole.is_integer() => out.serialize_i64(whole.to_i64().unwrap_or_default()),
        fraction => out.serialize_f64(fraction.to_f64().unwrap_or_default()),
    }
}
