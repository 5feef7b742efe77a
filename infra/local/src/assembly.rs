//! Puts the functions, their app and its queues together, without starting them.

use std::sync::Arc;

use app::stripe;
use axum::Router;
use domain::{AddressPolicy, ExportKey};
use jobs::RenewalTask;
use ports::{FileStore, Mailer, NoFiles};
use scrip_http::{App, CursorKey};
use scrip_payments::simulated::SignedEvent;
use scrip_payments::{Providers, RechargeRequest, Simulated};
use scrip_webhooks::{DeliveryRequest, PostTimeouts, WebhookClient};
use store::{Activity, Ledger, Settings};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use utoipa_axum::router::OpenApiRouter;

use crate::capacity::Meter;
use crate::clock::LocalClock;
use crate::emulation::{
    Background, Delay, InProcessEventBus, InProcessQueue, LocalKms, QueuePort, QueueReceiver, StreamReader,
    check_recharges, deliver_webhooks, in_process_queue, make_exports, run_renewals, send_payment_events,
};
use crate::folder::{SavedState, fresh_key};
use crate::tables::Tables;

/// The routes of each function that answers HTTP, by the name of the function.
pub fn routers() -> Vec<(&'static str, OpenApiRouter<Arc<App>>)> {
    vec![
        ("analytics", analytics::routes()),
        ("balance", balance::routes()),
        ("budgets", budgets::routes()),
        ("catalogue", catalogue::routes()),
        ("clock", clock::routes()),
        ("consume", consume::routes()),
        ("credits", credits::routes()),
        ("exports", exports::routes()),
        ("holds", holds::routes()),
        ("refund", refund::routes()),
        ("transactions", transactions::routes()),
        ("admin", admin::routes()),
        ("payments", payments::routes()),
        ("purchase", purchase::routes()),
        ("sessions", sessions::routes()),
        ("settings", settings::routes()),
        ("statements", statements::routes()),
        ("subscription", subscription::routes()),
        ("team", team::routes()),
        ("webhooks", webhooks::routes()),
    ]
}

/// The routes of all functions.
pub fn functions() -> OpenApiRouter<Arc<App>> {
    routers().into_iter().map(|(_, router)| router).fold(OpenApiRouter::new(), OpenApiRouter::merge)
}

/// The queues of the machine: the ends that messages are sent to.
pub(crate) struct MachineQueues {
    pub(crate) payment_events: InProcessQueue<SignedEvent>,
    recharges: InProcessQueue<RechargeRequest>,
    renewals: InProcessQueue<RenewalTask>,
    deliveries: InProcessQueue<DeliveryRequest>,
    exports: InProcessQueue<ExportKey>,
}

/// The ends of the same queues that messages are taken from.
pub(crate) struct MachineReceivers {
    pub(crate) payment_events: QueueReceiver<SignedEvent>,
    recharges: QueueReceiver<RechargeRequest>,
    renewals: QueueReceiver<RenewalTask>,
    deliveries: QueueReceiver<DeliveryRequest>,
    exports: QueueReceiver<ExportKey>,
}

impl MachineQueues {
    /// New queues: both their ends.
    pub(crate) fn new() -> (Self, MachineReceivers) {
        let (payment_events, payment_events_out) = in_process_queue();
        let (recharges, recharges_out) = in_process_queue();
        let (renewals, renewals_out) = in_process_queue();
        let (deliveries, deliveries_out) = in_process_queue();
        let (exports, exports_out) = in_process_queue();
        let receivers = MachineReceivers {
            payment_events: payment_events_out,
            recharges: recharges_out,
            renewals: renewals_out,
            deliveries: deliveries_out,
            exports: exports_out,
        };
        (Self { payment_events, recharges, renewals, deliveries, exports }, receivers)
    }

    /// The background work of a machine that reads `stream`.
    pub(crate) fn background(self, stream: StreamReader, meter: &Meter) -> Background {
        let Self { payment_events, recharges, renewals, deliveries, exports } = self;
        let (stream, calls) = (Arc::new(Mutex::new(stream)), meter.calls());
        Background { stream, payment_events, recharges, renewals, deliveries, exports, calls }
    }
}

impl MachineReceivers {
    /// Starts a task for each queue, which handles its messages.
    pub(crate) fn run(self, app: &Arc<App>, router: Router) -> JoinSet<()> {
        let mut running = JoinSet::new();
        running.spawn(check_recharges(self.recharges, app.clone()));
        running.spawn(run_renewals(self.renewals, app.clone()));
        running.spawn(deliver_webhooks(self.deliveries, app.clone()));
        running.spawn(make_exports(self.exports, app.clone()));
        running.spawn(send_payment_events(self.payment_events, router));
        running
    }
}

/// What the functions use besides the database and the queues.
pub(crate) struct AppParts {
    clock: Arc<LocalClock>,
    provider: Simulated,
    seal: LocalKms,
    sender: WebhookClient,
    cursors: CursorKey,
    /// Where files of exports are kept; nowhere while a history is made.
    pub(crate) files: Arc<dyn FileStore>,
    /// Sends mails; `None` where none is sent.
    pub(crate) mailer: Option<Arc<dyn Mailer>>,
}

impl AppParts {
    /// The parts of an app on a clock. Makes the keys that are not saved yet.
    pub(crate) fn new(
        clock: Arc<LocalClock>,
        provider: Simulated,
        saved: &mut SavedState,
        limits: PostTimeouts,
    ) -> anyhow::Result<Self> {
        let seal = LocalKms::new(saved.webhook_key.get_or_insert_with(fresh_key))?;
        let cursors = CursorKey::new(saved.cursor_key.get_or_insert_with(fresh_key).clone())?;
        let sender = WebhookClient::new(AddressPolicy::AndLoopback).limited(limits);
        Ok(Self { clock, provider, seal, sender, cursors, files: Arc::new(NoFiles), mailer: None })
    }
}

/// The app that the functions work with: on this machine's tables, clock, payment provider and queues.
pub(crate) fn app(
    config: &aws_sdk_dynamodb::Config,
    parts: AppParts,
    queues: &MachineQueues,
) -> anyhow::Result<Arc<App>> {
    let provider = Arc::new(parts.provider);
    Ok(Arc::new(App {
        ledger: Ledger::new(config, Tables::OWN.ledger),
        settings: Settings::new(config, Tables::OWN.settings),
        activity: Activity::new(config, Tables::OWN.activity),
        clock: parts.clock,
        // With Stripe's keys in the environment, live keys make real payments.
        providers: Providers { live: stripe()?.unwrap_or_else(|| provider.clone()), test: provider },
        recharges: Arc::new(QueuePort::new(queues.recharges.clone(), Delay::Ignored)),
        tasks: Arc::new(QueuePort::new(queues.renewals.clone(), Delay::Ignored)),
        bus: Arc::new(InProcessEventBus(queues.deliveries.clone())),
        deliveries: Arc::new(QueuePort::new(queues.deliveries.clone(), Delay::LeftToItsJob)),
        seal: Arc::new(parts.seal),
        sender: Arc::new(parts.sender),
        files: parts.files,
        exports: Arc::new(QueuePort::new(queues.exports.clone(), Delay::Ignored)),
        dashboard: None,
        is_https: false,
        mailer: parts.mailer,
        cursors: parts.cursors,
    }))
}
