use chrono::{DateTime, Duration, Utc};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use ports::{Queue, Seal};

use super::{DeliveryRequest, Sender, Told};
use domain::{
    AccountId, Delivery, DeliveryId, DeliveryKind, DeliveryStanding, DeliveryState, Event, Flow, HookPaused,
    Lane, News, Outcome, Webhook, WebhookId,
};
use store::{Activity, Errand, Fault, Ledger, Moment, WebhookKey, random};

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
    pub requests: &'a dyn Queue<DeliveryRequest>,
    /// What time it is.
    pub clock: &'a dyn Now,
}

/// Who knows what time it is.
pub trait Now: Send + Sync {
    /// The time, by both clocks.
    fn now(&self) -> Moment;
}

/// A webhook in our hands: how far it is, and the way on which it is served.
struct Held {
    account: AccountId,
    webhook: WebhookId,
    state: DeliveryState,
    lane: Lane,
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
    /// When a table, a secret or the queue does not serve; then somebody should look again.
    pub async fn look(&self, account: AccountId) -> Result<(), Fault> {
        let webhooks = self.activity.webhooks(account).await?;
        let done = join_all(webhooks.iter().map(|(webhook, _)| self.serve(account, webhook.id))).await;
        done.into_iter().collect()
    }

    async fn serve(&self, account: AccountId, id: WebhookId) -> Result<(), Fault> {
        let end = seconds_on(self.clock.now().wall, WORK_SECONDS);
        for _ in 0..LOOKS_MAX {
            let Some(state) = self.activity.delivery_state(account, id).await? else { return Ok(()) };
            let moment = self.clock.now();
            let state = self.told((account, id), state).await?;
            if !state.is_open(moment.now, moment.wall) {
                return self.wait_a_moment(account, &state, moment).await;
            }
            let (lane, events) = self.due((account, id), &state, moment.now).await?;
            if events.is_empty() {
                return Ok(());
            }
            if end <= moment.wall {
                break;
            }
            // After the feed: whoever wants an event that has just happened has said so before it happened.
            let Some(webhook) = self.activity.webhook(account, id).await? else { return Ok(()) };
            let held = Held { account, webhook: id, state, lane };
            if self.skip(&held, &webhook, &events).await? {
                continue;
            }
            // Who loses it need not wait: whoever has it looks again before they leave.
            let holder = u64::try_from(random() >> 75).unwrap_or(0);
            let leased = held.state.beginning(lane, next_line(moment)).leased(holder, moment.wall);
            let Some(state) = self.activity.save_delivery_state(account, id, &leased).await? else {
                continue;
            };
            if self.deliver(Held { state, ..held }, &events, end).await? == More::No {
                return Ok(());
            }
        }
        Ok(self.requests.send(&DeliveryRequest::Account { account }, 0).await?)
    }

    /// Whoever was called a moment too early, by a clock that is a little ahead of ours, is called again: else
    /// nobody would be.
    async fn wait_a_moment(
        &self,
        account: AccountId,
        state: &DeliveryState,
        moment: Moment,
    ) -> Result<(), Fault> {
        const A_MOMENT_SECONDS: i64 = 5;
        let waits = [Lane::Live, Lane::Replay].into_iter().filter_map(|lane| state.retry_at(lane));
        let wait = waits.map(|at| at.signed_duration_since(moment.now).num_seconds()).min();
        match wait.filter(|wait| state.is_active() && (0..A_MOMENT_SECONDS).contains(wait)) {
            Some(wait) => {
                let wait = u16::try_from(wait.saturating_add(1)).unwrap_or(1);
                Ok(self.requests.send(&DeliveryRequest::Account { account }, wait).await?)
            }
            None => Ok(()),
        }
    }

    /// What an endpoint has not had yet: what is new, else what is to be sent once more.
    async fn due(
        &self,
        (account, id): (AccountId, WebhookId),
        state: &DeliveryState,
        now: DateTime<Utc>,
    ) -> Result<(Lane, Vec<Event>), Fault> {
        if state.may_send(Lane::Live, now) {
            let (events, _) = self.ledger.events(account, state.through, EVENTS_AT_ONCE).await?;
            if !events.is_empty() {
                return Ok((Lane::Live, events));
            }
        }
        let replay = state.replay.filter(|_| state.may_send(Lane::Replay, now));
        let Some(replay) = replay else { return Ok((Lane::Replay, vec![])) };
        let (events, _) = self.ledger.events(account, replay.through, EVENTS_AT_ONCE).await?;
        let events: Vec<_> = events.into_iter().filter(|event| event.number <= replay.last).collect();
        if events.is_empty() {
            // What was left of it is no longer in the feed.
            let over = |known: &DeliveryState| DeliveryState {
                replay: known.replay.filter(|known| known.run != replay.run),
                ..known.clone()
            };
            self.activity.change_delivery_state(account, id, over).await?;
        }
        Ok((Lane::Replay, events))
    }

