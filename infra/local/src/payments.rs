use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path};
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::domain::{Currency, EntryId, Mode, OrgId, Reference};
use shared::edge::{ApiError, App, Clock, Payload, Reply, System, instant};
use shared::pay::Simulated;
use shared::pay::simulated::{Charge, Dispute, DisputeAction, Memory, Notice, State, Undone, Voice};
use shared::store::random;

use crate::journal;
use crate::lane::Lane;
use crate::routes::{Local, unkept};

/// The simulated payment company of this machine. Like a real one it keeps its charges when the
/// machine ends, in `folder`; without a folder nothing is kept, here as elsewhere.
///
/// # Errors
/// When its journal can't be used.
pub(crate) fn open(
    folder: Option<&std::path::Path>,
    payments_url: String,
    events: Lane<Notice>,
) -> anyhow::Result<Simulated> {
    let (earlier, journal) = match folder {
        Some(folder) => {
            let (earlier, journal) = journal::open(folder)?;
            (earlier, Some(journal))
        }
        None => (Vec::new(), None),
    };
    let voice = Voice {
        secret: format!("whsec_{:032x}", random()).into(),
        listener: Box::new(move |notice| {
            if !events.send(notice) {
                tracing::debug!("the machine is ending; an event of the payment provider is not sent");
            }
        }),
        now: Box::new(|| System.now()),
    };
    Ok(Simulated::new(Memory::Remembering { earlier, journal }, payments_url, Some(voice)))
}

/// What the simulated payment company did, and what its customers do.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/_local/payments", get(list))
        .route("/_local/payments/{transactionId}/authenticate", post(authenticate))
        .route("/_local/payments/{transactionId}/dispute", post(dispute))
}

/// A charge as callers see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    transaction_id: EntryId,
    /// Minor units.
    amount: u64,
    currency: Currency,
    status: &'static str,
    payment_method: Reference,
    organisation_id: OrgId,
    livemode: bool,
    #[serde(with = "instant")]
    created_at: DateTime<Utc>,
    refunded: bool,
    dispute: Option<Dispute>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Disputed {
    action: DisputeAction,
}

impl From<Charge> for Shown {
    fn from(charge: Charge) -> Self {
        let status = match charge.state {
            State::Processing => "processing",
            State::Waiting => "requires_action",
            State::Succeeded => "succeeded",
            State::Failed(_) => "failed",
            State::Cancelled => "canceled",
        };
        Self {
            transaction_id: charge.transaction,
            amount: charge.price.amount(),
            currency: charge.price.currency(),
            status,
            payment_method: charge.method,
            organisation_id: charge.organisation,
            livemode: charge.mode == Mode::Live,
            created_at: charge.created_at,
            refunded: charge.refunded,
            dispute: charge.dispute,
        }
    }
}

async fn list(Extension(local): Extension<Local>) -> Result<Reply, ApiError> {
    let charges: Vec<_> = local.company.charges().into_iter().map(Shown::from).collect();
    Reply::ok(&charges)
}

async fn authenticate(
    Extension(local): Extension<Local>,
    Path(transaction): Path<String>,
) -> Result<Reply, ApiError> {
    let charge = local.company.authenticate(known(transaction)?).map_err(undone)?;
    Reply::ok(&Shown::from(charge))
}

async fn dispute(
    Extension(local): Extension<Local>,
    Path(transaction): Path<String>,
    Payload(wanted): Payload<Disputed>,
) -> Result<Reply, ApiError> {
    let charge = local.company.dispute(known(transaction)?, wanted.action).map_err(undone)?;
    Reply::ok(&Shown::from(charge))
}

fn known(transaction: String) -> Result<EntryId, ApiError> {
    EntryId::try_from(transaction).map_err(|_| undone(Undone::Unknown))
}

fn undone(problem: Undone) -> ApiError {
    match problem {
        Undone::Unknown => ApiError::NotFound("the payment provider has no charge of this transaction"),
        Undone::NotNow(problem) => ApiError::Conflict(problem.0),
        Undone::Silent(silence) => unkept(silence.into()),
    }
}
