//! Renewal: begins each month's round, and goes through it from a queue. A debit or a look at the balance
//! turns its own account's month at once; this one turns those of everybody else.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use chrono::{DateTime, Utc};
use domain::Period;
use jobs::{Task, Unfinished};
use lambda_runtime::LambdaEvent;
use scrip_http::{App, Fatal};
use serde::{Deserialize, Serialize};
use store::{Moment, Unsettled};

/// What the function is called with.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Call {
    /// Messages of its queue.
    Tasks(Messages),
    /// The scheduler's call: on the first of the month, and every hour for what was missed.
    Schedule(Tick),
}

/// A batch of messages.
#[derive(Debug, Deserialize)]
pub struct Messages {
    /// There is at least one; a call without is not of the queue.
    #[serde(rename = "Records")]
    records: Vec<SqsMessage>,
}

/// When a call was due.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tick {
    /// As the scheduler says. The function's own clock may be behind it, and the month with it.
    scheduled_time: DateTime<Utc>,
}

/// What it answers: to the queue, what has to come again; to the scheduler nothing.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// To the queue.
    Batch(SqsBatchResponse),
    /// To the scheduler.
    Done,
}

/// Handles a call.
///
/// # Errors
/// When a round could not be begun. Tasks that fail are told message by message.
pub async fn handle(app: &App, event: LambdaEvent<Call>) -> Result<Answer, Fatal> {
    match event.payload {
        Call::Tasks(Messages { records }) => {
            let batch = tasks(app, records).await;
            Ok(Answer::Batch(batch))
        }
        Call::Schedule(Tick { scheduled_time }) => {
            let moment = app.clock.moment();
            let month = Period::of(scheduled_time.max(moment.now));
            let begun = begin(app, month, moment).await?;
            tracing::info!(%month, begun, "the round of a month goes on");
            Ok(Answer::Done)
        }
    }
}

/// Begins the round of a month, or goes on with it where it is not through, and has monitors tried again whose price
/// has fallen; in how many parts of the directory.
///
/// # Errors
/// When the store or the queue does not serve.
pub async fn begin(app: &App, month: Period, moment: Moment) -> Result<u8, Unfinished> {
    let begun = app.calendar().begin_round(month, moment).await?;
    Ok(begun.saturating_add(app.calendar().sweep_fallen(moment).await?))
}

/// Does one task.
///
/// # Errors
/// When it should come again.
pub async fn perform(app: &App, task: Task, moment: Moment) -> Result<(), Unfinished> {
    Box::pin(app.calendar().run_task(task, moment)).await
}

/// Does a batch of tasks; only what failed comes again.
async fn tasks(app: &App, records: Vec<SqsMessage>) -> SqsBatchResponse {
    let mut failed = Vec::new();
    for message in records {
        if let Err(error) = one(app, &message).await {
            // Somebody else is at the same one: it comes again, and finds it done.
            let is_shared =
                matches!(error.downcast_ref(), Some(Unfinished::Unsettled(Unsettled::InProgress)));
            if is_shared {
                tracing::info!(message = message.message_id, "a task is done by somebody else");
            } else {
                tracing::error!(message = message.message_id, %error, "a task could not be done");
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
    let task: Task = serde_json::from_str(message.body.as_deref().unwrap_or_default())?;
    Ok(perform(app, task, app.clock.moment()).await?)
}
