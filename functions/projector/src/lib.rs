//! The projector: follows the ledger table's stream and completes what whoever wrote it may have
//! left undone. Its first duty: every sequence has its row, and every row its place in the account's chain.

use ports::Queue;
use std::collections::BTreeMap;
use std::error::Error;

use aws_lambda_events::event::dynamodb::Event;
use aws_lambda_events::event::streams::{KinesisBatchItemFailure, KinesisEventResponse};
use chrono::{DateTime, Utc};
use domain::{Account, AccountId, Direction, Entry, Level, News, Spent, Wish};
use jobs::Task;
use lambda_runtime::LambdaEvent;
use ports::{Bus, Published};
use scrip_http::App;
use scrip_payments::RechargeRequest;
use store::{
    Activity, Change, Fault, Image, Ledger, Mark, Moment, Projected, Rows, WatermarkStep, account_image,
    event_image,
};

mod missed;
mod skip;

pub use skip::SKIPPED;
use skip::{is_unreadable, skip, skipped};

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
    let others = Others::of(app);
    let failed = project(&app.ledger, &others, records).await;
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

/// What the projector works with beside the ledger, and whom it tells of what it has seen.
#[derive(Clone, Copy)]
pub struct Others<'a> {
    /// Where usage is counted.
    pub activity: &'a Activity,
    /// Where events are published.
    pub bus: &'a dyn Bus,
    /// Auto-recharge, of accounts that have fallen below their threshold.
    pub recharges: &'a dyn Queue<RechargeRequest>,
    /// Renewal, of accounts with monitors that credits have reached.
    pub tasks: &'a dyn Queue<Task>,
    /// When the records came.
    pub moment: Moment,
}

impl<'a> Others<'a> {
    /// Those of an app, now.
    #[must_use]
    pub fn of(app: &'a App) -> Self {
        Self {
            activity: &app.activity,
            bus: app.bus.as_ref(),
            recharges: app.recharges.as_ref(),
            tasks: app.tasks.as_ref(),
            moment: app.clock.moment(),
        }
    }
}

/// What a record shows.
enum Shown {
    /// An account after a change, and the lines of the ledger that it is.
    Account(Box<Account>, Projected),
    /// An event.
    Event(Published),
    /// Nothing that anybody goes by.
    Nothing,
}

