//! The function `export`: makes the files of large exports, and those of organisations. Its queue's messages name exports to look at. A message that
//! comes twice, late or without need does no harm.

mod organisation;

use std::error::Error;

use app::{App, Fatal};
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use domain::ExportKey;
use lambda_runtime::LambdaEvent;
use store::Unsettled;

pub use organisation::OrganisationReader;

/// Handles a batch of messages, one after the other. The queue sends a message again whose export could not be made; the
/// export's scheduled job does so earlier.
///
/// # Errors
/// None: failed messages are listed in the response.
pub async fn handle(app: &App, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Fatal> {
    let mut response = SqsBatchResponse::default();
    for message in event.payload.records {
        let Some(key) = key(&message) else {
            response.batch_item_failures.push(failure(message));
            continue;
        };
        if let Err(unsettled) = make_export(app, key).await {
            let ExportKey { account, export, .. } = key;
            tracing::error!(%account, %export, cause = &unsettled as &dyn Error, "an export was not made");
            response.batch_item_failures.push(failure(message));
        }
    }
    Ok(response)
}

/// Brings an export to its end.
///
/// # Errors
/// When it has to be called again.
pub async fn make_export(app: &App, key: ExportKey) -> Result<(), Unsettled> {
    Box::pin(app.exporter().attend(key, &OrganisationReader(app))).await
}

/// What a message names; none for an invalid message, which ends in the dead-letter queue after some attempts.
fn key(message: &SqsMessage) -> Option<ExportKey> {
    match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
        Ok(key) => Some(key),
        Err(error) => {
            tracing::error!(message = message.message_id, %error, "a message is not valid");
            None
        }
    }
}

fn failure(message: SqsMessage) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message.message_id.unwrap_or_default();
    failure
}
