use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use app::stripe;
use aws::Connection;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use chrono::SubsecRound;
use domain::Reach;
use jobs::Task;
use scrip_http::{App, Clock, CursorKey, describe, finish, instant};
use scrip_payments::RechargeRequest;
use scrip_payments::{Providers, Simulated};
use scrip_webhooks::DeliveryRequest;
use scrip_webhooks::{Limits, Sender};
use store::{Activity, Ledger, Settings};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use utoipa_axum::router::OpenApiRouter;

use crate::capacity::{Meter, ROUTE};
use crate::clock::LocalClock;
use crate::couriers::{LocalBus, carry, look_at_all};
use crate::deliveries::deliver;
use crate::demo::{Keys, fill};
use crate::duties;
use crate::engine::Engine;
use crate::folder::{Memory, MemoryFile, keep_private};
use crate::follower::Follower;
use crate::inbox::Inbox;
use crate::lane::{Delay, InProcess, Lane, lane};
use crate::options::{Data, Options, Seed};
use crate::quiet::Quiet;
use crate::routes::{Local, routes};
use crate::schedule::House;
use crate::seal::{LocalSeal, fresh_key};
use crate::tables::{LEDGER_TABLE, Tables, create};
use crate::tasks::perform;
use crate::wakes::consume;

/// The local machine, up and answering. It ends when it is dropped.
pub struct Machine {
    /// Where it listens.
    pub address: SocketAddr,
    /// Keys to call it with.
    pub keys: Keys,
    running: JoinSet<()>,
    local: Local,
}

/// The routes of every function that answers HTTP.
pub fn functions() -> OpenApiRouter<Arc<App>> {
    balance::routes()
        .merge(catalogue::routes())
        .merge(clock::routes())
        .merge(consume::routes())
        .merge(holds::routes())
        .merge(refund::routes())
        .merge(transactions::routes())
        .merge(admin::routes())
        .merge(payments::routes())
        .merge(purchase::routes())
        .merge(settings::routes())
        .merge(subscription::routes())
        .merge(webhooks::routes())
}

/// A database: the embedded engine, or another one.
struct Database {
    engine: Option<Engine>,
    ledger: aws_sdk_dynamodb::config::Builder,
    streams: aws_sdk_dynamodbstreams::Client,
}

