//! The records of a batch, sorted by account.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use domain::{Account, AccountId};
use ports::BusEvent;
use scrip_webhooks::EventEnvelope;
use store::{Fault, Ledger, StreamImage, account_image, account_of, event_image};

use super::skip::skip;

/// A record of the stream: its place, and the item after the change.
#[derive(Clone, Debug)]
pub struct Record {
    /// The sequence number of the record in the stream.
    pub place: String,
    /// The item; none if it was deleted.
    pub image: Option<StreamImage>,
}

/// A state of an account, and the record that shows it.
pub(super) struct AccountState {
    pub(super) place: String,
    pub(super) image: StreamImage,
    pub(super) account: Account,
}

/// The records of a batch.
#[derive(Default)]
pub(super) struct Batch {
    /// The states of each account, in the order of the stream.
    pub(super) accounts: BTreeMap<AccountId, Vec<AccountState>>,
    /// The events, and the places of their records.
    pub(super) events: Vec<(String, BusEvent)>,
    /// The first record that must be delivered again.
    pub(super) failed: Option<String>,
}

/// The content of a record.
enum RecordContent {
    /// An account after a change.
    Account(Box<Account>),
    /// An event.
    Event(BusEvent),
    /// Another item, which the projector ignores.
    Nothing,
}

impl Batch {
    /// Reads records. Unreadable ones are skipped and kept; the later records of an account whose record could not be
    /// kept wait for it.
    pub(super) async fn of(ledger: &Ledger, records: impl IntoIterator<Item = Record>) -> Self {
        let mut batch = Self::default();
        let mut waiting = BTreeSet::new();
        for Record { place, image } in records {
            let Some(image) = image else { continue };
            match content(image.clone()) {
                Ok(RecordContent::Account(account)) if !waiting.contains(&account.id) => {
                    let states = batch.accounts.entry(account.id).or_default();
                    states.push(AccountState { place, image, account: *account });
                }
                Ok(RecordContent::Event(event)) => batch.events.push((place, event)),
                Ok(RecordContent::Account(_) | RecordContent::Nothing) => (),
                Err(fault) => {
                    let account = account_of(&image);
                    if let Err(unkept) = skip(ledger, &place, image, &fault).await {
                        let fault = &unkept as &dyn Error;
                        tracing::error!(place, fault, "a record of the stream could not be kept");
                        waiting.extend(account);
                        batch.failed = batch.failed.into_iter().chain([place]).reduce(earlier_of);
                    }
                }
            }
        }
        batch
    }
}

fn content(image: StreamImage) -> Result<RecordContent, Fault> {
    if let Some((account, event)) = event_image(image.clone())? {
        return Ok(RecordContent::Event(EventEnvelope::published(account, &event)));
    }
    let account = account_image(image)?;
    Ok(account.map_or(RecordContent::Nothing, |account| RecordContent::Account(account.into())))
}

/// Whether a place in the stream is after another one. Places are numbers of up to 40 digits.
#[must_use]
pub fn is_after(place: &str, other: &str) -> bool {
    (other.len(), other) < (place.len(), place)
}

pub(super) fn earlier_of(one: String, other: String) -> String {
    if is_after(&one, &other) { other } else { one }
}
