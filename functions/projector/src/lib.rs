//! The projector: reads the stream of the ledger table and completes what a writer may have left unfinished. Above all,
//! every sequence gets its row, and every row its place in the account's hash chain.

use app::App;
use aws_lambda_events::event::dynamodb::Event;
use aws_lambda_events::event::streams::{KinesisBatchItemFailure, KinesisEventResponse};
use jobs::projection::{Record, project};
use lambda_runtime::LambdaEvent;

/// Handles a batch of records.
///
/// # Errors
/// None: the response names the record from which on they are delivered again.
pub async fn handle(
    app: &App,
    event: LambdaEvent<Event>,
) -> Result<KinesisEventResponse, lambda_runtime::Error> {
    let records = event.payload.records.into_iter().map(|record| Record {
        place: record.change.sequence_number.unwrap_or_default(),
        image: (!record.change.new_image.is_empty()).then_some(record.change.new_image),
    });
    let failed = project(&app.ledger, &app.projection(), records).await;
    let mut answer = KinesisEventResponse::default();
    answer.batch_item_failures = failed
        .into_iter()
        .map(|place| {
            let mut failure = KinesisBatchItemFailure::default();
            failure.item_identifier = Some(place);
            failure
        })
        .collect();
    Ok(answer)
}
