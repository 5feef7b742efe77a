use chrono::{DateTime, Duration, Utc};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use super::{Dispatch, Seal, Sender, Told};
use crate::domain::{
    AccountId, Delivery, DeliveryId, DeliveryKind, DeliveryStanding, DeliveryState, Event, EventId, Flow,
    HookPaused, HookSecret, Lane, News, Outcome, Webhook, WebhookId,
};
use crate::store::{Activity, Errand, Fault, Ledger, Moment, random};

/// For how many seconds one look at a webhook begins attempts. With the last of them it ends before the function.
const WORK_SECONDS: i64 = 20;

/// How many events one look into the feed brings.
const EVENTS_AT_ONCE: i32 = 20;

/// How many looks one call takes at one webhook.
const LOOKS_MAX: u32 = 50;

/// The longest that a message of the queue can be held back, in seconds (SQS: 900). What waits longer is found
/// by its errand.
const HELD_BACK_SECONDS_MAX: i64 = 900;

/// Brings events to the endpoints of customers. Each endpoint follows the feed of its account by itself: in
/// order, from where it stopped, once what came before was taken. Whoever calls says only "look": how far each
/// of them is stands in the table, so a call that comes twice, late or for nothing does no harm.
#[derive(Clone, Copy)]
pub struct Courier<'a> {
    /// Where events are.
    pub ledger: &'a Ledger,
    /// Where webhooks are.
    pub activity: &'a Activity,
    /// Who opens their secrets.
    pub seal: &'a dyn Seal,
    /// Who calls.
    pub sender: &'a Sender,
    /// Who has somebody look again.
    pub dispatch: &'a dyn Dispatch,
    /// What time it is.
    pub clock: &'a dyn Now,
}

/// Who knows what time it is.
pub trait Now: Send + Sync {
    /// The time, by both clocks.
    fn now(&self) -> Moment;
}

/// A webhook in our hands.
struct Held<'a> {
    account: AccountId,
    webhook: &'a Webhook,
    secrets: Vec<HookSecret>,
    state: DeliveryState,
}

/// Whether a webhook has more to be sent now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

