//! Lists organisations, and finds them by name or by the operator's own id.

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{OrgId, Reference};
use futures_util::future::try_join_all;
use scrip_http::{ApiError, App, Operator, OrganisationView, PageLimit, QueryParams, Reply, duty};
use serde::Deserialize;
use store::NamedPage;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct OrganisationsQuery {
    /// Only organisations whose names begin like this, in the order of their names; upper and lower case are the same.
    #[param(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// Only the organisation with this id of the operator's own.
    #[param(value_type = Option<String>, max_length = 255)]
    external_id: Option<Reference>,
    /// Organisations on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// Lists organisations, the newest first, or finds them. A page reads about 32 units and one for each organisation; a search
/// by `name` one for each organisation and one more. An organisation that was opened before there was a search is found by
/// its name once it was listed.
#[utoipa::path(get, path = "/admin/v1/organisations", tag = "operator", params(OrganisationsQuery), responses((status = 200, body = Vec<OrganisationView>)))]
pub(super) async fn list_organisations(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    QueryParams(query): QueryParams<OrganisationsQuery>,
) -> Result<Reply, ApiError> {
    let limit = query.limit.get();
    let (found, next) = match (query.name, query.external_id) {
        (Some(_), Some(_)) => {
            return Err(ApiError::field("externalId", "cannot be combined with `name`; send one of them"));
        }
        (None, Some(external)) => {
            let org = app.settings.org_of_external(&external, operator.call.moment.wall).await?;
            (org.into_iter().collect(), None)
        }
        (Some(name), None) => {
            let place = |text: String| {
                let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ApiError::InvalidCursor)?;
                String::from_utf8(bytes).map_err(|_| ApiError::InvalidCursor)
            };
            if name.as_str().trim().is_empty() {
                return Err(ApiError::field("name", "must have a character that is not a blank"));
            }
            let after = query.cursor.map(place).transpose()?;
            let page = app.settings.organisations_named(name.as_str(), after, limit).await?;
            let NamedPage { organisations, next } = page.ok_or(ApiError::InvalidCursor)?;
            (organisations, next.map(|place| URL_SAFE_NO_PAD.encode(place)))
        }
        (None, None) => {
            let before = query.cursor.map(|text| OrgId::try_from(text).map_err(|_| ApiError::InvalidCursor));
            newest(&app, before.transpose()?, limit).await?
        }
    };
    let read = async |org: &OrgId| app.settings.current_organisation(*org).await;
    let organisations = try_join_all(found.iter().map(read)).await?;
    for organisation in organisations.iter().flatten().filter(|organisation| !organisation.is_indexed) {
        if let Err(fault) = app.settings.index_name(organisation).await {
            tracing::warn!(
                organisation = %organisation.org, fault = &fault as &dyn Error,
                "an organisation is found by its name once it was listed again"
            );
        }
    }
    let views: Vec<_> = organisations.into_iter().flatten().map(OrganisationView::from).collect();
    Reply::page(&views, next)
}

/// The newest organisations before one, and the cursor of the next page.
async fn newest(
    app: &App,
    before: Option<OrgId>,
    limit: u16,
) -> Result<(Vec<OrgId>, Option<String>), ApiError> {
    let found = app.ledger.newest_organisations(before, limit).await?;
    let is_full = found.len() == usize::from(limit);
    let next = found.last().filter(|_| is_full).map(OrgId::to_string);
    Ok((found, next))
}
