//! The program `scrip`: the local machine, and the operator's commands.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use domain::AccountId;
use local::{
    DataLocation, ImportArguments, LocalMachine, Options, OrganisationKeys, QueueAddress, RollupOrder,
    RollupTables, Seed, ShowcaseScale,
};
use scrip_http::{App, Clock, Instant, SystemClock, timestamp};
use serde::Serialize;
use tracing_subscriber::EnvFilter;

/// Scrip on one machine: all functions behind one port, on an embedded DynamoDB.
#[derive(Parser)]
#[command(name = "scrip", version, args_conflicts_with_subcommands = true)]
struct ScripArguments {
    #[command(subcommand)]
    command: Option<ScripCommand>,
    /// The port on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Where the data is kept.
    #[arg(long, value_name = "DIR", default_value = ".scrip", conflicts_with = "memory")]
    data: PathBuf,
    /// Keep no data.
    #[arg(long)]
    memory: bool,
    /// What an empty database starts with.
    #[arg(long, value_enum, default_value_t = Seed::Showcase(ShowcaseScale::FULL))]
    seed: Seed,
    /// How many days of history a showcase has.
    #[arg(long, value_name = "COUNT", default_value_t = ShowcaseScale::FULL.days, value_parser = clap::value_parser!(u32).range(7..=365))]
    days: u32,
    /// How many debits the history of a showcase has.
    #[arg(long, value_name = "COUNT", default_value_t = ShowcaseScale::FULL.transactions, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    transactions: u32,
    /// Sends mails (invitations, links to sign in) to `/_local/mail`, and shows their links no more.
    #[arg(long)]
    mail: bool,
    /// A time at which the clock stands still, such as 2024-01-15T10:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    now: Option<DateTime<Utc>>,
    /// Print one line of JSON instead of the banner.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum ScripCommand {
    /// Load prices, plans and packages into the tables of a deployment, and issue an operator's key. Region, credentials and
    /// tables come from the environment: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
    /// `LEDGER_TABLE`, `SETTINGS_TABLE`, `ACTIVITY_TABLE`.
    Load,
    /// Verify ledgers: rows against the hash chain and its checkpoints, numbers without a gap, sums against the account.
    /// Prints a line for each account and names what is wrong; the exit code is then 1. Tables as for `load`, or a data
    /// folder.
    Audit {
        /// One account, such as `org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA#live`; by default all accounts.
        #[arg(long)]
        account: Option<AccountId>,
        /// The data folder of a local machine that is not running, instead of a deployment's tables.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Compare the rollups of usage with the transactions that they count, and with --write replace those that are wrong.
    /// Prints a line for each account and names what is wrong. The deployment may be in use. Tables as for `load`, or a
    /// data folder.
    Rollups {
        /// One account, such as `org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA#live`; by default all accounts.
        #[arg(long)]
        account: Option<AccountId>,
        /// The data folder of a local machine that is not running, instead of a deployment's tables.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Write the right rollups. Without it nothing is changed, and the exit code is 1 if a rollup is wrong.
        #[arg(long)]
        write: bool,
    },
    /// Have the projector process what it has missed: first the records of the stream that it could not handle (the stream
    /// keeps them for a day), then, from the rows of their ledgers, all accounts that it is behind on. Also requests
    /// delivery to webhooks that have not had all events. Region, credentials and tables as for `load`, and `EVENT_BUS`,
    /// `RECHARGE_QUEUE_URL`, `RENEWAL_QUEUE_URL` and `WEBHOOK_QUEUE_URL`: the stack's outputs `EventBusName`,
    /// `RechargeQueueUrl`, `RenewalQueueUrl` and `WebhookQueueUrl`.
    Follow {
        /// The URL of the projector's failure queue, the stack's output `ProjectorFailuresUrl`. Without it, only the
        /// accounts are processed.
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
    /// Index the credit records of accounts whose transactions are older than the index, so that `GET /v2/credits` can read
    /// any page of them. It may be ended and repeated. Tables as for `load`, or a data folder.
    IndexRecords {
        /// One account, such as `org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA#live`; by default all accounts.
        #[arg(long)]
        account: Option<AccountId>,
        /// The data folder of a local machine that is not running, instead of a deployment's tables.
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Open the organisations of a CSV file and grant their credits, through the API. The file is checked whole before
    /// anything is sent. The command may be ended and repeated within 30 days: what was done is not done twice. The
    /// environment variable `OPERATOR_KEY` has the key.
    Import(ImportArguments),
    /// Send the messages of a failure queue to their queue again. The stack's outputs have both URLs:
    /// `WebhookFailuresUrl` and `WebhookQueueUrl`, `RechargeFailuresUrl` and `RechargeQueueUrl`, `RenewalFailuresUrl` and
    /// `RenewalQueueUrl`. Region and credentials as for `load`.
    Redrive {
        /// The URL of the failure queue.
        #[arg(long, value_name = "URL")]
        from: String,
        /// The URL of the queue that its messages were in before.
        #[arg(long, value_name = "URL")]
        to: String,
        /// How many messages at most; by default all.
        #[arg(long, value_name = "COUNT")]
        most: Option<u64>,
    },
}

/// The line of `--json`: what a program needs to call the machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ready<'a> {
    base_url: &'a str,
    organisation_id: Option<&'a str>,
    api_key: Option<&'a str>,
    test_key: Option<&'a str>,
    operator_key: &'a str,
    /// The organisation with a history.
    #[serde(skip_serializing_if = "Option::is_none")]
    showcase: Option<&'a OrganisationKeys>,
}

/// The stack of a thread in bytes. The database runs on its caller's stack, below the SDK, which needs much of it in an
/// unoptimised build.
const STACK_BYTES: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    match runtime {
        Ok(runtime) => runtime.block_on(start()),
        Err(error) => {
            print(&mut stderr(), &format!("scrip: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

async fn start() -> ExitCode {
    let arguments = ScripArguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .init();
    let outcome = match arguments.command {
        Some(ScripCommand::Load) => load().await,
        Some(ScripCommand::Audit { account, data }) => audit(account, data).await,
        Some(ScripCommand::Rollups { account, data, write }) => rollups(account, data, write).await,
        Some(ScripCommand::IndexRecords { account, data }) => index_records(account, data).await,
        Some(ScripCommand::Follow { from }) => catch_up(from).await,
        Some(ScripCommand::Import(arguments)) => import(arguments).await,
        Some(ScripCommand::Redrive { from, to, most }) => redrive(&from, &to, most).await,
        None => run(arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print(&mut stderr(), &format!("scrip: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    Instant::read(text)
        .map(|Instant(at)| at)
        .ok_or("write it like 2024-01-15T10:30:00Z, of the years 2000 to 9999")
}

/// Loads the catalogue; what the tables have already stays as it is. Each run issues one more key.
async fn load() -> anyhow::Result<()> {
    let app = App::from_env()?;
    app.settings.load(&local::catalogue()?).await?;
    let key = local::operator_key(&app, app.clock.moment()).await?;
    print(&mut stdout(), &format!("The catalogue is loaded. Operator key, shown once: {key}\n"));
    Ok(())
}

async fn audit(account: Option<AccountId>, data: Option<PathBuf>) -> anyhow::Result<()> {
    let line = &mut |line: &str| print(&mut stdout(), &format!("{line}\n"));
    let now = SystemClock.now();
    match data {
        Some(folder) => local::audit(&local::ledger_in(&folder)?, account, now, line).await,
        None => {
            let app = App::from_env().context("for a data folder of the local machine, use --data DIR")?;
            local::audit(&app.ledger, account, now, line).await
        }
    }
}

async fn rollups(account: Option<AccountId>, data: Option<PathBuf>, write: bool) -> anyhow::Result<()> {
    let line = &mut |line: &str| print(&mut stdout(), &format!("{line}\n"));
    let projection = if data.is_some() { Duration::ZERO } else { local::PROJECTION };
    let order = RollupOrder { account, is_written: write, now: SystemClock.now(), projection };
    let tables = match data {
        Some(folder) => local::rollup_tables_in(&folder)?,
        None => {
            let app = App::from_env().context("for a data folder of the local machine, use --data DIR")?;
            RollupTables { ledger: app.ledger, activity: app.activity }
        }
    };
    local::rebuild_rollups(&tables, order, line).await
}

async fn index_records(account: Option<AccountId>, data: Option<PathBuf>) -> anyhow::Result<()> {
    let line = &mut |line: &str| print(&mut stdout(), &format!("{line}\n"));
    let now = SystemClock.now();
    match data {
        Some(folder) => local::index_records(&local::ledger_in(&folder)?, account, now, line).await,
        None => {
            let app = App::from_env().context("for a data folder of the local machine, use --data DIR")?;
            local::index_records(&app.ledger, account, now, line).await
        }
    }
}

async fn catch_up(from: Option<String>) -> anyhow::Result<()> {
    for (name, output) in [
        ("EVENT_BUS", "EventBusName"),
        ("RECHARGE_QUEUE_URL", "RechargeQueueUrl"),
        ("RENEWAL_QUEUE_URL", "RenewalQueueUrl"),
        ("WEBHOOK_QUEUE_URL", "WebhookQueueUrl"),
    ] {
        let is_set = std::env::var(name).is_ok_and(|value| !value.is_empty());
        anyhow::ensure!(is_set, "{name} is not set; it is the stack's output {output}");
    }
    let app = App::from_env()?.with_recharge_queue()?.with_renewal_queue()?;
    let app = app.with_webhook_queue()?.with_event_bus()?;
    let (ledger, others) = (&app.ledger, &app.projection());
    let line = &mut |line: &str| print(&mut stdout(), &format!("{line}\n"));
    let records = match from {
        Some(queue) => {
            let (queues, streams) = (local::queues()?, local::streams()?);
            let queue = QueueAddress { client: &queues, url: &queue };
            local::reprocess_failures(queue, &streams, ledger, others, line).await
        }
        None => Ok(()),
    };
    let deliveries = app.deliveries.as_ref();
    let accounts = local::catch_up_accounts(ledger, others, deliveries, || app.clock.moment(), line).await;
    match (records, accounts) {
        (Err(records), Err(accounts)) => Err(records.context(format!("{accounts:#}"))),
        (records, accounts) => records.and(accounts),
    }
}

async fn import(arguments: ImportArguments) -> anyhow::Result<()> {
    let line = &mut |line: &str| print(&mut stdout(), &format!("{line}\n"));
    local::import(&arguments.order()?, line).await
}

async fn redrive(from: &str, to: &str, most: Option<u64>) -> anyhow::Result<()> {
    let line = &mut |line: &str| print(&mut stdout(), &format!("{line}\n"));
    local::redrive(&local::queues()?, from, to, most, line).await.map(|_| ())
}

async fn run(arguments: ScripArguments) -> anyhow::Result<()> {
    let options = Options {
        port: arguments.port,
        data: if arguments.memory {
            DataLocation::Memory
        } else {
            DataLocation::Folder(arguments.data.clone())
        },
        seed: match arguments.seed {
            Seed::Showcase(_) => {
                let (days, transactions) = (arguments.days, arguments.transactions);
                Seed::Showcase(ShowcaseScale { days, transactions })
            }
            Seed::Demo | Seed::Empty => arguments.seed,
        },
        now: arguments.now,
        mail: arguments.mail,
        endpoint: std::env::var("AWS_ENDPOINT_URL_DYNAMODB").ok().filter(|endpoint| !endpoint.is_empty()),
    };
    let machine = LocalMachine::start(options).await?;
    let text = if arguments.json { json(&machine)? } else { banner(&machine, &arguments) };
    print(&mut stdout(), &text);
    until_interrupted().await?;
    machine.stop().await
}

/// Returns at Ctrl-C or SIGTERM.
async fn until_interrupted() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => (),
    }
    Ok(())
}

fn json(machine: &LocalMachine) -> anyhow::Result<String> {
    let (base_url, keys) = (machine.base_url(), &machine.keys);
    let ready = Ready {
        base_url: &base_url,
        organisation_id: keys.organisation_id.as_deref(),
        api_key: keys.api_key.as_deref(),
        test_key: keys.test_key.as_deref(),
        operator_key: &keys.operator_key,
        showcase: keys.showcase.as_ref(),
    };
    Ok(serde_json::to_string(&ready)? + "\n")
}

fn banner(machine: &LocalMachine, arguments: &ScripArguments) -> String {
    let (url, keys) = (machine.base_url(), &machine.keys);
    let data = if arguments.memory { "in memory".to_owned() } else { arguments.data.display().to_string() };
    let mut text = format!(
        "\n  scrip is up\n\n  API           {url}/api/v3\n  OpenAPI       {url}/openapi.json\n  Webhook inbox {url}/_local/inbox\n  Data          {data}\n"
    );
    if let Some(now) = machine.stands_at() {
        let now = timestamp::text(&now);
        text += &format!("  Clock         stands still at {now}; POST {url}/_local/clock moves it\n");
    }
    text += &format!("\n  Keys, for a shell\n\nOPERATOR={}\n", keys.operator_key);
    if let (Some(key), Some(test), Some(org)) = (&keys.api_key, &keys.test_key, &keys.organisation_id) {
        text += &format!(
            "\n# Acme Compliance, {org}: charge calls here\nKEY={key}\nTEST_KEY={test}\n{}\n  Try it\n{}",
            machine.keys.showcase.as_ref().map(history_keys).unwrap_or_default(),
            first_calls(&url, machine.keys.showcase.is_some())
        );
    }
    text + "\n  Ctrl-C stops it.\n\n"
}

fn history_keys(keys: &OrganisationKeys) -> String {
    let OrganisationKeys { organisation_id, api_key, test_key } = keys;
    format!(
        "\n# Northwind Bank, {organisation_id}: a history, for usage, forecast, lots, statements and exports\n\
         HISTORY_KEY={api_key}\nHISTORY_TEST_KEY={test_key}\n"
    )
}

/// Calls to paste after the keys.
fn first_calls(url: &str, has_history: bool) -> String {
    let mut calls = vec![
        format!("curl -s {url}/api/v3/credits/balance -H \"Authorization: Bearer $KEY\""),
        format!(
            "curl -s {url}/api/v3/credits/consume -H \"Authorization: Bearer $KEY\" -H 'Idempotency-Key: first-try' \
             -H 'Content-Type: application/json' -d '{{\"operation\": \"verification.standard\", \"resourceId\": \"verif_1\"}}'"
        ),
        format!("curl -s '{url}/api/v3/credits/transactions?limit=3' -H \"Authorization: Bearer $KEY\""),
        format!(
            "curl -s {url}/api/v3/webhooks -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \
             -d '{{\"url\": \"{url}/_local/inbox/me\"}}'      # then look at {url}/_local/inbox in a browser"
        ),
    ];
    if has_history {
        calls.push(format!("curl -s {url}/api/v3/credits/usage -H \"Authorization: Bearer $HISTORY_KEY\""));
    }
    calls.into_iter().fold(String::new(), |text, call| format!("{text}\n{call}\n"))
}

/// Prints a text. A reader that has gone away does not end the program.
fn print(out: &mut impl Write, text: &str) {
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        tracing::debug!("the output has no reader any more");
    }
}
