//! Webhooks, from a queue: a message says "look at this account", be it because something has happened or because
//! a wait is over. One that comes twice, late or for nothing does no harm. Messages of a batch are handled side by
//! side, so that nobody waits for somebody else's endpoint.

use std::collections::BTreeSet;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::AccountId;
use futures_util::future::join_all;
use lambda_runtime::LambdaEvent;
use scrip_http::{App, Fatal};
use scrip_webhooks::DeliveryRequest;
use store::Fault;

/// Handles a batch; only what failed comes again.
///
/// # Errors
/// None: failures are told message by message.
pub async fn handle(app: &App, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Fatal> {
    let messages: Vec<_> = event.payload.records.iter().map(|message| (message, account(message))).collect();
    // Ten messages of one account are one look.
    let accounts: BTreeSet<_> = messages.iter().filter_map(|(_, account)| *account).collect();
    let failed = join_all(accounts.into_iter().map(|account| async move {
        let looked = look(app, account).await;
        looked.err().map(|fault| (account, fault))
    }));
    let failed: Vec<_> = failed.await.into_iter().flatten().collect();
    for (account, fault) in &failed {
        tracing::error!(%account, fault = fault as &dyn std::error::Error, "webhooks could not be looked at");
    }
    let again = messages.into_iter().filter(|(_, account)| {
        account.is_none_or(|account| failed.iter().any(|(failed, _)| *failed == account))
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = again.map(|(message, _)| failure(message)).collect();
    Ok(response)
}

/// Delivers what the webhooks of an account have not had yet.
///
/// # Errors
/// When a table does not serve; the message should then come again.
pub async fn look(app: &App, account: AccountId) -> Result<(), Fault> {
    app.courier().deliver_pending(account).await
}

/// Whose webhooks a message is about; none where it does not read, which no repetition mends: after some it is
/// among the failures.
fn account(message: &SqsMessage) -> Option<AccountId> {
    match serde_json::from_str::<DeliveryRequest>(message.body.as_deref().unwrap_or_default()) {
        Ok(dispatched) => Some(dispatched.account()),
        Err(error) => {
            tracing::error!(message = message.message_id, %error, "a message does not read");
            None
        }
    }
}

fn failure(message: &SqsMessage) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message.message_id.clone().unwrap_or_default();
    failure
}
