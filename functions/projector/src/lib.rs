//! The projector: follows the ledger table's stream and completes what whoever wrote it may have
//! left undone. Its first duty: every sequence has its row, and every row its place in the account's chain.

use std::collections::BTreeMap;
use std::error::Error;

use aws_lambda_events::event::dynamodb::Event;
use aws_lambda_events::event::streams::{KinesisBatchItemFailure, KinesisEventResponse};
use chrono::{DateTime, Utc};
use lambda_runtime::LambdaEvent;
use shared::calendar::{Task, Tasks};
use shared::domain::{Account, AccountId, Direction, Entry};
use shared::edge::App;
use shared::pay::Wakes;
use shared::store::{Fault, Image, Ledger, Projected, Rows, account_image};

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
    let failed = project(&app.ledger, Others::of(app), records).await;
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

/// Whom the projector tells of what it has seen.
#[derive(Clone, Copy)]
pub struct Others<'a> {
    /// Auto-recharge, of accounts that have fallen below their threshold.
    pub wakes: &'a dyn Wakes,
    /// Renewal, of accounts with monitors that credits have reached.
    pub tasks: &'a dyn Tasks,
}

impl<'a> Others<'a> {
    /// Those of an app.
    #[must_use]
    pub fn of(app: &'a App) -> Self {
        Self { wakes: app.wakes.as_ref(), tasks: app.tasks.as_ref() }
    }
}

/// Works through records in the order of the stream. Stops at the first that can't be handled and
/// returns its place: it and all after it are to be delivered again, for an account's records must
/// not overtake one another. Handled twice, a record changes nothing.
///
/// Then tells the others.
pub async fn project(
    ledger: &Ledger,
    others: Others<'_>,
    records: impl IntoIterator<Item = Record>,
) -> Option<String> {
    let mut done = Done::default();
    let mut again = None;
    for Record { place, image } in records {
        match complete(ledger, image).await {
            Ok(None) => (),
            Ok(Some((account, entry))) => done.add(account, entry, &place),
            Err(fault) => {
                tracing::error!(
                    place,
                    fault = &fault as &dyn Error,
                    "a record of the stream could not be handled"
                );
                again = Some(place);
                break;
            }
        }
    }
    // A queue that is slow does not hold up the watermarks, which others wait for.
    let unmarked = done.mark(ledger).await;
    let unwoken = done.wake(ledger, others).await;
    unmarked.into_iter().chain(unwoken).chain(again).reduce(earlier_of)
}

async fn complete(ledger: &Ledger, image: Option<Image>) -> Result<Option<(Account, Projected)>, Fault> {
    let Some(image) = image else { return Ok(None) };
    let Some(account) = account_image(image)? else { return Ok(None) };
    Ok(ledger.complete(&account).await?.map(|entry| (account, entry)))
}

/// Wakes auto-recharge of an account that is below its threshold, and has the monitors of one looked at
/// that credits have reached. Each time: once too many does nothing.
async fn wake(
    ledger: &Ledger,
    others: Others<'_>,
    Span { account, credited, .. }: &Span,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    if *credited && ledger.is_monitored(account.id).await? {
        others.tasks.send(Task::Monitors { account: account.id, after: None }, 0).await?;
    }
    let Some(recharge) = ledger.recharge(account.id).await? else { return Ok(()) };
    if recharge.is_waiting() && recharge.is_crossed(account, account.floor().time()) {
        others.wakes.wake(account.id).await?;
    }
    Ok(())
}

/// What of each account is known to be complete, and the place of the first record.
#[derive(Default)]
struct Done(BTreeMap<AccountId, Span>);

/// Rows of an account, up to a time, and the account after the last.
struct Span {
    account: Account,
    rows: Rows,
    time: DateTime<Utc>,
    place: String,
    /// Whether there may be more to spend: credits have arrived, a month has begun, the plan is another one.
    credited: bool,
}

impl Done {
    fn add(&mut self, account: Account, entry: Projected, place: &str) {
        let Projected { rows, time } = entry;
        let span = self.0.entry(account.id).or_insert_with(|| Span {
            account: account.clone(),
            rows: Rows::new(),
            time,
            place: place.to_owned(),
            credited: false,
        });
        // A plan that counts nothing down takes credits away, and pays for everything.
        let pays = |last: &Entry| last.direction == Direction::Credit || last.switch.is_some();
        span.credited |= account.last.as_ref().is_some_and(pays);
        if span.account.sequence < account.sequence {
            span.account = account;
        }
        span.rows.extend(rows);
        span.time = time.max(span.time);
    }

    /// Tells the others; the earliest place that has to be handled again if one can't be told.
    async fn wake(&self, ledger: &Ledger, others: Others<'_>) -> Option<String> {
        let mut again: Option<String> = None;
        for span in self.0.values() {
            if let Err(error) = wake(ledger, others, span).await {
                tracing::error!(account = %span.account.id, %error, "auto-recharge or renewal could not be told");
                again = again.into_iter().chain([span.place.clone()]).reduce(earlier_of);
            }
        }
        again
    }

    /// Moves the watermarks and chains the rows; the earliest place that has to be handled again if one can't be moved.
    async fn mark(&self, ledger: &Ledger) -> Option<String> {
        let mut again: Option<String> = None;
        for (account, Span { rows, time, place, .. }) in &self.0 {
            if let Err(fault) = ledger.mark(*account, rows, *time).await {
                tracing::error!(%account, fault = &fault as &dyn Error, "a watermark could not be moved");
                again = again.into_iter().chain([place.clone()]).reduce(earlier_of);
            }
        }
        again
    }
}

/// Places are numbers of up to 40 digits.
fn earlier_of(one: String, other: String) -> String {
    if (one.len(), &one) <= (other.len(), &other) { one } else { other }
}
