use std::path::Path;

use shared::edge::{Clock, System};
use shared::pay::Simulated;
use shared::pay::simulated::{Memory, Notice, Voice};
use shared::store::random;

use crate::journal;
use crate::lane::Lane;

/// The simulated payment company of this machine. Like a real one it keeps its charges when the
/// machine ends, in `folder`; without a folder nothing is kept, here as elsewhere.
///
/// # Errors
/// When its journal can't be used.
pub(crate) fn open(
    folder: Option<&Path>,
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
    let listener = move |notice| {
        if !events.send(notice) {
            tracing::debug!("the machine is ending; an event of the payment provider is not sent");
        }
    };
    let secret = format!("whsec_{:032x}", random());
    let voice = Voice::new(secret, Box::new(listener), Box::new(|| System.now()));
    Ok(Simulated::new(Memory::Remembering { earlier, journal }, payments_url, Some(voice)))
}
