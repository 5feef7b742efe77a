//! Waits until the machine has no more background work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::ExportKey;
use jobs::RenewalTask;
use scrip_http::App;
use scrip_payments::RechargeRequest;
use scrip_payments::simulated::SignedEvent;
use scrip_webhooks::DeliveryRequest;
use tokio::sync::Mutex;

use super::queue::{InProcessQueue, QueueCounts};
use super::stream::{StreamReader, projection};

/// How many passes it may take until the stream and the queues are empty. A chain of work that starts other work is a few
/// passes long.
const PASSES_MAX: u32 = 1_000;

/// The maximum number of passes while callers keep calling.
const BUSY_PASSES: u32 = 2;

/// The background work of the machine. Each kind can start another: a record of the stream starts auto-recharge, whose
/// charge sends a payment event, which moves credits, for which a monitor is charged, which emits an event that is
/// delivered.
#[derive(Clone)]
pub(crate) struct Background {
    pub(crate) stream: Arc<Mutex<StreamReader>>,
    pub(crate) payment_events: InProcessQueue<SignedEvent>,
    pub(crate) recharges: InProcessQueue<RechargeRequest>,
    pub(crate) renewals: InProcessQueue<RenewalTask>,
    pub(crate) deliveries: InProcessQueue<DeliveryRequest>,
    pub(crate) exports: InProcessQueue<ExportKey>,
    /// How many calls of the API there were.
    pub(crate) calls: Arc<AtomicU64>,
}

impl Background {
    /// Returns once all work is done, except what callers start meanwhile.
    ///
    /// # Errors
    /// When a record of the stream can't be handled, or the work has no end.
    pub(crate) async fn wait_until_idle(&self, app: &App) -> anyhow::Result<()> {
        for pass in 0..PASSES_MAX {
            let (before, calls) = (self.counts(), self.calls.load(Ordering::Relaxed));
            let records = self.read_stream(app, calls).await?;
            self.payment_events.wait_until_idle().await;
            self.recharges.wait_until_idle().await;
            self.renewals.wait_until_idle().await;
            self.deliveries.wait_until_idle().await;
            self.exports.wait_until_idle().await;
            // A pass in which nothing was read or sent leaves nothing that could start other work.
            if records == 0 && before == self.counts() {
                return Ok(());
            }
            if BUSY_PASSES <= pass && self.calls.load(Ordering::Relaxed) != calls {
                return Ok(());
            }
        }
        anyhow::bail!("the stream and the queues did not come to rest in {PASSES_MAX} passes")
    }

    /// Handles the records of the stream until there are none, or a caller calls; returns how many there were.
    async fn read_stream(&self, app: &App, calls: u64) -> anyhow::Result<usize> {
        let mut handled = 0usize;
        loop {
            let records = self.stream.lock().await.step(&app.ledger, &projection(app)).await?;
            handled = handled.saturating_add(records);
            if records == 0 || self.calls.load(Ordering::Relaxed) != calls {
                return Ok(handled);
            }
        }
    }

    fn counts(&self) -> [QueueCounts; 5] {
        [
            self.payment_events.counts(),
            self.recharges.counts(),
            self.renewals.counts(),
            self.deliveries.counts(),
            self.exports.counts(),
        ]
    }
}