impl Courier<'_> {
    /// Delivers what the webhooks of an account have not had yet; each as far as it goes, none waits for
    /// another.
    ///
    /// # Errors
    /// When a table or a secret does not serve; then somebody should look again.
    pub async fn look(&self, account: AccountId) -> Result<(), Fault> {
        let webhooks = self.activity.webhooks(account).await?;
        let done = join_all(webhooks.iter().map(|(webhook, _)| self.serve(account, webhook.id))).await;
        done.into_iter().collect()
    }

    async fn serve(&self, account: AccountId, id: WebhookId) -> Result<(), Fault> {
        let end = self.seconds_on(self.clock.now().wall, WORK_SECONDS);
        for _ in 0..LOOKS_MAX {
            let Some(webhook) = self.activity.webhook(account, id).await? else { return Ok(()) };
            let Some(state) = self.activity.delivery_state(account, id).await? else { return Ok(()) };
            let state = self.told(account, &webhook, state).await?;
            let moment = self.clock.now();
            if !state.is_open(moment.now, moment.wall) {
                return Ok(());
            }
            let events = self.due((account, id), &state).await?;
            if events.is_empty() {
                return Ok(());
            }
            if end <= moment.wall {
                break;
            }
            if self.skip((account, &webhook), &events).await? {
                continue;
            }
            // Who loses it need not wait: whoever has it looks again before they leave.
            let holder = u64::try_from(random() >> 75).unwrap_or(0);
            let leased = state.leased(holder, moment.wall);
            let Some(state) = self.activity.save_delivery_state(account, id, &leased).await? else {
                continue;
            };
            let secrets = self.secrets(account, &webhook, moment.wall).await?;
            let held = Held { account, webhook: &webhook, secrets, state };
            if self.deliver(held, &events, end).await? == More::No {
                return Ok(());
            }
        }
        self.call_again(account, 0).await;
        Ok(())
    }

    /// What an endpoint has not had yet: what is new, else what is to be sent once more.
    async fn due(
        &self,
        (account, id): (AccountId, WebhookId),
        state: &DeliveryState,
    ) -> Result<Vec<(Lane, Event)>, Fault> {
        let (events, _) = self.ledger.events(account, state.through, EVENTS_AT_ONCE).await?;
        if !events.is_empty() {
            return Ok(events.into_iter().map(|event| (Lane::Live, event)).collect());
        }
        let Some(replay) = state.replay else { return Ok(vec![]) };
        let (events, _) = self.ledger.events(account, replay.through, EVENTS_AT_ONCE).await?;
        let events: Vec<_> = events.into_iter().filter(|event| event.number <= replay.last).collect();
        if events.is_empty() {
            // What was left of it is no longer in the feed.
            let over = |known: &DeliveryState| DeliveryState {
                replay: known.replay.filter(|known| *known != replay),
                ..known.clone()
            };
            self.activity.change_delivery_state(account, id, over).await?;
        }
        Ok(events.into_iter().map(|event| (Lane::Replay, event)).collect())
    }

    /// Passes over events of which its owner wants none; false when there is one that they want.
    async fn skip(
        &self,
        (account, webhook): (AccountId, &Webhook),
        events: &[(Lane, Event)],
    ) -> Result<bool, Fault> {
        let Some((lane, last)) = events.last() else { return Ok(true) };
        if events.iter().any(|(_, event)| webhook.wants(&event.name)) {
            return Ok(false);
        }
        let past = |known: &DeliveryState| known.past(*lane, last.number);
        self.activity.change_delivery_state(account, webhook.id, past).await?;
        Ok(true)
    }

    /// Sends one event after the other for as long as each is taken, and lets go of the webhook.
    async fn deliver(
        &self,
        mut held: Held<'_>,
        events: &[(Lane, Event)],
        end: DateTime<Utc>,
    ) -> Result<More, Fault> {
        let mut unsaved = false;
        let last = events.last().map(|(_, event)| event.number);
        for (lane, event) in events {
            if !held.webhook.wants(&event.name) {
                held.state = held.state.past(*lane, event.number);
                unsaved = true;
                continue;
            }
            if end <= self.clock.now().wall {
                break;
            }
            let Some(state) = self.attempt(&held, (*lane, event), Some(event.number) == last).await? else {
                return Ok(More::No);
            };
            let is_stopped = state.status != Flow::Active || state.retry_at.is_some();
            held.state = state;
            unsaved = false;
            if is_stopped {
                self.told(held.account, held.webhook, held.state).await?;
                return Ok(More::No);
            }
        }
        let skipped = held.state.clone();
        let let_go = |known: &DeliveryState| {
            let through = if unsaved { known.through.max(skipped.through) } else { known.through };
            let replay = if unsaved { skipped.replay } else { known.replay };
            DeliveryState { through, replay, ..known.free() }
        };
        self.activity.change_delivery_state(held.account, held.webhook.id, let_go).await?;
        Ok(More::Yes)
    }

    /// One attempt, and what follows from it; how far the webhook then is, or `None` when it is deleted or in
    /// other hands.
    async fn attempt(
        &self,
        held: &Held<'_>,
        (lane, event): (Lane, &Event),
        is_last: bool,
    ) -> Result<Option<DeliveryState>, Fault> {
        let Held { account, webhook, state, .. } = held;
        let mut delivery = self.begun(held, (lane, event)).await?;
        let outcome = self.send(webhook, &held.secrets, &mut delivery).await?;
        let moment = self.clock.now();
        let chance = chance(delivery.id, state.failures);
        let holder = state.holder;
        let after = |known: &DeliveryState| {
            let next = known.after((lane, event.number), outcome, moment.now, chance);
            let goes_on = outcome == Outcome::Taken && next.is_active() && !is_last;
            if goes_on { next.leased(holder, moment.wall) } else { next.free() }
        };
        // Before the wait is written down somebody is had to look when it is over.
        let next = after(state);
        if let Some(retry_at) = next.retry_at {
            self.ledger.note(Errand::Webhooks(*account), retry_at).await?;
        }
        delivery.next = next.retry_at;
        delivery.standing = match (outcome, next.retry_at) {
            (Outcome::Taken, _) => DeliveryStanding::Succeeded,
            (Outcome::Failed(_) | Outcome::Gone, Some(_)) => DeliveryStanding::Retrying,
            (Outcome::Failed(_) | Outcome::Gone, None) => DeliveryStanding::Failed,
        };
        self.activity.log_delivery((*account, webhook.id), &delivery, moment).await?;
        let mut known = Some(state.clone());
        while let Some(state) = known {
            if let Some(saved) =
                self.activity.save_delivery_state(*account, webhook.id, &after(&state)).await?
            {
                self.call_at(*account, saved.retry_at, moment.now).await;
                return Ok(Some(saved));
            }
            // Its owner has changed it meanwhile; somebody else is at work when our lease is not there any more.
            known = self.activity.delivery_state(*account, webhook.id).await?;
            known = known.filter(|known| known.is_held_by(holder));
        }
        Ok(None)
    }

    /// The delivery of an event: as the log has it after earlier attempts, or a new one.
    async fn begun(&self, held: &Held<'_>, (lane, event): (Lane, &Event)) -> Result<Delivery, Fault> {
        let Held { account, webhook, state, .. } = held;
        let (kind, at) = match (lane, state.replay) {
            (Lane::Replay, Some(replay)) => (DeliveryKind::Replay, replay.at),
            (Lane::Replay | Lane::Live, _) => (DeliveryKind::Event, event.at),
        };
        let id = DeliveryId::of(*account, webhook.id, (event.number, state.run), at);
        let known = match state.failures {
            0 => None,
            _ => self.activity.delivery(*account, webhook.id, id).await?,
        };
        Ok(known.unwrap_or_else(|| self.delivery(id, (kind, at), &Told::of(*account, event))))
    }

    /// Tells its owner that a webhook is no longer delivered to, if they do not know.
    async fn told(
        &self,
        account: AccountId,
        webhook: &Webhook,
        state: DeliveryState,
    ) -> Result<DeliveryState, Fault> {
        let Some(number) = state.stopped_at else { return Ok(state) };
        let (events, _) = self.ledger.events(account, number.saturating_sub(1), 1).await?;
        let at = events.first().map_or(webhook.created_at, |event| event.at);
        let news = News::WebhookPaused(HookPaused {
            webhook: webhook.id,
            url: webhook.url.to_string(),
            gone: state.status == Flow::Gone,
            event: EventId::of(account, number, at),
            number,
            run: state.run,
        });
        self.ledger.tell(account, &news, self.clock.now()).await?;
        let known = |known: &DeliveryState| DeliveryState { stopped_at: None, ..known.clone() };
        let told = self.activity.change_delivery_state(account, webhook.id, known).await?;
        Ok(told.unwrap_or(state))
    }

    /// Has somebody look when a wait is over that the queue can hold a message back for. Longer ones, and
    /// messages that are lost, are what errands are for.
    async fn call_at(&self, account: AccountId, at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let Some(at) = at else { return };
        // A little later than due, so that it is due by then.
        let wait = at.signed_duration_since(now).num_seconds().saturating_add(1);
        if wait <= HELD_BACK_SECONDS_MAX {
            self.call_again(account, u16::try_from(wait).unwrap_or(0)).await;
        }
    }

    async fn call_again(&self, account: AccountId, after_seconds: u16) {
        if let Err(undispatched) = self.dispatch.dispatch(account, after_seconds).await {
            tracing::warn!(%account, cause = &undispatched as &dyn std::error::Error, "webhooks are left to their errand");
        }
    }

    fn seconds_on(&self, at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
        at.checked_add_signed(Duration::try_seconds(seconds).unwrap_or_default()).unwrap_or(at)
    }
}

/// A number below 1,000 that hangs on the attempt alone, so that whoever counts comes to the same.
fn chance(delivery: DeliveryId, failures: u32) -> u16 {
    let digest = Sha256::digest(format!("{delivery}/{failures}"));
    let [high, low, ..] = digest.as_slice() else { return 0 };
    u16::from_be_bytes([*high, *low]).checked_rem(1_000).unwrap_or(0)
}
