use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jobs::Task;
use projector::Others;
use scrip_http::App;
use scrip_payments::RechargeRequest;
use scrip_payments::simulated::Notice;
use scrip_webhooks::DeliveryRequest;
use tokio::sync::Mutex;

use crate::follower::Follower;
use crate::lane::{Counts, Lane};

/// How many rounds it may take until stream, events, wakes, tasks and webhooks leave one another alone. A chain of
/// them is a few rounds long.
const ROUNDS_MAX: u32 = 1_000;

/// After how many rounds it is as quiet as it gets while callers keep calling.
const BUSY_ROUNDS: u32 = 2;

/// All that goes on in the background of the machine, each of which may start the others: a record of
/// the stream wakes auto-recharge, which charges, which is told as an event, which moves credits, which has
/// monitors charged, which is an event that is delivered.
#[derive(Clone)]
pub(crate) struct Quiet {
    pub(crate) follower: Arc<Mutex<Follower>>,
    pub(crate) events: Lane<Notice>,
    pub(crate) wakes: Lane<RechargeRequest>,
    pub(crate) tasks: Lane<Task>,
    /// Accounts whose webhooks are to be looked at.
    pub(crate) hooks: Lane<DeliveryRequest>,
    /// How many calls there were from outside.
    pub(crate) calls: Arc<AtomicU64>,
}

impl Quiet {
    /// Returns once nothing goes on, or nothing but what callers begin meanwhile.
    ///
    /// # Errors
    /// When a record of the stream can't be handled, or there is no end to it.
    pub(crate) async fn reach(&self, app: &App) -> anyhow::Result<()> {
        for round in 0..ROUNDS_MAX {
            let (before, calls) = (self.counts(), self.calls.load(Ordering::Relaxed));
            let records = self.follow(app, calls).await?;
            self.events.idle().await;
            self.wakes.idle().await;
            self.tasks.idle().await;
            self.hooks.idle().await;
            // A round in which nothing was sent, done or read: nothing is left that could.
            if records == 0 && before == self.counts() {
                return Ok(());
            }
            if BUSY_ROUNDS <= round && self.calls.load(Ordering::Relaxed) != calls {
                return Ok(());
            }
        }
        anyhow::bail!("stream, events, wakes, tasks and webhooks did not come to rest in {ROUNDS_MAX} rounds")
    }

    /// Handles what the stream has, as far as it goes before somebody calls; how many records that were.
    async fn follow(&self, app: &App, calls: u64) -> anyhow::Result<usize> {
        let mut handled = 0usize;
        loop {
            let records = self.follower.lock().await.step(&app.ledger, &Others::of(app)).await?;
            handled = handled.saturating_add(records);
            if records == 0 || self.calls.load(Ordering::Relaxed) != calls {
                return Ok(handled);
            }
        }
    }

    fn counts(&self) -> [Counts; 4] {
        [self.events.counts(), self.wakes.counts(), self.tasks.counts(), self.hooks.counts()]
    }
}
