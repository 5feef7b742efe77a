//! Webhook delivery: consumes a queue whose messages name accounts with something to deliver, because an event occurred or
//! a retry is due. A message that arrives twice, late or without need does no harm. The accounts of a batch are handled
//! concurrently, so that a slow endpoint delays no other organisation; an account with a fault is requeued on its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use app::{App, Fatal};
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::AccountId;
use futures_util::future::join_all;
use lambda_runtime::LambdaEvent;
use scrip_webhooks::{DELIVERY_FAULT, DeliveryRequest};
use store::Fault;
use tokio::time::timeout;

/// How long an account may take, in seconds: below the function's timeout of 60, which would fail the messages of all
/// accounts of the batch.
const ACCOUNT_SECONDS: u64 = 50;

/// Handles a batch of messages. An account with a fault gets a message of its own, later; SQS delivers a message again
/// only if that could not be sent.
///
/// # Errors
/// None: failed messages are listed in the response.
pub async fn handle(app: &App, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Fatal> {
    let messages: Vec<_> = event.payload.records.iter().map(|message| (message, request(message))).collect();
    // The faults in a row of an account: the most that one of its messages knows.
    let mut accounts: BTreeMap<AccountId, u32> = BTreeMap::new();
    for request in messages.iter().filter_map(|(_, request)| *request) {
        let faults = accounts.entry(request.account()).or_default();
        *faults = request.faults().max(*faults);
    }
    let failed = join_all(accounts.into_iter().map(|(account, faults)| async move {
        let served = deliver_or_requeue(app, account, faults).await;
        served.err().map(|fault| (account, fault))
    }));
    let failed: Vec<_> = failed.await.into_iter().flatten().collect();
    for (account, fault) in &failed {
        tracing::error!(%account, fault = fault as &dyn Error, "an account could not be requeued");
    }
    let again = messages.into_iter().filter(|(_, request)| {
        request.is_none_or(|request| failed.iter().any(|(failed, _)| *failed == request.account()))
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = again.map(|(message, _)| failure(message)).collect();
    Ok(response)
}

/// Delivers the outstanding events to the webhooks of an account, or requeues the account after a fault.
async fn deliver_or_requeue(app: &App, account: AccountId, faults: u32) -> Result<(), Fault> {
    let served = timeout(Duration::from_secs(ACCOUNT_SECONDS), deliver(app, account)).await;
    let fault = match served {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(fault)) => fault,
        Err(slow) => Fault::Unavailable { doing: "deliver in time", source: slow.into() },
    };
    tracing::error!(%account, faults, fault = &fault as &dyn Error, "{DELIVERY_FAULT}");
    app.webhook_worker().requeue(account, faults).await
}

/// Delivers the outstanding events to the webhooks of an account.
///
/// # Errors
/// When a table is unavailable, or an item is unreadable. The account should then be requeued.
pub async fn deliver(app: &App, account: AccountId) -> Result<(), Fault> {
    app.webhook_worker().deliver_pending(account).await
}

/// What a message requests; none for an invalid message, which ends in the dead-letter queue after some attempts.
fn request(message: &SqsMessage) -> Option<DeliveryRequest> {
    match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(request) => Some(request),
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