impl Machine {
    /// Starts it: opens the database, makes the tables, loads what an empty one begins with, and
    /// listens.
    ///
    /// # Errors
    /// When the port is taken, the data is in use or does not read, or the database refuses. The
    /// message says what to do.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        Self::start_with(options, Limits::default()).await
    }

    /// The same, with other limits for calls of webhooks than those that are deployed.
    ///
    /// # Errors
    /// As [`Machine::start`].
    pub async fn start_with(options: Options, limits: Limits) -> anyhow::Result<Self> {
        let listener = listen(options.port).await?;
        let address = listener.local_addr()?;
        let (file, mut memory) = remembered(&options)?;
        let database = Database::open(&options)?;
        let meter = Meter::default();
        let config = database.ledger.interceptor(meter.clone()).build();
        create(&aws_sdk_dynamodb::Client::from_conf(config.clone()), Tables::OWN).await?;
        let clock = start_clock(&options, &memory)?;
        let ((events, to_deliver), (wakes, to_attend), (tasks, to_do)) = (lane(), lane(), lane());
        let (hooks, to_carry) = lane();
        let payments_url = format!("http://{address}/_local/payments");
        let company = crate::payments::open(options.folder().as_deref(), payments_url, events.clone())?;
        let queues = Queues { wakes: wakes.clone(), tasks: tasks.clone(), hooks: hooks.clone() };
        let parts = Parts::new(clock.clone(), company.clone(), (&mut memory, limits))?;
        let app = app(&config, parts, queues)?;
        app.settings.load(&crate::catalogue()?).await?;
        let keys = furnish(&app, &options, (&mut memory, &file)).await?;
        if database.engine.is_some() {
            duties::free(&app).await?;
        }
        duties::look_for_reversals(&app).await;
        memory.now = clock.stands_at();
        file.write(&memory)?;
        let follower = Follower::new(database.streams, LEDGER_TABLE, database.engine.clone()).await?;
        let follower = Arc::new(Mutex::new(follower));
        let functions = functions();
        let openapi = describe(functions.get_openapi())?;
        let local = Local {
            port: address.port(),
            clock,
            quiet: Quiet { follower, events, wakes, tasks, hooks, calls: meter.calls() },
            inbox: Inbox::default(),
            rounds: Arc::default(),
            company,
            turn: Arc::default(),
            meter: meter.clone(),
            memory: Arc::new(Mutex::new(memory)),
            file,
            openapi: Arc::new(openapi),
        };
        meter.reset();
        let mut running = JoinSet::new();
        running.spawn(follow(app.clone(), local.quiet.follower.clone()));
        if let Some(engine) = database.engine {
            running.spawn(sweep(engine, local.clock.clone()));
        }
        running.spawn(consume(to_attend, app.clone()));
        running.spawn(perform(to_do, app.clone()));
        running.spawn(carry(to_carry, app.clone()));
        look_at_all(&app, &local.quiet.hooks).await?;
        running.spawn(House { app: app.clone(), local: local.clone() }.run());
        let router = finish(functions.merge(routes(local.clone()).into()), app);
        let router = router.layer(from_fn_with_state(meter, measure));
        running.spawn(deliver(to_deliver, router.clone()));
        running.spawn(serve(listener, router));
        Ok(Self { address, keys, running, local })
    }

    /// Sets the clock, and does nothing that falls due: as if the scheduler slept.
    ///
    /// # Errors
    /// When it would go back.
    pub fn oversleep(&self, until: chrono::DateTime<chrono::Utc>) -> anyhow::Result<()> {
        self.local.clock.set(|_| until)?;
        Ok(())
    }

    /// Has nobody follow the stream for as long as the answer is kept: what is written meanwhile is followed later, by
    /// whoever settles or by the machine itself.
    pub async fn hold_the_stream(&self) -> impl Sized + use<> {
        self.local.quiet.follower.clone().lock_owned().await
    }

    /// The URL that it answers at.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[cfg(test)]
    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// Ends it, and lets go of the data.
    ///
    /// # Errors
    /// When the time can't be noted in the data folder.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.running.shutdown().await;
        let mut memory = self.local.memory.lock().await;
        memory.seen = Some(self.local.clock.now());
        self.local.file.write(&memory)
    }
}

/// The queues within the process.
struct Queues {
    wakes: Lane<RechargeRequest>,
    tasks: Lane<Task>,
    hooks: Lane<DeliveryRequest>,
}

/// What an app of this machine is made of beside its database and its queues.
struct Parts {
    clock: Arc<LocalClock>,
    company: Simulated,
    seal: LocalSeal,
    sender: Sender,
    cursors: CursorKey,
}

impl Parts {
    fn new(
        clock: Arc<LocalClock>,
        company: Simulated,
        (memory, limits): (&mut Memory, Limits),
    ) -> anyhow::Result<Self> {
        let seal = LocalSeal::new(memory.webhook_key.get_or_insert_with(fresh_key))?;
        let cursors = CursorKey::new(memory.cursor_key.get_or_insert_with(fresh_key).clone())?;
        let sender = Sender::new(Reach::AndLoopback).limited(limits);
        Ok(Self { clock, company, seal, sender, cursors })
    }
}

/// What is remembered of earlier starts, in a folder that nobody else may read.
fn remembered(options: &Options) -> anyhow::Result<(MemoryFile, Memory)> {
    let folder = options.folder();
    folder.as_deref().map_or(Ok(()), keep_private)?;
    let file = MemoryFile::new(folder.as_deref());
    let memory = file.begin()?;
    Ok((file, memory))
}

