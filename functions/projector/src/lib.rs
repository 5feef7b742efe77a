//! The projector: reads the stream of the ledger table and completes what a writer may have left unfinished. Above all,
//! every sequence gets its row, and every row its place in the account's hash chain.

use std::collections::BTreeMap;
use std::error::Error;

use app::App;
use aws_lambda_events::event::dynamodb::Event;
use aws_lambda_events::event::streams::{KinesisBatchItemFailure, KinesisEventResponse};
use chrono::{DateTime, Utc};
use domain::{
    Account, AccountId, AutoRechargeAction, BalanceLevel, Direction, Entry, Notification, UsageRecord,
};
use jobs::RenewalTask;
use lambda_runtime::LambdaEvent;
use ports::{Bus, BusEvent, Queue};
use scrip_payments::RechargeRequest;
use scrip_webhooks::EventEnvelope;
use store::{
    AccountChange, Activity, ChainRows, CompletedEntries, Fault, Ledger, Moment, StreamImage, Watermark,
    WatermarkStep, account_image, event_image,
};

mod recovery;
mod skip;

pub use skip::SKIPPED;
use skip::{is_unreadable, skip, skipped};

/// A record of the stream: its place, and the item after the change.
#[derive(Clone, Debug)]
pub struct Record {
    /// The sequence number of the record in the stream.
    pub place: String,
    /// The item; none if it was deleted.
    pub image: Option<StreamImage>,
}

/// Handles a batch of records.
///
/// # Errors
/// None: the response names the records to deliver again.
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

/// What the projector uses besides the ledger.
#[derive(Clone, Copy)]
pub struct Others<'a> {
    /// The table that usage is counted in.
    pub activity: &'a Activity,
    /// The bus that events are published to.
    pub bus: &'a dyn Bus,
    /// The queue of auto-recharge, for accounts below their threshold.
    pub recharges: &'a dyn Queue<RechargeRequest>,
    /// The queue of renewal, for accounts with monitors that received credits.
    pub tasks: &'a dyn Queue<RenewalTask>,
    /// When the records arrived.
    pub moment: Moment,
}

