//! The projector: follows the ledger table's stream and completes what whoever wrote it may have
//! left undone. Its first duty: every sequence has its row.

use std::collections::BTreeMap;
use std::error::Error;

use aws_lambda_events::event::dynamodb::Event;
use aws_lambda_events::event::streams::{KinesisBatchItemFailure, KinesisEventResponse};
use chrono::{DateTime, Utc};
use lambda_runtime::LambdaEvent;
use shared::domain::AccountId;
use shared::edge::App;
use shared::store::{Fault, Image, Ledger, Projected, account_image};

/// One record of the stream: its place, and the item as it is after it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The stream's own number for it.
    pub place: String,
    /// The item; none when it was deleted.
    pub image: Option<Image>,
}

/// Handles one batch as Lambda delivers it.
///
/// # Errors
/// Never: records that could not be handled are named in the answer, and delivered again.
pub async fn handle(
    app: &App,
    event: LambdaEvent<Event>,
) -> Result<KinesisEventResponse, lambda_runtime::Error> {
    let records = event.payload.records.into_iter().map(|record| Record {
        place: record.change.sequence_number.unwrap_or_default(),
        image: (!record.change.new_image.is_empty()).then_some(record.change.new_image),
    });
    let failed = project(&app.ledger, records).await;
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

/// Works through records in the order of the stream. Stops at the first that can't be handled and
/// returns its place: it and all after it are to be delivered again, for an account's records must
/// not overtake one another. Handled twice, a record changes nothing.
pub async fn project(ledger: &Ledger, records: impl IntoIterator<Item = Record>) -> Option<String> {
    let mut done = Done::default();
    for Record { place, image } in records {
        match complete(ledger, image).await {
            Ok(None) => (),
            Ok(Some(entry)) => done.add(entry, &place),
            Err(fault) => {
                tracing::error!(
                    place,
                    fault = &fault as &dyn Error,
                    "a record of the stream could not be handled"
                );
                return Some(done.mark(ledger).await.unwrap_or(place));
            }
        }
    }
    done.mark(ledger).await
}

async fn complete(ledger: &Ledger, image: Option<Image>) -> Result<Option<Projected>, Fault> {
    let Some(image) = image else { return Ok(None) };
    let Some(account) = account_image(image)? else { return Ok(None) };
    ledger.complete(&account).await
}

/// What of each account is known to be complete, and the place of the first record.
#[derive(Default)]
struct Done(BTreeMap<AccountId, Span>);

/// The numbers `first..=last`, up to a time.
struct Span {
    first: u64,
    last: u64,
    time: DateTime<Utc>,
    place: String,
}

impl Done {
    fn add(&mut self, entry: Projected, place: &str) {
        let Projected { account, sequence, time } = entry;
        let span = self.0.entry(account);
        let span =
            span.or_insert_with(|| Span { first: sequence, last: sequence, time, place: place.to_owned() });
        span.first = sequence.min(span.first);
        span.last = sequence.max(span.last);
        span.time = time.max(span.time);
    }

    /// Moves the watermarks; the earliest place that has to be handled again if one can't be moved.
    async fn mark(self, ledger: &Ledger) -> Option<String> {
        let mut again: Option<String> = None;
        for (account, Span { first, last, time, place }) in self.0 {
            if let Err(fault) = ledger.mark(account, (first, last), time).await {
                tracing::error!(%account, fault = &fault as &dyn Error, "a watermark could not be moved");
                again = Some(again.map_or(place.clone(), |earlier| earlier_of(earlier, place)));
            }
        }
        again
    }
}

/// Places are numbers of up to 40 digits.
fn earlier_of(one: String, other: String) -> String {
    if (one.len(), &one) <= (other.len(), &other) { one } else { other }
}