    /// Passes over events that its owner does not want, up to the first that they do. False when there is none of
    /// them: the first is to be sent.
    async fn skip(&self, held: &Held, webhook: &Webhook, events: &[Event]) -> Result<bool, Fault> {
        let unwanted = events.iter().take_while(|event| !webhook.wants(&event.name));
        let Some(last) = unwanted.last() else { return Ok(false) };
        let past = |known: &DeliveryState| {
            let is_same =
                known.goes_on(held.lane, &held.state) && known.leased_until == held.state.leased_until;
            if is_same { known.past(held.lane, last.number) } else { known.clone() }
        };
        self.activity.change_delivery_state(held.account, held.webhook, past).await?;
        Ok(true)
    }

    /// Sends one event after the other for as long as each is taken, and lets go of the webhook.
    async fn deliver(&self, mut held: Held, events: &[Event], end: DateTime<Utc>) -> Result<More, Fault> {
        let last = events.last().map(|event| event.number);
        let mut passed = None;
        for event in events {
            // As its owner has it now: another address, other events, another secret hold at once.
            let webhook = self.activity.webhook(held.account, held.webhook).await?;
            let Some(webhook) = webhook else { return Ok(More::No) };
            if !webhook.wants(&event.name) {
                passed = Some(event.number);
                // What has failed so far was this one: the next begins with none of it.
                if 0 < held.state.failures(held.lane) {
                    break;
                }
                continue;
            }
            if end <= self.clock.now().wall {
                break;
            }
            let is_last = Some(event.number) == last;
            let Some(state) = self.attempt(&held, &webhook, (event, is_last)).await? else {
                return Ok(More::No);
            };
            let is_stopped = !state.is_active() || state.retry_at(held.lane).is_some();
            let goes_on = state.goes_on(held.lane, &held.state);
            held.state = state;
            passed = None;
            if is_stopped {
                let state = self.told((held.account, held.webhook), held.state).await?;
                // What is sent once more may be due while what is new has to wait.
                let is_due = state.is_active() && state.may_send(Lane::Replay, self.clock.now().now);
                return Ok(if held.lane == Lane::Live && is_due { More::Yes } else { More::No });
            }
            if !goes_on {
                break;
            }
        }
        self.let_go(&held, passed).await?;
        Ok(More::Yes)
    }

    /// Lets go of a webhook, where it is ours still; past events that its owner does not want.
    async fn let_go(&self, held: &Held, passed: Option<u64>) -> Result<(), Fault> {
        let let_go = |known: &DeliveryState| {
            if !known.is_held_by(held.state.holder) {
                return known.clone();
            }
            let goes_on = known.goes_on(held.lane, &held.state);
            let past = passed.filter(|_| goes_on).map(|number| known.past(held.lane, number));
            past.unwrap_or_else(|| known.unbegun(held.lane)).free()
        };
        self.activity.change_delivery_state(held.account, held.webhook, let_go).await.map(|_| ())
    }

