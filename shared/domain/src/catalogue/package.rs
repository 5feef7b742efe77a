//! Packages of credits, and the offers made from them.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::catalogue::version::{Limit, Version, first_version, in_force, revise, room};
use crate::{Amount, BadUpdate, Currency, EffectiveTime, Money, PackageId, Reference, Refusal, Service};

/// One version of a package of credits (seed: "Credit Packs").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Its id.
    pub package: PackageId,
    /// The number of the version, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Its display name.
    pub name: String,
    /// The number of credits.
    pub credits: Amount,
    /// The price of the whole package.
    pub price: Money,
    /// The service that its credits are reserved for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Whether it is no longer sold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
    /// Effective from this instant until a later version is.
    pub effective_from: DateTime<Utc>,
}

/// All versions of all packages. The versions of one package are in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PackageList(pub Vec<Package>);

/// An offer of credits at a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The number of credits.
    pub credits: Amount,
    /// The price.
    pub price: Money,
    /// The service that the credits are reserved for: that of a package that is bought as a whole.
    pub service: Option<Service>,
    /// The package, if one is bought as a whole.
    pub package: Option<PackageId>,
    /// The version of the package that set the price.
    pub version: u32,
}

/// A change of a package; `None` keeps a field's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageUpdate {
    /// Its display name.
    pub name: Option<Reference>,
    /// The number of credits.
    pub credits: Option<Amount>,
    /// The price of the whole package.
    pub price: Option<Money>,
    /// The service that its credits are reserved for. A package that has one keeps one.
    pub service: Option<Service>,
    /// Whether it is no longer sold.
    pub withdrawn: Option<bool>,
}

impl Version for Package {
    const MAX: Limit = Limit { max: Self::VERSIONS_MAX, kept: "versions of one package" };

    fn number(&self) -> u32 {
        self.version
    }

    fn effective_from(&self) -> DateTime<Utc> {
        self.effective_from
    }

    fn renumbered(self, version: u32, effective_from: DateTime<Utc>) -> Self {
        Self { version, effective_from, ..self }
    }
}

impl PackageList {
    /// The maximum number of versions of all packages together, so that the list fits into one database item.
    pub const VERSIONS_MAX: usize = 200;

    /// A copy of the list with a new version of a package, and that version.
    ///
    /// # Errors
    /// [`BadUpdate::Incomplete`] for a new package without a name, credits or a price;
    /// [`BadUpdate::InThePast`]; [`BadUpdate::TooMany`].
    pub fn change(
        &self,
        package: &PackageId,
        wanted: &PackageUpdate,
        when: EffectiveTime,
    ) -> Result<(Self, Package), BadUpdate> {
        let versions: Vec<_> = self.0.iter().filter(|known| known.package == *package).cloned().collect();
        let terms = wanted.terms(package, in_force(&versions, when.from()), when)?;
        let (version, is_new) = revise(&versions, terms, when)?;
        let mut changed = self.clone();
        if is_new {
            room(self.0.len(), Limit { max: Self::VERSIONS_MAX, kept: "versions of packages" })?;
            changed.0.push(version.clone());
        }
        Ok((changed, version))
    }

    /// The packages on sale at `at`, the smallest first; of each package the latest effective version.
    #[must_use]
    pub fn on_sale(&self, at: DateTime<Utc>) -> Vec<&Package> {
        let in_force = |package: &&Package| package.effective_from <= at;
        let mut on_sale: Vec<&Package> = Vec::new();
        for package in self.0.iter().filter(in_force) {
            on_sale.retain(|known| known.package != package.package);
            on_sale.push(package);
        }
        on_sale.retain(|package| !package.withdrawn);
        on_sale.sort_by(|one, other| (one.credits, &one.package).cmp(&(other.credits, &other.package)));
        on_sale
    }

    /// The packages on sale at `at` in `currency`, the smallest first; packages of the same size by price.
    #[must_use]
    pub fn on_sale_in(&self, currency: Currency, at: DateTime<Utc>) -> Vec<&Package> {
        let mut on_sale = self.on_sale(at);
        on_sale.retain(|package| package.price.currency() == currency);
        on_sale.sort_by_key(|package| (package.credits, package.price.amount()));
        on_sale
    }

    /// The packages of these that are reserved for no service. They set the price of any number of credits, and are what
    /// auto-recharge and a quote or a forecast count on.
    #[must_use]
    pub fn plain_on_sale_in(&self, currency: Currency, at: DateTime<Utc>) -> Vec<&Package> {
        let mut on_sale = self.on_sale_in(currency, at);
        on_sale.retain(|package| package.service.is_none());
        on_sale
    }

