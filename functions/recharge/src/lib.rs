//! Auto-recharge: consumes a queue whose messages name accounts to check. A message that arrives twice, late or without
//! need does no harm.

use std::error::Error;

use app::{App, Fatal};
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::AccountId;
use lambda_runtime::LambdaEvent;
use scrip_payments::RechargeRequest;
use store::{Moment, Unsettled};

/// Handles a batch of messages. SQS delivers the failed ones again.
///
/// # Errors
/// None: failed messages are listed in the response.
pub async fn handle(app: &App, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Fatal> {
    let mut failed = Vec::new();
    for message in event.payload.records {
        if let Err(error) = one(app, &message).await {
            tracing::error!(message = message.message_id, %error, "a recharge message could not be handled");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            failed.push(failure);
        }
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed;
    Ok(response)
}

async fn one(app: &App, message: &SqsMessage) -> Result<(), Fatal> {
    let request: RechargeRequest = serde_json::from_str(message.body.as_deref().unwrap_or_default())?;
    Ok(attend(app, request.account, app.clock.moment()).await?)
}

/// Runs auto-recharge for one account.
///
/// # Errors
/// When the table cannot be read or written. The message should then be delivered again.
pub async fn attend(app: &App, account: AccountId, moment: Moment) -> Result<(), Unsettled> {
    let moment = app.ledger.moment_of(account, moment).await?;
    app.checkout(account.mode).run_auto_recharge(account, moment).await.inspect_err(|unsettled| {
        tracing::warn!(%account, cause = unsettled as &dyn Error, "auto-recharge failed");
    })
}
