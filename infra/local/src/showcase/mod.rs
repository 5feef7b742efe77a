//! The showcase: an organisation with months of history, for dashboards, statements and forecasts that show something.
//!
//! Time is played back on a clock of its own. Debits are decided by the rules in memory and written many at once;
//! everything else calls the routes at its time. At the end the books are those that the projector would have kept.

mod caller;
mod history;
mod story;
mod traffic;

use std::collections::VecDeque;
use std::io::{Write, stderr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use domain::{AccountId, KeyId, Mode};
use fastrand::Rng;
use http::Method;
use scrip_http::{App, finish};
use scrip_payments::Simulated;
use scrip_payments::simulated::SignedEvent;
use serde_json::{Value, json};
use store::BulkBooks;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use crate::assembly::functions;
use crate::clock::LocalClock;
use crate::demo::DemoKeys;
use crate::emulation::QueueReceiver;
use crate::engine::Engine;
use crate::ops::catch_up_accounts;
use crate::scale::ShowcaseScale;
use crate::tables::LEDGER_TABLE;
use caller::{PastCall, PastCaller};
use history::{History, LedgerInMemory};

/// What the same history is made from each time.
const SEED: u64 = 20_240_115;

/// After how long the progress is printed, again and again.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Where a showcase is made.
pub(crate) struct ShowcaseSite<'a> {
    /// The app, on the clock below.
    pub(crate) app: Arc<App>,
    /// A clock that stands at the beginning of the history.
    pub(crate) clock: Arc<LocalClock>,
    pub(crate) engine: &'a Engine,
    pub(crate) provider: Simulated,
    /// The events of the payment provider.
    pub(crate) payment_events: &'a mut QueueReceiver<SignedEvent>,
    pub(crate) keys: &'a DemoKeys,
    pub(crate) scale: ShowcaseScale,
    /// The port that the machine listens on.
    pub(crate) port: u16,
}

/// Makes the showcase, in an empty database: the organisation, its keys, and its history until `until`.
///
/// # Errors
/// When the database fails, or a rule refuses what the story says.
pub(crate) async fn make(site: ShowcaseSite<'_>, until: DateTime<Utc>) -> anyhow::Result<()> {
    let ShowcaseSite { app, clock, engine, provider, payment_events, keys, scale, port } = site;
    let from = app.clock.now();
    app.settings.load(&crate::catalogue()?).await?;
    keys.install_showcase(&app, scale, app.clock.moment()).await?;
    let showcase = keys.showcase.clone().context("the showcase has no keys")?;
    let org = showcase.organisation()?;
    let router = finish(functions(), app.clone());
    let mut caller = PastCaller { router, clock, calls: 0 };
    let key_ids = issue_keys(&mut caller, keys, &showcase.organisation_id).await?;
    let account = AccountId { org, mode: Mode::Live };
    let ledger = LedgerInMemory {
        account: app.ledger.account(account).await?.context("the showcase has no account")?,
        unwritten: vec![],
        books: BulkBooks::of(account),
        alerts: 0,
        catalogue: app.settings.catalogue(app.clock.moment().wall).await?,
        key_ids,
        recharge: None,
        recent: VecDeque::new(),
        hold: None,
        first_purchase: None,
    };
    let mut random = Rng::with_seed(SEED);
    let story = story::story(from, scale, &mut random);
    let mut history = History {
        app: app.clone(),
        engine,
        provider,
        payment_events,
        caller,
        keys: showcase,
        operator_key: keys.operator_key.clone(),
        scale,
        inbox: format!("http://127.0.0.1:{port}/_local/inbox/showcase"),
        random,
        ledger,
    };
    let mut progress = Progress::of(story.len());
    history.begin().await?;
    for (number, happening) in story.into_iter().enumerate() {
        history.happen(happening).await?;
        progress.at(number);
    }
    history.finish(until).await?;
    // Their warnings would say that the background is late, and it was never awaited.
    Box::pin(do_background_work(&app)).with_subscriber(NoSubscriber::default()).await?;
    // The projector has nothing left to do with these records.
    engine.trim_whole_stream(LEDGER_TABLE)?;
    Ok(())
}

/// Projects the test account, whose ledger the history does not keep itself, and runs the jobs that the history has
/// scheduled.
async fn do_background_work(app: &App) -> anyhow::Result<()> {
    let (others, deliveries) = (app.projection(), app.deliveries.as_ref());
    catch_up_accounts(&app.ledger, &others, deliveries, || app.clock.moment(), &mut |_| ()).await?;
    app.dispatcher().run_due(app.clock.moment()).await?;
    Ok(())
}

/// Issues the API keys of the debits, as the operator.
async fn issue_keys(caller: &mut PastCaller, keys: &DemoKeys, org: &str) -> anyhow::Result<Vec<KeyId>> {
    let path = format!("/admin/v1/organisations/{org}/keys");
    let mut ids = Vec::new();
    for description in ["Production", "Batch imports", "Back office"] {
        let body = json!({ "mode": "live", "description": description });
        let call = PastCall { method: Method::POST, path: &path, key: &keys.operator_key, body };
        let (_, issued) = caller.send(call).await?;
        let id = issued.get("keyId").and_then(Value::as_str).context("a key has no id")?;
        ids.push(KeyId::try_from(id.to_owned())?);
    }
    debug_assert_eq!(ids.len(), traffic::KEYS);
    Ok(ids)
}

/// Prints how far a showcase is, if it takes long.
struct Progress {
    of: usize,
    printed: Instant,
}

impl Progress {
    fn of(of: usize) -> Self {
        Self { of, printed: Instant::now() }
    }

    fn at(&mut self, number: usize) {
        if self.printed.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.printed = Instant::now();
        let text = format!("scrip: making the showcase, {number} of {} transactions\n", self.of);
        if stderr().write_all(text.as_bytes()).is_err() {
            tracing::debug!("the progress has no reader any more");
        }
    }
}
