//! The open jobs of an organisation: what Scrip still has to do for it, and when.

use std::sync::Arc;

use axum::extract::{Path, State};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::{AccountId, ExportStage, Mode, OrgId, PurchaseStatus};
use scrip_http::{ApiError, App, Id, Operator, PageLimit, PathId, QueryParams, Reply, duty, timestamp};
use serde::{Deserialize, Serialize};
use store::{Fault, Job, JobPlace, Moment, ScheduledJob, WebhookKey};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct JobsQuery {
    /// The ledger: live (default) or test.
    #[param(value_type = Option<String>)]
    mode: Option<Mode>,
    /// Jobs on a page, 1 to 100; 20 if left out. A page may have fewer, or none, and still have a cursor: it examines at most
    /// 4,000 jobs of all organisations.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// A scheduled job that is not done.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenJob)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "kind": "export", "due": "2024-01-15T10:31:00Z", "isDue": false, "subject": "exp_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA",
    "attempts": 1, "lastError": null
}))]
struct JobView {
    /// purchase: finishes a purchase; recharge: auto-recharge; calendar: renewals, expiries and other due work of the account;
    /// plan: applies a change of plan; monitor: finishes a new monitor; remainder: finishes a part of a hold or a refund, or
    /// closes a hold that has ended; webhooks: retries deliveries; projection: completes rows, events and usage; export:
    /// finishes an export.
    kind: &'static str,
    /// When it is due: by the clock of a test ledger, except for webhooks, projections and exports. A job that failed is
    /// stored under a later time.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    due: DateTime<Utc>,
    /// Whether that time has come: it runs within a minute, or waits for its turn.
    is_due: bool,
    /// What it is about: a transaction, monitor, export, or the webhook with the most failures; null for the account itself.
    subject: Option<String>,
    /// How often this was tried, as far as it is stored: charges of a purchase, failed payments of auto-recharge, failed
    /// attempts of a delivery, attempts of an export.
    attempts: Option<u32>,
    /// Why the last attempt failed, as far as it is stored.
    last_error: Option<String>,
}

/// What is stored about the subject of a job.
#[derive(Default)]
struct JobFacts {
    subject: Option<String>,
    attempts: Option<u32>,
    last_error: Option<String>,
}

/// Lists the open jobs of an organisation, in the order of their times: what Scrip still has to do for it. A page examines at
/// most 4,000 jobs of the shard that the organisation shares with an eighth of all others (150 read units), for a test ledger
/// as many of its own, and reads one or two items for each job of the page.
#[utoipa::path(
    get,
    path = "/admin/v1/organisations/{id}/jobs",
    tag = "operator",
    params(("id" = String, Path, description = "org_…"), JobsQuery),
    responses((status = 200, body = Vec<JobView>), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn list_jobs(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Reading>,
    Path(org): Path<Id<OrgId>>,
    QueryParams(JobsQuery { mode, limit, cursor }): QueryParams<JobsQuery>,
) -> Result<Reply, ApiError> {
    let org = org.found()?;
    app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let account = AccountId { org, mode: mode.unwrap_or(Mode::Live) };
    let place = |text: String| {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ApiError::InvalidCursor)?;
        String::from_utf8(bytes).map(JobPlace::of).map_err(|_| ApiError::InvalidCursor)
    };
    let after = cursor.map(place).transpose()?;
    let page = app.ledger.open_jobs(account, after.as_ref(), limit.get().into()).await?;
    let real = operator.call.moment;
    let own = app.ledger.moment_of(account, real).await?;
    let mut jobs = Vec::new();
    for scheduled in &page.jobs {
        jobs.push(JobView::of(&app, scheduled, Clocks { real, own }).await?);
    }
    Reply::page(&jobs, page.next.map(|next| URL_SAFE_NO_PAD.encode(next.text())))
}

/// The present moment by the clock of all ledgers, and by that of the account.
#[derive(Clone, Copy)]
struct Clocks {
    real: Moment,
    own: Moment,
}

impl JobView {
    async fn of(app: &App, scheduled: &ScheduledJob, clocks: Clocks) -> Result<Self, Fault> {
        let ScheduledJob { due, job, .. } = *scheduled;
        let clock = if job.uses_account_clock() { clocks.own } else { clocks.real };
        let JobFacts { subject, attempts, last_error } = facts(app, job).await?;
        Ok(Self { kind: job.kind().as_str(), due, is_due: due <= clock.now, subject, attempts, last_error })
    }
}

async fn facts(app: &App, job: Job) -> Result<JobFacts, Fault> {
    let named = |subject: String| JobFacts { subject: Some(subject), ..JobFacts::default() };
    Ok(match job {
        Job::Calendar(_) | Job::Plan(_) | Job::Projection(_) => JobFacts::default(),
        Job::Monitor(key) => named(key.monitor.to_string()),
        Job::Remainder(remainder) => named(remainder.of.to_string()),
        Job::Webhooks(account) => of_deliveries(app, account).await?,
        Job::Recharge(account) => {
            let recharge = app.ledger.recharge(account).await?;
            JobFacts {
                attempts: recharge.as_ref().map(|recharge| recharge.failures),
                last_error: recharge.and_then(|recharge| recharge.failure).map(|decline| decline.reason),
                ..JobFacts::default()
            }
        }
        Job::Purchase(id) => {
            let purchase = app.ledger.purchase(id).await?;
            let failed = |status: &PurchaseStatus| match status {
                PurchaseStatus::Failed(decline) => Some(decline.reason.clone()),
                PurchaseStatus::Pending(_) | PurchaseStatus::Approved(_) => None,
            };
            JobFacts {
                subject: Some(id.transaction.to_string()),
                attempts: purchase.as_ref().map(|purchase| purchase.charges),
                last_error: purchase.and_then(|purchase| failed(&purchase.status)),
            }
        }
        Job::Export(key) => {
            let export = app.ledger.export(key).await?;
            let failed = |stage: &ExportStage| match stage {
                ExportStage::Failing(error) | ExportStage::Failed(error) => Some(error.to_string()),
                ExportStage::Begun
                | ExportStage::Queued
                | ExportStage::Running
                | ExportStage::Made(_)
                | ExportStage::Ready(..) => None,
            };
            JobFacts {
                subject: Some(key.export.to_string()),
                attempts: export.as_ref().map(|export| export.attempts),
                last_error: export.and_then(|export| failed(&export.stage)),
            }
        }
    })
}

/// The webhook whose next event has failed most often, and why its last attempt did.
async fn of_deliveries(app: &App, account: AccountId) -> Result<JobFacts, Fault> {
    let webhooks = app.activity.webhooks(account).await?;
    let worst = webhooks.iter().max_by_key(|(_, state)| state.failures);
    let Some((webhook, state)) = worst.filter(|(_, state)| 0 < state.failures) else {
        return Ok(JobFacts::default());
    };
    let delivery = match state.delivery {
        Some(id) => app.activity.delivery(account, webhook.id, id).await?,
        None => {
            let key = WebhookKey { account, id: webhook.id };
            app.activity.deliveries(key, None, 1).await?.0.pop()
        }
    };
    let last = delivery.and_then(|delivery| delivery.attempts.last().cloned());
    let why = last.and_then(|attempt| {
        attempt.error.or_else(|| attempt.status.map(|status| format!("the endpoint answered {status}")))
    });
    Ok(JobFacts { subject: Some(webhook.id.to_string()), attempts: Some(state.failures), last_error: why })
}
