//! Monitors: subjects that are watched and charged monthly.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    self, AccountId, ClaimKey, Details, EntryId, Metadata, MonitorAttribution, MonitorId, MonitorKey,
    MonitorStatus, Reference, Service,
};
use jobs::MonitorError;
use scrip_http::{
    ApiError, App, Caller, Id, IdempotencyHeader, Idempotent, Listing, MonitorView, NoFields, OptionalBody,
    PageLimit, PathId, QueryParams, Reply, may,
};
use serde::Deserialize;
use store::{Claim, MonitorPage};
use utoipa::{IntoParams, ToSchema};

/// How many pages of the table one page of the list may read, because deleted monitors are skipped.
const READS_MAX: usize = 20;

/// A monitor to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "operation": "aml.monitoring", "resourceId": "applicant_42" }))]
pub(super) struct NewMonitor {
    /// An operation with a monthly price: aml.monitoring, kyt.monitoring.
    #[schema(value_type = String)]
    operation: Reference,
    /// Your name for the subject.
    #[schema(value_type = String, max_length = 255)]
    resource_id: Reference,
    /// Your name for the customer.
    #[schema(value_type = Option<String>, max_length = 255)]
    customer_id: Option<Reference>,
    /// Your name for the member of staff.
    #[schema(value_type = Option<String>, max_length = 255)]
    member_id: Option<Reference>,
    /// The service that it belongs to. Credits reserved for the service are spent first.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// Your own key and value pairs, which every charge repeats.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MonitorsQuery {
    /// Monitors on a page, 1 to 100; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<50, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// Makes a monitor, charged now and on the first of every month. A month that cannot be charged suspends it until there are
/// credits. A subject is charged once a month, also if its monitor is deleted and made again.
#[utoipa::path(
    post,
    path = "/api/v3/monitors",
    tag = "subscription",
    params(IdempotencyHeader),
    request_body = NewMonitor,
    responses(
        (status = 201, body = MonitorView),
        (status = 402, description = "INSUFFICIENT_CREDITS: `details` has `required` and `available`; nothing was charged and no monitor was made"),
        (status = 403, description = "BUDGET_EXCEEDED: a budget has no room, `details` says which; PLAN_LIMIT_REACHED: this month's debits would exceed the safety limit of an unlimited plan; ORGANISATION_FROZEN"),
        (status = 409, description = "CONFLICT: another monitor watches the same subject; see `details.monitorId`. OPERATION_IN_PROGRESS, with Retry-After"),
    ),
)]
pub(super) async fn create_monitor(
    State(app): State<Arc<App>>,
    caller: Caller<may::Spend>,
    intent: Idempotent<NewMonitor>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let NewMonitor { operation, resource_id, customer_id, member_id, service, metadata } = intent.body;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let (operation, _) = catalogue.prices.monthly(&operation, moment.now)?;
    let last = app.ledger.last_monitor(caller.account).await?.map_or(EntryId::FIRST, EntryId::from);
    let (key, details) = (ClaimKey::Caller(intent.key), Details::default());
    let claim = Claim { key: &key, fingerprint: &intent.fingerprint, details: &details };
    let made = app.ledger.claim_once_above(last, caller.account, claim, moment).await?;
    let metadata = metadata.unwrap_or_default();
    let wanted = domain::Monitor {
        id: made.id.into(),
        operation,
        resource_id,
        on_behalf: MonitorAttribution {
            customer_id,
            member_id,
            service,
            metadata,
            key_id: Some(caller.key),
            super_admin: caller.super_admin(),
        },
        made_at: made.at,
        status: MonitorStatus::Pending,
        paid: None,
        charge: None,
        made_with: None,
        revision: 0,
    };
    let made = Box::pin(app.jobs().create_monitor(caller.account, &wanted, moment)).await;
    let (monitor, replayed) = made.map_err(|not_made| match not_made {
        MonitorError::Taken(other) => ApiError::AlreadyWatched(other),
        MonitorError::Unsettled(unsettled) => unsettled.into(),
    })?;
    Reply::created(&MonitorView::of(&monitor.as_made()), replayed)
}

/// Lists the organisation's monitors, the oldest first, without deleted ones.
#[utoipa::path(get, path = "/api/v3/monitors", tag = "subscription", params(MonitorsQuery), responses((status = 200, body = Vec<MonitorView>)))]
pub(super) async fn list_monitors(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(MonitorsQuery { limit, cursor }): QueryParams<MonitorsQuery>,
) -> Result<Reply, ApiError> {
    let listing = Listing { list: "monitors", account: caller.account, question: &() };
    let read = |text: String| {
        let after = app.cursors.read(&listing, &text)?;
        MonitorId::try_from(after).map_err(|_| ApiError::InvalidCursor)
    };
    let cursor = cursor.map(read).transpose()?;
    let (monitors, next) = page(&app, caller.account, cursor, limit.get().into()).await?;
    let monitors: Vec<_> = monitors.iter().map(MonitorView::of).collect();
    let next = next.map(|next| app.cursors.write(&listing, &next.to_string())).transpose()?;
    Reply::page(&monitors, next)
}

/// At most `limit` monitors after `after`, and the last one read if there may be more.
async fn page(
    app: &App,
    account: AccountId,
    mut after: Option<MonitorId>,
    limit: usize,
) -> Result<(Vec<domain::Monitor>, Option<MonitorId>), ApiError> {
    let mut found = Vec::new();
    for _ in 0..READS_MAX {
        let wanted = i32::try_from(limit.saturating_sub(found.len())).unwrap_or(i32::MAX);
        let MonitorPage { monitors, next, .. } = app.ledger.monitors(account, after, wanted).await?;
        let shown = |monitor: &domain::Monitor| {
            !matches!(monitor.status, MonitorStatus::Pending | MonitorStatus::Ended { .. })
        };
        found.extend(monitors.into_iter().filter(shown));
        after = next;
        if next.is_none() || found.len() >= limit {
            break;
        }
    }
    Ok((found, after))
}

/// Returns a monitor.
#[utoipa::path(
    get,
    path = "/api/v3/monitors/{id}",
    tag = "subscription",
    params(("id" = String, Path, description = "mon_…")),
    responses((status = 200, body = MonitorView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_monitor(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(id): Path<Id<MonitorId>>,
) -> Result<Reply, ApiError> {
    let monitor = app.ledger.monitor(MonitorKey { account: caller.account, monitor: id.found()? }).await?;
    let monitor =
        monitor.filter(|monitor| monitor.status != MonitorStatus::Pending).ok_or(MonitorId::NOT_FOUND)?;
    Reply::ok(&MonitorView::of(&monitor))
}

/// Deletes a monitor: it is not charged any more. The present month is not refunded. A retry changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v3/monitors/{id}",
    tag = "subscription",
    params(("id" = String, Path, description = "mon_…")),
    responses((status = 200, body = MonitorView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn delete_monitor(
    State(app): State<Arc<App>>,
    caller: Caller<may::StopSpending>,
    Path(id): Path<Id<MonitorId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let ended = app
        .jobs()
        .end_monitor(MonitorKey { account: caller.account, monitor: id.found()? }, caller.call.moment)
        .await?;
    Reply::ok(&MonitorView::of(&ended.ok_or(MonitorId::NOT_FOUND)?))
}