impl<'a> Others<'a> {
    /// The parts of an app, at the present time.
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

/// The content of a record.
enum RecordContent {
    /// An account after a change, and the rows of the change.
    Account(Box<Account>, CompletedEntries),
    /// An event.
    Event(BusEvent),
    /// Another item, which the projector ignores.
    Nothing,
}

/// Projects records in the order of the stream: completes rows, emits and publishes events, counts usage, and notifies
/// auto-recharge and renewal. Stops at the first record that cannot be handled and returns its place. That record and all
/// later ones are delivered again, because the records of an account must stay in order. A record that is handled twice
/// changes nothing.
///
/// A record that cannot be read, or that needs an item that cannot be read, is skipped, see [`SKIPPED`]. Its account waits
/// until the item is repaired; all other accounts continue.
pub async fn project(
    ledger: &Ledger,
    others: &Others<'_>,
    records: impl IntoIterator<Item = Record>,
) -> Option<String> {
    let mut done = Projection::default();
    let mut again = None;
    for Record { place, image } in records {
        let shown = match show(ledger, image.clone()).await {
            Err(fault) if fault.is_unreadable() => skip(ledger, &place, image, &fault).await,
            shown => shown,
        };
        match shown {
            Ok(RecordContent::Nothing) => (),
            Ok(RecordContent::Account(account, entry)) => done.add(*account, entry, &place),
            Ok(RecordContent::Event(event)) => done.events.push((place, event)),
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
    let failed = done.project_account(ledger, others).await;
    failed.into_iter().chain(again).reduce(earlier_of)
}

/// Projects an account as if a record had just arrived, with everything that was not projected before. For accounts whose
/// stream records were lost. Returns whether it succeeded; the log says why not.
///
/// # Errors
/// When the table cannot be read.
pub async fn project_account(ledger: &Ledger, others: &Others<'_>, account: Account) -> Result<bool, Fault> {
    let Some(projected) = ledger.complete(&account).await? else { return Ok(true) };
    let mut done = Projection::default();
    done.add(account, projected, "");
    let failed = done.project_account(ledger, others).await;
    Ok(failed.is_none() && !done.stands_still)
}

async fn show(ledger: &Ledger, image: Option<StreamImage>) -> Result<RecordContent, Fault> {
    let Some(image) = image else { return Ok(RecordContent::Nothing) };
    if let Some((account, event)) = event_image(image.clone())? {
        return Ok(RecordContent::Event(EventEnvelope::published(account, &event)));
    }
    let Some(account) = account_image(image)? else { return Ok(RecordContent::Nothing) };
    let projected = ledger.complete(&account).await?;
    Ok(projected
        .map_or(RecordContent::Nothing, |projected| RecordContent::Account(account.into(), projected)))
}

/// Notifies auto-recharge and renewal if the account needs them. A superfluous message does nothing.
async fn notify(
    ledger: &Ledger,
    others: &Others<'_>,
    AccountRows { account, credited, .. }: &AccountRows,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    if *credited {
        retry_monitors(ledger, others, account.id).await?;
    }
    let Some(recharge) = ledger.recharge(account.id).await? else { return Ok(()) };
    if recharge.action(account, account.floor().time()) != AutoRechargeAction::Rest {
        others.recharges.send(&RechargeRequest { account: account.id }, 0).await?;
    }
    Ok(())
}

/// Sends a renewal task for the monitors of an account that received credits, if it has monitors.
async fn retry_monitors(
    ledger: &Ledger,
    others: &Others<'_>,
    account: AccountId,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    if ledger.is_monitored(account).await? {
        others.tasks.send(&RenewalTask::Monitors { account, after: None }, 0).await?;
    }
    Ok(())
}

/// Emits the events of changes of an account and counts their usage. Repeating it changes nothing.
async fn emit_changes(
    ledger: &Ledger,
    others: &Others<'_>,
    account: AccountId,
    changes: &[AccountChange],
    spent: &[UsageRecord],
) -> Result<(), Fault> {
    ledger.emit_changes(account, changes, others.moment).await?;
    others.activity.count(account, spent).await
}

/// The rows of each account that are complete, and the events to publish.
#[derive(Default)]
struct Projection {
    spans: BTreeMap<AccountId, AccountRows>,
    events: Vec<(String, BusEvent)>,
    /// Whether an account waits because an item cannot be read.
    stands_still: bool,
}

/// Complete rows of an account, and the account after the last one.
struct AccountRows {
    account: Account,
    /// The watermarks before this batch; known once lost records are recovered.
    watermark: Watermark,
    /// Whether some events could not be emitted or some usage not counted. Then that watermark does not advance.
    behind: bool,
    rows: ChainRows,
    /// The changes, from which events are derived.
    changes: Vec<AccountChange>,
    /// The usage.
    spent: Vec<UsageRecord>,
    time: DateTime<Utc>,
    /// The place of the first record.
    place: String,
    /// Whether the account may be able to spend more: credits, a new month, or another plan.
    credited: bool,
}

impl Projection {
    fn add(&mut self, account: Account, entry: CompletedEntries, place: &str) {
        let CompletedEntries { rows, receipts, time } = entry;
        let span = self.spans.entry(account.id).or_insert_with(|| AccountRows {
            account: account.clone(),
            watermark: Watermark::default(),
            behind: false,
            rows: ChainRows::new(),
            changes: vec![],
            spent: vec![],
            time,
            place: place.to_owned(),
            credited: false,
        });
        span.credited |= account.last.as_ref().is_some_and(pays);
        // One row decides: only batches have several, and they emit no event.
        let notification = receipts.first().and_then(Notification::of);
        span.changes.push(AccountChange { level: BalanceLevel::of(&account), notification });
        span.spent.extend(receipts.iter().filter_map(UsageRecord::by));
        if span.account.sequence < account.sequence {
            span.account = account;
        }
        span.rows.extend(rows);
        span.time = time.max(span.time);
    }

    /// Emits, counts, publishes and notifies. Returns the earliest place to deliver again.
    async fn project_account(&mut self, ledger: &Ledger, others: &Others<'_>) -> Option<String> {
        // Lost records come first, because everything else needs the order of an account's changes.
        let lost = self.recover(ledger, others).await;
        // Emit and count before the watermarks advance, because these record the progress. Failures of the bus or the
        // queues do not delay the watermarks.
        let failed = [
            lost,
            self.emit_and_count(ledger, others).await,
            self.advance_watermarks(ledger).await,
            self.publish(others).await,
            self.notify(ledger, others).await,
        ];
        failed.into_iter().flatten().reduce(earlier_of)
    }

    /// Notifies auto-recharge and renewal. Returns the earliest place to deliver again.
    async fn notify(&self, ledger: &Ledger, others: &Others<'_>) -> Option<String> {
        let mut again: Option<String> = None;
        for span in self.spans.values() {
            if let Err(error) = notify(ledger, others, span).await {
                if is_unreadable(error.as_ref()) {
                    skipped(span.account.id, error.as_ref());
                    continue;
                }
                tracing::error!(account = %span.account.id, %error, "auto-recharge or renewal could not be notified");
                again = again.into_iter().chain([span.place.clone()]).reduce(earlier_of);
            }
        }
        again
    }

    /// Advances the watermarks and chains the rows. Returns the earliest place to deliver again. The row watermark advances
    /// even if notification failed, because retries wait on it; how far owners were notified is recorded separately.
    async fn advance_watermarks(&self, ledger: &Ledger) -> Option<String> {
        let mut again: Option<String> = None;
        for (account, AccountRows { watermark, behind, rows, time, place, .. }) in &self.spans {
            let through = rows.keys().next_back().copied().unwrap_or_default();
            let notified_through = if *behind { watermark.notified_through() } else { through };
            let step = WatermarkStep { watermark: watermark.clone(), through, notified_through };
            if let Err(fault) = ledger.advance_watermark(*account, step, rows, *time).await {
                tracing::error!(%account, fault = &fault as &dyn Error, "a watermark could not be advanced");
                again = again.into_iter().chain([place.clone()]).reduce(earlier_of);
            }
        }
        again
    }

    /// Emits the events of accounts and counts usage, except for accounts whose lost records were not recovered. Returns
    /// the earliest place to deliver again.
    async fn emit_and_count(&mut self, ledger: &Ledger, others: &Others<'_>) -> Option<String> {
        let mut again: Option<String> = None;
        for (account, span) in self.spans.iter_mut().filter(|(_, span)| !span.behind) {
            if let Err(fault) = emit_changes(ledger, others, *account, &span.changes, &span.spent).await {
                span.behind = true;
                if fault.is_unreadable() {
                    self.stands_still = true;
                    skipped(*account, &fault);
                    continue;
                }
                tracing::error!(%account, fault = &fault as &dyn Error, "events could not be emitted or usage not counted");
                again = again.into_iter().chain([span.place.clone()]).reduce(earlier_of);
            }
        }
        again
    }

    /// Publishes events. Returns the earliest place to deliver again.
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

/// Whether an entry may let the account spend more. A change to an unlimited plan is a debit, but the plan pays for
/// everything.
fn pays(entry: &Entry) -> bool {
    entry.direction == Direction::Credit || entry.switch.is_some()
}

/// Whether a place in the stream is after another one. Places are numbers of up to 40 digits.
#[must_use]
pub fn is_after(place: &str, other: &str) -> bool {
    (other.len(), other) < (place.len(), place)
}

fn earlier_of(one: String, other: String) -> String {
    if is_after(&one, &other) { other } else { one }
}
