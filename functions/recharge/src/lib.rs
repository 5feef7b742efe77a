//! Auto-recharge, from a queue: a message says "look at this account". One that comes twice, late or for
//! nothing does no harm.

use std::error::Error;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::AccountId;
use lambda_runtime::LambdaEvent;
use scrip_http::{App, Fatal};
use scrip_payments::RechargeRequest;
use store::{Moment, Unsettled};

/// Handles a batch; only what failed comes again.
///
/// # Errors
/// None: failures are told message by message.
pub async fn handle(app: &App, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Fatal> {
    let mut failed = Vec::new();
    for message in event.payload.records {
        if let Err(error) = one(app, &message).await {
            tracing::error!(message = message.message_id, %error, "a wake could not be handled");
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
    let wake: RechargeRequest = serde_json::from_str(message.body.as_deref().unwrap_or_default())?;
    Ok(attend(app, wake.account, app.clock.moment()).await?)
}

/// Looks after one account.
///
/// # Errors
/// When the table does not serve; the wake should then come again.
pub async fn attend(app: &App, account: AccountId, moment: Moment) -> Result<(), Unsettled> {
    // A test ledger may have a clock of its own.
    let moment = app.ledger.moment_of(account, moment).await?;
    app.till(account.mode).run_auto_recharge(account, moment).await.inspect_err(|unsettled| {
        tracing::warn!(%account, cause = unsettled as &dyn Error, "auto-recharge could not be looked after");
    })
}