    /// The offer for a whole package, for an organisation that pays in `currency`.
    ///
    /// # Errors
    /// [`Refusal::UnknownPackage`] when it is not on sale; [`Refusal::OtherCurrency`] when it is sold in
    /// another currency.
    pub fn whole(&self, name: &Reference, currency: Currency, at: DateTime<Utc>) -> Result<Offer, Refusal> {
        let found = self.on_sale(at).into_iter().find(|package| package.package.0 == name.as_str());
        let package = found.ok_or_else(|| Refusal::UnknownPackage(name.clone()))?;
        let sold_in = package.price.currency();
        if sold_in != currency {
            return Err(Refusal::OtherCurrency { package: name.clone(), sold_in, pays_in: currency });
        }
        Ok(package.offer())
    }

    /// The cheapest package without a service in `currency` with at least `credits` credits, if there is one.
    #[must_use]
    pub fn cheapest(&self, credits: Amount, currency: Currency, at: DateTime<Utc>) -> Option<Offer> {
        let on_sale = self.plain_on_sale_in(currency, at).into_iter();
        let covers = on_sale.filter(|package| package.credits >= credits);
        covers.min_by_key(|package| package.price.amount()).map(Package::offer)
    }

    /// The offer for exactly `credits` credits, for an organisation that pays in `currency`: at the per-credit
    /// price of the largest package not above that size, or of the smallest package (contract, "Packages"). Of
    /// several packages of that size, the cheapest sets the price. Packages with a service set no price.
    ///
    /// # Errors
    /// [`Refusal::NothingOnSale`]; [`Refusal::PriceLimit`] when the price exceeds the maximum of one payment.
    pub fn amount(&self, credits: Amount, currency: Currency, at: DateTime<Utc>) -> Result<Offer, Refusal> {
        let on_sale = self.plain_on_sale_in(currency, at);
        let largest = on_sale.iter().rfind(|package| package.credits <= credits).or(on_sale.first());
        let size = largest.ok_or(Refusal::NothingOnSale)?.credits;
        let package = on_sale.iter().find(|package| package.credits == size).ok_or(Refusal::NothingOnSale)?;
        let price = package.price.in_proportion(credits, package.credits).map_err(|_| Refusal::PriceLimit)?;
        Ok(Offer { credits, price, service: None, package: None, version: package.version })
    }
}

impl PackageUpdate {
    fn terms(
        &self,
        package: &PackageId,
        before: Option<&Package>,
        when: EffectiveTime,
    ) -> Result<Package, BadUpdate> {
        let name = self.name.as_ref().map(|name| name.as_str().to_owned());
        let name = name.or(before.map(|before| before.name.clone()));
        let credits = self.credits.or(before.map(|before| before.credits));
        let price = self.price.or(before.map(|before| before.price));
        let (Some(name), Some(credits), Some(price)) = (name, credits, price) else {
            let given = [
                ("name", self.name.is_some()),
                ("credits", self.credits.is_some()),
                ("price", self.price.is_some()),
            ];
            return Err(BadUpdate::without(given));
        };
        Ok(Package {
            package: package.clone(),
            version: 0,
            name,
            credits,
            price,
            service: self.service.or(before.and_then(|before| before.service)),
            withdrawn: self.withdrawn.or(before.map(|before| before.withdrawn)).unwrap_or(false),
            effective_from: when.from(),
        })
    }
}

impl Package {
    /// The maximum number of versions of one package.
    pub const VERSIONS_MAX: usize = 50;

    fn offer(&self) -> Offer {
        Offer {
            credits: self.credits,
            price: self.price,
            service: self.service,
            package: Some(self.package.clone()),
            version: self.version,
        }
    }

    /// The discount per credit relative to `smallest`, in per cent with one decimal; 0 when there is none, or
    /// when the currencies differ.
    #[must_use]
    pub fn saving(&self, smallest: &Self) -> Decimal {
        let (each, most) = (self.price.per_credit(self.credits), smallest.price.per_credit(smallest.credits));
        if self.price.currency() != smallest.price.currency() || each >= most {
            return Decimal::ZERO;
        }
        let share = most.checked_sub(each).and_then(|less| less.checked_div(most)).unwrap_or_default();
        share.checked_mul(Decimal::ONE_HUNDRED).unwrap_or_default().round_dp(1).normalize()
    }
}
