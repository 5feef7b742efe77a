//! Starts and stops the local machine: assembles the database, the functions and the emulated services.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use chrono::SubsecRound;
use scrip_http::{App, Clock, describe, finish, timestamp};
use scrip_webhooks::PostTimeouts;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::assembly::{AppParts, app, functions};
use crate::capacity::{Meter, ROUTE};
use crate::clock::LocalClock;
use crate::demo::{DemoKeys, fill};
use crate::emulation::{Mailbox, Scheduler, StreamReader, ask_for_reversals, deliver_to_all, release_leases};
use crate::engine::Engine;
use crate::files::LocalFiles;
use crate::first_start::{FirstStart, Foundation};
use crate::folder::{SavedState, StateFile, fresh_key, keep_private};
use crate::inbox::Inbox;
use crate::options::{DataLocation, Options, Seed};
use crate::routes::routes;
use crate::state::MachineState;
use crate::tables::LEDGER_TABLE;

/// A running local machine. It stops when it is dropped.
pub struct LocalMachine {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Keys to call it with.
    pub keys: DemoKeys,
    running: JoinSet<()>,
    state: MachineState,
}

impl LocalMachine {
    /// Starts a machine: opens the database, creates the tables, loads the data that an empty database starts with, and
    /// listens.
    ///
    /// # Errors
    /// When the port is taken, the data is in use or invalid, or the database fails. The message says what to do.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        Self::start_with(options, PostTimeouts::default()).await
    }

    /// Starts a machine with limits for calls of webhooks that differ from the deployed ones.
    ///
    /// # Errors
    /// As [`LocalMachine::start`].
    pub async fn start_with(options: Options, limits: PostTimeouts) -> anyhow::Result<Self> {
        let listener = listen(options.port).await?;
        let address = listener.local_addr()?;
        let (file, mut saved) = saved_state(&options)?;
        let clock = start_clock(&options, &saved)?;
        let meter = Meter::default();
        let start = FirstStart { options: &options, address, until: clock.now(), limits };
        let Foundation { database, config, queues, receivers, provider } =
            start.foundation(&mut saved, &file, &meter).await?;
        let secret = saved.file_key.get_or_insert_with(fresh_key);
        let files = LocalFiles::open(options.folder().as_deref(), format!("http://{address}"), secret)?;
        let mut parts = AppParts::new(clock.clone(), provider.clone(), &mut saved, limits)?;
        parts.files = Arc::new(files.clone());
        let mailbox = Mailbox::default();
        if options.mail {
            parts.mailer = Some(Arc::new(mailbox.clone()));
        }
        let app = app(&config, parts, &queues)?;
        app.settings.load(&crate::catalogue()?).await?;
        let keys = load_seed(&app, &options, &mut saved, &file).await?;
        if database.engine.is_some() {
            release_leases(&app).await?;
        }
        ask_for_reversals(&app).await;
        saved.now = clock.stands_at();
        file.write(&saved)?;
        let stream = StreamReader::new(database.streams, LEDGER_TABLE, database.engine.clone()).await?;
        let background = queues.background(stream, &meter);
        let saved = Arc::new(Mutex::new(saved));
        let (renewals, turn) = (Arc::default(), Arc::default());
        let scheduler = Scheduler { app: app.clone(), clock, background, renewals, turn, saved, file };
        let functions = functions();
        let openapi = Arc::new(describe(functions.get_openapi())?);
        let (port, inbox) = (address.port(), Inbox::default());
        let state =
            MachineState { port, scheduler, provider, files, inbox, mailbox, meter: meter.clone(), openapi };
        meter.reset();
        let router = finish(functions.merge(routes(state.clone()).into()), app.clone());
        let router = router.layer(from_fn_with_state(meter, measure));
        let mut running = receivers.run(&app, router.clone());
        running.spawn(read_stream(app.clone(), state.scheduler.background.stream.clone()));
        if let Some(engine) = database.engine {
            running.spawn(sweep(engine, state.scheduler.clock.clone()));
        }
        deliver_to_all(&app, &state.scheduler.background.deliveries).await?;
        running.spawn(state.scheduler.clone().run());
        running.spawn(serve(listener, router));
        Ok(Self { address, keys, running, state })
    }

    /// Sets the clock without running due work, as if the scheduler were stopped. For tests.
    ///
    /// # Errors
    /// When `until` lies before the clock's time.
    pub fn set_clock_without_scheduler(&self, until: chrono::DateTime<chrono::Utc>) -> anyhow::Result<()> {
        self.state.scheduler.clock.set(|_| until)?;
        Ok(())
    }

    /// Stops the reader of the stream for as long as the returned guard lives. Its records are handled later. For tests.
    pub async fn pause_stream(&self) -> impl Sized + use<> {
        self.state.scheduler.background.stream.clone().lock_owned().await
    }

    /// The time at which its clock stands still; `None` while it runs.
    #[must_use]
    pub fn stands_at(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        self.state.scheduler.clock.stands_at()
    }

    /// The URL that it answers at.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> &MachineState {
        &self.state
    }

    /// Stops it, and unlocks the data.
    ///
    /// # Errors
    /// When the time can't be written to the data folder.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.running.shutdown().await;
        let scheduler = &self.state.scheduler;
        let mut saved = scheduler.saved.lock().await;
        saved.seen = Some(scheduler.clock.now());
        scheduler.file.write(&saved)
    }
}