/// Works through records in the order of the stream. Stops at the first that can't be handled and
/// returns its place: it and all after it are to be delivered again, for an account's records must
/// not overtake one another. Handled twice, a record changes nothing.
///
/// A record that does not read, or that needs an item that does not, is skipped, see [`SKIPPED`]: its account
/// stands still until that is mended, and all others go on.
///
/// What they show is then told, counted, published, and others woken.
pub async fn project(
    ledger: &Ledger,
    others: &Others<'_>,
    records: impl IntoIterator<Item = Record>,
) -> Option<String> {
    let mut done = Done::default();
    let mut again = None;
    for Record { place, image } in records {
        let shown = match show(ledger, image.clone()).await {
            Err(fault) if fault.is_unreadable() => skip(ledger, (&place, image), &fault).await,
            shown => shown,
        };
        match shown {
            Ok(Shown::Nothing) => (),
            Ok(Shown::Account(account, entry)) => done.add(*account, entry, &place),
            Ok(Shown::Event(event)) => done.events.push((place, event)),
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
    let failed = done.follow(ledger, others).await;
    failed.into_iter().chain(again).reduce(earlier_of)
}

/// Follows an account as it is, as if a record had just told of it, with all that was not followed before: for whoever
/// finds one that is behind, for the stream has lost its records. Whether it is followed now; the log says why not.
///
/// # Errors
/// When the table does not serve.
pub async fn follow(ledger: &Ledger, others: &Others<'_>, account: Account) -> Result<bool, Fault> {
    let Some(projected) = ledger.complete(&account).await? else { return Ok(true) };
    let mut done = Done::default();
    done.add(account, projected, "");
    let failed = done.follow(ledger, others).await;
    Ok(failed.is_none() && !done.stands_still)
}

async fn show(ledger: &Ledger, image: Option<Image>) -> Result<Shown, Fault> {
    let Some(image) = image else { return Ok(Shown::Nothing) };
    if let Some((account, event)) = event_image(image.clone())? {
        return Ok(Shown::Event(Published { account, event }));
    }
    let Some(account) = account_image(image)? else { return Ok(Shown::Nothing) };
    let projected = ledger.complete(&account).await?;
    Ok(projected.map_or(Shown::Nothing, |projected| Shown::Account(account.into(), projected)))
}

/// Wakes auto-recharge of an account that wants something of it, and has the monitors of one looked at
/// that credits have reached. Each time: once too many does nothing.
async fn wake(
    ledger: &Ledger,
    others: &Others<'_>,
    Span { account, credited, .. }: &Span,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    if *credited {
        look_at_monitors(ledger, others, account.id).await?;
    }
    let Some(recharge) = ledger.recharge(account.id).await? else { return Ok(()) };
    if recharge.wish(account, account.floor().time()) != Wish::Rest {
        others.recharges.send(&RechargeRequest { account: account.id }, 0).await?;
    }
    Ok(())
}

/// Has the monitors of an account looked at that credits have reached, if it has some.
async fn look_at_monitors(
    ledger: &Ledger,
    others: &Others<'_>,
    account: AccountId,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    if ledger.is_monitored(account).await? {
        others.tasks.send(&Task::Monitors { account, after: None }, 0).await?;
    }
    Ok(())
}

/// Tells what follows from changes of an account, and counts what they have used; once, however often.
async fn follow_changes(
    ledger: &Ledger,
    others: &Others<'_>,
    account: AccountId,
    (changes, spent): (&[Change], &[Spent]),
) -> Result<(), Fault> {
    ledger.follow_changes(account, changes, others.moment).await?;
    others.activity.count(account, spent).await
}

/// What of each account is known to be complete, and events to publish.
#[derive(Default)]
struct Done {
    spans: BTreeMap<AccountId, Span>,
    events: Vec<(String, Published)>,
    /// Whether an account stands still, because something does not read.
    stands_still: bool,
}

/// Rows of an account, up to a time, and the account after the last.
struct Span {
    account: Account,
    /// How far it was followed before; known once what was lost is recovered.
    seen: Mark,
    /// Whether some of it could not be told or counted: then it is not followed further than it was.
    behind: bool,
    rows: Rows,
    /// What each change left, and what is told of it.
    changes: Vec<Change>,
    /// What was used.
    spent: Vec<Spent>,
    time: DateTime<Utc>,
    /// The place of the first record.
    place: String,
    /// Whether there may be more to spend: credits have arrived, a month has begun, the plan is another one.
    credited: bool,
}

impl Done {
    fn add(&mut self, account: Account, entry: Projected, place: &str) {
        let Projected { rows, receipts, time } = entry;
        let span = self.spans.entry(account.id).or_insert_with(|| Span {
            account: account.clone(),
            seen: Mark::default(),
            behind: false,
            rows: Rows::new(),
            changes: vec![],
            spent: vec![],
            time,
            place: place.to_owned(),
            credited: false,
        });
        span.credited |= account.last.as_ref().is_some_and(pays);
        // What is told goes by one line: batches, the only changes of several, tell nothing.
        let news = receipts.first().and_then(News::of);
        span.changes.push(Change { level: Level::of(&account), news });
        span.spent.extend(receipts.iter().filter_map(Spent::by));
        if span.account.sequence < account.sequence {
            span.account = account;
        }
        span.rows.extend(rows);
        span.time = time.max(span.time);
    }

    /// Tells, counts, publishes and wakes; the earliest place that has to be handled again.
    async fn follow(&mut self, ledger: &Ledger, others: &Others<'_>) -> Option<String> {
        // What the stream has lost comes first: all else goes by the order of an account's changes.
        let lost = self.recover(ledger, others).await;
        // Owners are told, and usage is counted, before the watermarks move: they say how far that is. The bus and
        // queues do not hold them up.
        let failed = [
            lost,
            self.tell_and_count(ledger, others).await,
            self.mark(ledger).await,
            self.publish(others).await,
            self.wake(ledger, others).await,
        ];
        failed.into_iter().flatten().reduce(earlier_of)
    }

    /// Tells the others; the earliest place that has to be handled again if one can't be told.
    async fn wake(&self, ledger: &Ledger, others: &Others<'_>) -> Option<String> {
        let mut again: Option<String> = None;
        for span in self.spans.values() {
            if let Err(error) = wake(ledger, others, span).await {
                if is_unreadable(error.as_ref()) {
                    skipped(span.account.id, error.as_ref());
                    continue;
                }
                tracing::error!(account = %span.account.id, %error, "auto-recharge or renewal could not be told");
                again = again.into_iter().chain([span.place.clone()]).reduce(earlier_of);
            }
        }
        again
    }

    /// Moves the watermarks and chains the rows; the earliest place that has to be handled again if one can't be
    /// moved. Rows that exist are waited for by others, so the watermark goes up to them all the same where somebody
    /// could not be told; and says that they were not.
    async fn mark(&self, ledger: &Ledger) -> Option<String> {
        let mut again: Option<String> = None;
        for (account, Span { seen, behind, rows, time, place, .. }) in &self.spans {
            let through = rows.keys().next_back().copied().unwrap_or_default();
            let followed = if *behind { seen.followed() } else { through };
            let step = WatermarkStep { seen: seen.clone(), through, notified_through: followed };
            if let Err(fault) = ledger.advance_watermark(*account, step, rows, *time).await {
                tracing::error!(%account, fault = &fault as &dyn Error, "a watermark could not be moved");
                again = again.into_iter().chain([place.clone()]).reduce(earlier_of);
            }
        }
        again
    }

    /// Tells owners what follows from the changes of their accounts, and counts usage; the earliest place that has to
    /// be handled again if that is not possible. Where what comes before could not be told or counted, nothing is.
    async fn tell_and_count(&mut self, ledger: &Ledger, others: &Others<'_>) -> Option<String> {
        let mut again: Option<String> = None;
        for (account, span) in self.spans.iter_mut().filter(|(_, span)| !span.behind) {
            if let Err(fault) = follow_changes(ledger, others, *account, (&span.changes, &span.spent)).await {
                span.behind = true;
                if fault.is_unreadable() {
                    self.stands_still = true;
                    skipped(*account, &fault);
                    continue;
                }
                tracing::error!(%account, fault = &fault as &dyn Error, "changes could not be told or counted");
                again = again.into_iter().chain([span.place.clone()]).reduce(earlier_of);
            }
        }
        again
    }

    /// Publishes events; the earliest place that has to be handled again if one can't be published.
    async fn publish(&self, others: &Others<'_>) -> Option<String> {
        if self.events.is_empty() {
            return None;
        }
        let (places, events): (Vec<_>, Vec<_>) = self.events.iter().cloned().unzip();
        let unpublished = others.bus.publish(&events).await.err()?;
        tracing::error!(cause = &unpublished as &dyn Error, "events could not be published");
        let failed = unpublished.places.into_iter().filter_map(|place| places.get(place).cloned());
        failed.reduce(earlier_of)
    }
}

/// Whether there may be more to spend after an entry. A plan that counts nothing down takes credits away, and pays
/// for everything.
fn pays(entry: &Entry) -> bool {
    entry.direction == Direction::Credit || entry.switch.is_some()
}

/// Whether a place in the stream comes after another. Places are numbers of up to 40 digits.
#[must_use]
pub fn is_after(place: &str, other: &str) -> bool {
    (other.len(), other) < (place.len(), place)
}

fn earlier_of(one: String, other: String) -> String {
    if is_after(&one, &other) { other } else { one }
}
