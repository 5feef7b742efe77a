//! The simulated payment provider of the machine: its journal, and the routes below `/_local/payments`.

mod journal;
mod routes;

#[cfg(test)]
use routes::order;
pub(crate) use routes::routes;

use std::path::Path;

use scrip_http::{Clock, SystemClock};
use scrip_payments::Simulated;
use scrip_payments::simulated::{ChargeMemory, EventSender, SignedEvent};
use store::random;

use crate::emulation::InProcessQueue;

/// Opens the provider. It keeps its charges in `folder`; without a folder it keeps nothing.
///
/// # Errors
/// When its journal can't be used.
pub(crate) fn open(
    folder: Option<&Path>,
    payments_url: String,
    events: InProcessQueue<SignedEvent>,
) -> anyhow::Result<Simulated> {
    let (earlier, journal) = match folder {
        Some(folder) => {
            let (earlier, journal) = journal::open(folder)?;
            (earlier, Some(journal))
        }
        None => (Vec::new(), None),
    };
    let sender = EventSender {
        secret: format!("whsec_{:032x}", random()).into(),
        listener: Box::new(move |notice| {
            if !events.send(notice) {
                tracing::debug!("the machine is ending; an event of the payment provider is not sent");
            }
        }),
        now: Box::new(|| SystemClock.now()),
    };
    Ok(Simulated::new(ChargeMemory::Complete { earlier, journal }, payments_url, Some(sender)))
}
