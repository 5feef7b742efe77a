//! Webhook delivery: consumes a queue whose messages name accounts with something to deliver, because an event occurred or
//! a retry is due. A message that arrives twice, late or without need does no harm. The accounts of a batch are handled
//! concurrently, so that a slow endpoint delays no other organisation.

use std::collections::BTreeSet;

use app::{App, Fatal};
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::AccountId;
use futures_util::future::join_all;
use lambda_runtime::LambdaEvent;
use scrip_webhooks::DeliveryRequest;
use store::Fault;

/// Handles a batch of messages. SQS delivers the failed ones again.
///
/// # Errors
/// None: failed messages are listed in the response.
pub async fn handle(app: &App, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Fatal> {
    let messages: Vec<_> = event.payload.records.iter().map(|message| (message, account(message))).collect();
    let accounts: BTreeSet<_> = messages.iter().filter_map(|(_, account)| *account).collect();
    let failed = join_all(accounts.into_iter().map(|account| async move {
        let looked = deliver(app, account).await;
        looked.err().map(|fault| (account, fault))
    }));
    let failed: Vec<_> = failed.await.into_iter().flatten().collect();
    for (account, fault) in &failed {
        tracing::error!(%account, fault = fault as &dyn std::error::Error, "webhooks could not be delivered");
    }
    let again = messages.into_iter().filter(|(_, account)| {
        account.is_none_or(|account| failed.iter().any(|(failed, _)| *failed == account))
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = again.map(|(message, _)| failure(message)).collect();
    Ok(response)
}

/// Delivers the outstanding events to the webhooks of an account.
///
/// # Errors
/// When a table is unavailable. The message should then be delivered again.
pub async fn deliver(app: &App, account: AccountId) -> Result<(), Fault> {
    app.webhook_worker().deliver_pending(account).await
}

/// The account of a message; none for an invalid message, which ends in the dead-letter queue after some attempts.
fn account(message: &SqsMessage) -> Option<AccountId> {
    match serde_json::from_str::<DeliveryRequest>(message.body.as_deref().unwrap_or_default()) {
        Ok(request) => Some(request.account()),
        Err(error) => {
            tracing::error!(message = message.message_id, %error, "a message is not valid");
            None
        }
    }
}

fn failure(message: &SqsMessage) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message.message_id.clone().unwrap_or_default();
    failure
}