    /// One attempt, and what follows from it; how far the webhook then is, or `None` when it is deleted or in
    /// other hands.
    async fn attempt(
        &self,
        held: &Held,
        webhook: &Webhook,
        (event, is_last): (&Event, bool),
    ) -> Result<Option<DeliveryState>, Fault> {
        let Held { account, state, lane, .. } = held;
        let mut delivery = self.begun(held, event).await?;
        let secrets = self.secrets(*account, webhook, self.clock.now().wall).await?;
        let outcome = self.send(webhook, &secrets, &mut delivery).await?;
        let moment = self.clock.now();
        let (chance, following) = (chance(delivery.id, state.failures(*lane)), next_line(moment));
        let after = |known: &DeliveryState| {
            // Begun afresh meanwhile, it is another way that this attempt was not on.
            if !known.goes_on(*lane, state) {
                return known.free();
            }
            let next = known.after((*lane, event.number), outcome, moment.now, chance);
            let goes_on = outcome == Outcome::Taken && next.is_active() && !is_last;
            if !goes_on {
                return next.free();
            }
            next.beginning(*lane, following).leased(state.holder, moment.wall)
        };
        // Before the wait is written down somebody is had to look when it is over.
        let retry_at = after(state).retry_at(*lane);
        if let Some(retry_at) = retry_at {
            self.ledger.note(Errand::Webhooks(*account), retry_at).await?;
        }
        delivery.standing = match (outcome, retry_at) {
            (Outcome::Taken, _) => DeliveryStanding::Succeeded,
            (Outcome::Failed(_) | Outcome::Gone, Some(_)) => DeliveryStanding::Retrying,
            (Outcome::Failed(_) | Outcome::Gone, None) => DeliveryStanding::Failed,
        };
        self.activity
            .log_delivery(WebhookKey { account: *account, id: webhook.id }, &delivery, moment)
            .await?;
        let mut known = Some(state.clone());
        while let Some(found) = known {
            if let Some(saved) =
                self.activity.save_delivery_state(*account, webhook.id, &after(&found)).await?
            {
                let saved_at = saved.retry_at(*lane);
                if let Some(at) = saved_at.filter(|_| saved_at != retry_at) {
                    self.ledger.note(Errand::Webhooks(*account), at).await?;
                }
                self.call_at(*account, saved_at, moment.now).await;
                return Ok(Some(saved));
            }
            // Its owner has changed it meanwhile; somebody else is at work when our lease is not there any more.
            known = self.activity.delivery_state(*account, webhook.id).await?;
            known = known.filter(|known| known.is_held_by(state.holder));
        }
        Ok(None)
    }

    /// The delivery of an event: as the log has it after earlier attempts, or a new one.
    async fn begun(&self, held: &Held, event: &Event) -> Result<Delivery, Fault> {
        let Held { account, webhook, state, lane } = held;
        let kind = match lane {
            Lane::Live => DeliveryKind::Event,
            Lane::Replay => DeliveryKind::Replay,
        };
        let id = state.delivery(*lane).unwrap_or_else(|| next_line(self.clock.now()));
        let known = match state.failures(*lane) {
            0 => None,
            _ => self.activity.delivery(*account, *webhook, id).await?,
        };
        let known = known.filter(|known| known.number == event.number);
        Ok(known.unwrap_or_else(|| self.delivery(id, kind, &Told::of(*account, event))))
    }

    /// Tells its owner that a webhook is no longer delivered to, if they do not know.
    async fn told(
        &self,
        (account, id): (AccountId, WebhookId),
        state: DeliveryState,
    ) -> Result<DeliveryState, Fault> {
        let Some(number) = state.stopped_at else { return Ok(state) };
        let Some(webhook) = self.activity.webhook(account, id).await? else { return Ok(state) };
        let (events, _) = self.ledger.events(account, number.saturating_sub(1), 1).await?;
        let event = events.first().filter(|event| event.number == number);
        let news = News::WebhookPaused(HookPaused {
            webhook: webhook.id,
            url: webhook.url.origin(),
            gone: state.status == Flow::Gone,
            event: event.map(|event| event.id(account)),
            number,
            run: state.run,
        });
        self.ledger.tell(account, &news, self.clock.now()).await?;
        let known = |known: &DeliveryState| DeliveryState { stopped_at: None, ..known.clone() };
        let told = self.activity.change_delivery_state(account, id, known).await?;
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
        if let Err(error) = self.requests.send(&DeliveryRequest::Account { account }, after_seconds).await {
            tracing::warn!(%account, cause = &error as &dyn std::error::Error, "webhooks are left to their errand");
        }
    }
}

fn seconds_on(at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    at.checked_add_signed(Duration::try_seconds(seconds).unwrap_or_default()).unwrap_or(at)
}

/// The line of the log for a delivery that begins now.
pub(super) fn next_line(Moment { now, wall }: Moment) -> DeliveryId {
    DeliveryId::begun(now, wall, random())
}

/// A number below 1,000 that hangs on the attempt alone, so that whoever counts comes to the same.
fn chance(delivery: DeliveryId, failures: u32) -> u16 {
    let digest = Sha256::digest(format!("{delivery}/{failures}"));
    let [high, low, ..] = digest.as_slice() else { return 0 };
    u16::from_be_bytes([*high, *low]).checked_rem(1_000).unwrap_or(0)
}