/// The state that earlier starts have saved, in a folder that only its owner can read.
fn saved_state(options: &Options) -> anyhow::Result<(StateFile, SavedState)> {
    let folder = options.folder();
    folder.as_deref().map_or(Ok(()), keep_private)?;
    let file = StateFile::new(folder.as_deref());
    let saved = file.begin()?;
    Ok((file, saved))
}

impl Options {
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match &self.data {
            DataLocation::Folder(folder) => Some(folder.clone()),
            DataLocation::Memory => None,
        }
    }
}

/// Loads the data that an empty database starts with, and returns the keys to call the machine with.
async fn load_seed(
    app: &App,
    options: &Options,
    saved: &mut SavedState,
    file: &StateFile,
) -> anyhow::Result<DemoKeys> {
    let moment = app.clock.moment();
    let keys = match &saved.keys {
        Some(keys) => keys.clone(),
        None => DemoKeys::fresh(options.seed != Seed::Empty, moment.now)?,
    };
    saved.keys = Some(keys.clone());
    // Save the keys first, so that data made with them never exists without them.
    file.write(saved)?;
    keys.install(app, moment).await?;
    fill(app, &keys, moment).await?;
    saved.seen = Some(moment.now);
    Ok(keys)
}

/// The clock, set to the time of the options or of the saved state. Fails if that is before the last use of the data.
fn start_clock(options: &Options, saved: &SavedState) -> anyhow::Result<Arc<LocalClock>> {
    let clock = LocalClock::new(options.now.or(saved.now));
    if let Some(seen) = saved.seen.max(saved.now).map(|seen| seen.trunc_subsecs(0)) {
        let seen_text = timestamp::text(&seen);
        anyhow::ensure!(
            clock.now() >= seen,
            "the data was last used at {seen_text} and its clock does not go back; \
             choose a --now that is not earlier, or another --data folder"
        );
    }
    Ok(Arc::new(clock))
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
        format!("port {port} is taken; stop what listens there, or run with --port 0 for a free one")
    })
}

async fn serve(listener: TcpListener, router: Router) {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(listener, service).await {
        tracing::error!(%error, "the server ended");
    }
}

async fn read_stream(app: Arc<App>, stream: Arc<Mutex<StreamReader>>) {
    StreamReader::run(&stream, &app).await;
}

/// Deletes expired items every ten minutes, as DynamoDB does. The engine compares them with real time, so nothing is
/// deleted while the machine's clock stands still: a claim must not be deleted too early.
async fn sweep(engine: Engine, clock: Arc<LocalClock>) {
    const EVERY: std::time::Duration = std::time::Duration::from_secs(600);
    loop {
        tokio::time::sleep(EVERY).await;
        if clock.stands_at().is_none() {
            let engine = engine.clone();
            match tokio::task::spawn_blocking(move || engine.sweep_ttl()).await {
                Ok(Ok(_)) => (),
                Ok(Err(error)) => tracing::warn!(%error, "expired items were not swept"),
                Err(error) => tracing::warn!(%error, "expired items were not swept"),
            }
        }
    }
}

/// Counts a call under its route.
async fn measure(State(meter): State<Meter>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(path) = path.filter(|path| !path.starts_with("/_local/")) else {
        return next.run(request).await;
    };
    let route = format!("{} {path}", request.method());
    meter.called(&route);
    ROUTE.scope(route, next.run(request)).await
}
