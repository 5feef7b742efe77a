//! Renewal: begins the sweep of each month and performs its tasks from a queue. A debit or a request for the balance renews
//! its own account at once; the sweep renews all the others. The queue also has the tasks that add up roll-forwards.

use app::{App, Fatal};
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use chrono::{DateTime, Utc};
use domain::Period;
use jobs::{JobError, RenewalTask};
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use store::{Moment, Unsettled};

/// An invocation of the function.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Invocation {
    /// Messages of the renewal queue.
    Tasks(Messages),
    /// A schedule: the first of the month, and every hour for what was missed.
    Schedule(Tick),
}

/// A batch of messages of the queue.
#[derive(Debug, Deserialize)]
pub struct Messages {
    /// At least one message; an invocation without messages is a schedule.
    #[serde(rename = "Records")]
    records: Vec<SqsMessage>,
}

/// The time of a scheduled invocation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tick {
    /// The scheduler's time. The function's own clock may be behind it, even in the previous month.
    scheduled_time: DateTime<Utc>,
}

/// The response. The queue gets the messages to deliver again; the scheduler gets nothing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// To the queue.
    Batch(SqsBatchResponse),
    /// To the scheduler.
    Done,
}

/// Handles an invocation.
///
/// # Errors
/// When a sweep could not be begun. Failed tasks are listed in the response.
pub async fn handle(app: &App, event: LambdaEvent<Invocation>) -> Result<Response, Fatal> {
    match event.payload {
        Invocation::Tasks(Messages { records }) => {
            let batch = tasks(app, records).await;
            Ok(Response::Batch(batch))
        }
        Invocation::Schedule(Tick { scheduled_time }) => {
            let moment = app.clock.moment();
            let month = Period::of(scheduled_time.max(moment.now));
            let begun = begin(app, month, moment).await?;
            tracing::info!(%month, begun, "the renewal sweep of a month continues");
            Ok(Response::Done)
        }
    }
}

/// Begins or continues the sweep of a month, and retries suspended monitors whose price has fallen. Returns the number of
/// parts of the directory that are left.
///
/// # Errors
/// When the table or the queue is unavailable.
pub async fn begin(app: &App, month: Period, moment: Moment) -> Result<u8, JobError> {
    let begun = app.jobs().start_renewal_sweep(month, moment).await?;
    Ok(begun.saturating_add(app.jobs().sweep_price_drops(moment).await?))
}

/// Performs one task.
///
/// # Errors
/// When the task should be delivered again.
pub async fn perform(app: &App, task: RenewalTask, moment: Moment) -> Result<(), JobError> {
    Box::pin(app.jobs().run_task(task, moment)).await
}

/// Performs a batch of tasks. SQS delivers the failed ones again.
async fn tasks(app: &App, records: Vec<SqsMessage>) -> SqsBatchResponse {
    let mut failed = Vec::new();
    for message in records {
        if let Err(error) = one(app, &message).await {
            // Another call performs the same task; the redelivered one will find it done.
            let is_shared = matches!(error.downcast_ref(), Some(JobError::Unsettled(Unsettled::InProgress)));
            if is_shared {
                tracing::info!(message = message.message_id, "a task is in progress elsewhere");
            } else {
                tracing::error!(message = message.message_id, %error, "a task failed");
            }
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            failed.push(failure);
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed;
    response
}

async fn one(app: &App, message: &SqsMessage) -> Result<(), Fatal> {
    let task: RenewalTask = serde_json::from_str(message.body.as_deref().unwrap_or_default())?;
    Ok(perform(app, task, app.clock.moment()).await?)
}