/// What the functions work with: on this machine's tables, clock, company and queues.
fn app(config: &aws_sdk_dynamodb::Config, parts: Parts, queues: Queues) -> anyhow::Result<Arc<App>> {
    let provider = Arc::new(parts.company);
    Ok(Arc::new(App {
        ledger: Ledger::new(config, Tables::OWN.ledger),
        settings: Settings::new(config, Tables::OWN.settings),
        activity: Activity::new(config, Tables::OWN.activity),
        clock: parts.clock,
        // With keys of Stripe in the environment, real payments are made there.
        providers: Providers { live: stripe()?.unwrap_or_else(|| provider.clone()), test: provider },
        recharges: Arc::new(InProcess::new(queues.wakes, Delay::Ignored)),
        tasks: Arc::new(InProcess::new(queues.tasks, Delay::Ignored)),
        bus: Arc::new(LocalBus(queues.hooks.clone())),
        deliveries: Arc::new(InProcess::new(queues.hooks, Delay::LeftToItsJob)),
        seal: Arc::new(parts.seal),
        sender: Arc::new(parts.sender),
        cursors: parts.cursors,
    }))
}

impl Options {
    fn folder(&self) -> Option<PathBuf> {
        match &self.data {
            Data::Folder(folder) => Some(folder.clone()),
            Data::Memory => None,
        }
    }
}

impl Database {
    fn open(options: &Options) -> anyhow::Result<Self> {
        if let Some(endpoint) = &options.endpoint {
            return Ok(Self::elsewhere(endpoint));
        }
        let engine = match &options.data {
            Data::Folder(folder) => Engine::open(folder)?,
            Data::Memory => Engine::temporary()?,
        };
        Ok(Self {
            ledger: engine.dynamodb_config(),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(engine.streams_config().build()),
            engine: Some(engine),
        })
    }

    fn elsewhere(endpoint: &str) -> Self {
        use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Credentials, Region};

        let variable =
            |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
        let connection = Connection {
            region: variable("AWS_REGION", "us-east-1"),
            access_key: variable("AWS_ACCESS_KEY_ID", "local"),
            secret_key: variable("AWS_SECRET_ACCESS_KEY", "local"),
            session_token: std::env::var("AWS_SESSION_TOKEN").ok(),
            endpoint: Some(endpoint.to_owned()),
        };
        let credentials = Credentials::new(
            connection.access_key.clone(),
            connection.secret_key.clone(),
            connection.session_token.clone(),
            None,
            "environment",
        );
        let streams = aws_sdk_dynamodbstreams::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(connection.region.clone()))
            .credentials_provider(credentials)
            .endpoint_url(endpoint)
            .build();
        Self {
            engine: None,
            ledger: connection.config().to_builder(),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams),
        }
    }
}

/// Puts into an empty database what it begins with, and the keys to call it with.
async fn furnish(
    app: &App,
    options: &Options,
    (memory, file): (&mut Memory, &MemoryFile),
) -> anyhow::Result<Keys> {
    let moment = app.clock.moment();
    let keys = match &memory.keys {
        Some(keys) => keys.clone(),
        None => Keys::fresh(options.seed == Seed::Demo, moment.now)?,
    };
    memory.keys = Some(keys.clone());
    // The keys first: what is made with them must never be without them.
    file.write(memory)?;
    keys.install(app, moment).await?;
    fill(app, &keys, moment).await?;
    memory.seen = Some(moment.now);
    Ok(keys)
}

/// The clock, where it stood or where it is wanted; never before a time that the data has seen.
fn start_clock(options: &Options, memory: &Memory) -> anyhow::Result<Arc<LocalClock>> {
    let clock = LocalClock::new(options.now.or(memory.now));
    if let Some(seen) = memory.seen.max(memory.now).map(|seen| seen.trunc_subsecs(0)) {
        let seen_text = instant::text(&seen);
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
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the server ended");
    }
}

async fn follow(app: Arc<App>, follower: Arc<Mutex<Follower>>) {
    Follower::follow(&follower, &app).await;
}

/// Deletes expired items now and then, as DynamoDB does. It goes by the machine's own clock, so it
/// waits while the local clock stands elsewhere: a claim must not go before its time.
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

/// Tells the meter which route the database is asked for.
async fn measure(State(meter): State<Meter>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(path) = path.filter(|path| !path.starts_with("/_local/")) else {
        return next.run(request).await;
    };
    let route = format!("{} {path}", request.method());
    meter.called(&route);
    ROUTE.scope(route, next.run(request)).await
}
