//! Packages of credits.

use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use domain::{Amount, EffectiveTime, Money, PackageId, PackageList, PackageUpdate, Reference, Service};
use scrip_http::{ApiError, App, Instant, Once, Operator, Reply, duty, timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new version of a package. Fields that are left out keep their values; a new package needs name, credits and price.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "name": "Growth Pack", "credits": 1000, "price": { "amount": 8900, "currency": "GBP" } }))]
pub(super) struct NewPackage {
    /// The display name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// Whole credits, 1 to 10^12.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000_000_000_u64)]
    credits: Option<Amount>,
    /// The price of the whole package: 1 to 99,999,999 minor units of an ISO 4217 currency.
    #[schema(value_type = Option<scrip_http::MoneyView>)]
    price: Option<Money>,
    /// Reserves the credits for a service: smartcheck, smartaccess, smartenroll, api or biometric. A package that is
    /// reserved for a service stays reserved for one; to sell the same credits without, create another package.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// Whether the package is withdrawn from sale.
    withdrawn: Option<bool>,
    /// When the version takes effect, not in the past; at once if left out.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_from: Option<Instant>,
}

/// A version of a package.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PackageVersion {
    #[serde(flatten)]
    package: scrip_http::PackageView,
    /// Whether the package is withdrawn from sale.
    withdrawn: bool,
    /// When the version takes effect.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    effective_from: DateTime<Utc>,
}

/// Changes a package of credits from a point in time on, or creates one. Earlier versions are kept; versions planned for
/// a later time are replaced. A retry changes nothing. Functions may use the previous version for up to 5 seconds.
#[utoipa::path(
    put,
    path = "/admin/v1/packages/{package}",
    tag = "operator",
    params(("package" = String, Path, description = "1 to 64 characters of a-z 0-9 . _ -")),
    request_body = NewPackage,
    responses(
        (status = 200, body = PackageVersion),
        (status = 409, description = "CONFLICT: the catalogue keeps no more versions"),
    ),
)]
pub(super) async fn set_package(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Catalogue>,
    Path(package): Path<String>,
    Once { body: wanted, .. }: Once<NewPackage>,
) -> Result<Reply, ApiError> {
    let NewPackage { name, credits, price, service, withdrawn, effective_from } = wanted;
    let package = PackageId::try_from(package).map_err(|problem| ApiError::field("package", problem))?;
    let when = EffectiveTime::new(effective_from.map(|Instant(from)| from), operator.call.moment.now);
    let wanted = PackageUpdate { name, credits, price, service, withdrawn };
    let version =
        app.settings.change(|packages: &PackageList| packages.change(&package, &wanted, when)).await?;
    Reply::ok(&PackageVersion {
        package: (&version).into(),
        withdrawn: version.withdrawn,
        effective_from: version.effective_from,
    })
}
