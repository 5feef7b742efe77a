//! Counts the requests of keys and organisations that have a limit.
//!
//! A process takes several requests of a limit at once, and counts them down by itself: so all processes together never
//! make more requests than the limit, and each request costs a fraction of a write. A process that has taken requests and
//! does not make them takes them from the others until the window ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;

use crate::settings::organisations::Settings;
use crate::table::attribute::{number, number_of};
use crate::table::condition::UpdateExpression;
use crate::table::conditional_update::ConditionalUpdate;
use crate::table::error::Fault;
use crate::table::key::Key;
use crate::table::settings_key::SettingsKey;
use domain::RateLimit;

/// How many subjects a process remembers. At this number all are dropped.
const REMEMBERED_MAX: usize = 10_000;

/// How often a process tries to take requests while others do.
const ATTEMPTS_MAX: u32 = 8;

/// How long a request waits until it is counted.
const COUNT_TIMEOUT: Duration = Duration::from_millis(250);

/// For how long a process counts nothing after a count has failed.
const PAUSE: TimeDelta = TimeDelta::seconds(5);

/// What a limit allows at the moment, as a process knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateState {
    /// The limit.
    pub limit: RateLimit,
    /// Whether the request is within it.
    pub is_within: bool,
    /// How many requests may follow in this window, by what was last read.
    pub remaining: u32,
    /// In how many seconds the window ends.
    pub ends_in: u32,
}

/// The requests that this process has taken.
#[derive(Debug, Default)]
pub(crate) struct RateSlabs {
    slabs: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Option<Slab>>>>>,
    /// Until when nothing is counted, because the table did not answer.
    paused: Mutex<Option<DateTime<Utc>>>,
}

/// The requests that a process has taken of one limit.
#[derive(Debug)]
struct Slab {
    limit: RateLimit,
    window: u64,
    /// How many requests this process has taken in the window.
    taken: u32,
    left: u32,
    /// How many requests of the limit were not taken by anyone when it was last read.
    beyond: u32,
}

impl Slab {
    fn new(limit: RateLimit, window: u64) -> Self {
        Self { limit, window, taken: 0, left: 0, beyond: limit.requests() }
    }
}

impl RateSlabs {
    fn is_paused(&self, wall: DateTime<Utc>) -> bool {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        paused.is_some_and(|until| wall < until)
    }

    fn pause(&self, wall: DateTime<Utc>) {
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = wall.checked_add_signed(PAUSE);
    }

    fn of(&self, subject: &str) -> Arc<tokio::sync::Mutex<Option<Slab>>> {
        let mut slabs = self.slabs.lock().unwrap_or_else(PoisonError::into_inner);
        if REMEMBERED_MAX <= slabs.len() && !slabs.contains_key(subject) {
            slabs.clear();
        }
        slabs.entry(subject.to_owned()).or_default().clone()
    }
}

impl Settings {
    /// Counts one request of `subject`, such as a key's id, at `wall`. While the table does not answer, requests are within
    /// their limits.
    pub async fn count_request(&self, subject: &str, limit: RateLimit, wall: DateTime<Utc>) -> RateState {
        let slab = self.rate_slabs.of(subject);
        let mut slab = slab.lock().await;
        let (window, ends_in) = (limit.window(wall), limit.ends_in(wall));
        let slab = slab.get_or_insert(Slab::new(limit, window));
        if slab.window != window || slab.limit != limit {
            *slab = Slab::new(limit, window);
        }
        if slab.left == 0 && 0 < slab.beyond {
            let uncounted = RateState { limit, is_within: true, remaining: slab.beyond, ends_in };
            if self.rate_slabs.is_paused(wall) {
                return uncounted;
            }
            let wanted = limit.slab(slab.taken).min(limit.requests());
            match timeout(COUNT_TIMEOUT, self.take_requests(subject, limit, window, wanted)).await {
                Ok(Ok((taken, beyond))) => {
                    slab.taken = slab.taken.saturating_add(taken);
                    (slab.left, slab.beyond) = (taken, beyond);
                }
                // Too many others count at the same moment; the table answers.
                Ok(Err(fault)) if fault.is_throttled() || matches!(fault, Fault::Busy) => return uncounted,
                Ok(Err(_)) | Err(_) => {
                    self.log.note_unread("the requests of a limit", wall);
                    self.rate_slabs.pause(wall);
                    return uncounted;
                }
            }
        }
        let is_within = 0 < slab.left;
        slab.left = slab.left.saturating_sub(1);
        let remaining = slab.left.saturating_add(slab.beyond);
        RateState { limit, is_within, remaining, ends_in }
    }

    /// Takes requests of a limit for this process: how many, and how many are left then.
    async fn take_requests(
        &self,
        subject: &str,
        limit: RateLimit,
        mut window: u64,
        mut wanted: u32,
    ) -> Result<(u32, u32), Fault> {
        const DOING: &str = "take requests of a limit";
        let key = Key::Settings(SettingsKey::Rate(subject, limit.per_seconds()));
        for _ in 0..ATTEMPTS_MAX {
            let most = limit.requests().saturating_sub(wanted);
            let more = UpdateExpression::new("SET #used = #used + :wanted")
                .only_if("#window = :window AND #used <= :most")
                .name("#used", "used")
                .name("#window", "window")
                .value(":wanted", number(wanted.into()))
                .value(":window", number(window))
                .value(":most", number(most.into()));
            let item = match self.table.update_or_existing(&key, more, DOING).await? {
                ConditionalUpdate::Updated(item) => {
                    let used = number_of(&item, "used").and_then(|used| u32::try_from(used).ok());
                    return Ok((wanted, limit.requests().saturating_sub(used.unwrap_or(u32::MAX))));
                }
                ConditionalUpdate::Existing(item) => item.unwrap_or_default(),
            };
            match number_of(&item, "window") {
                Some(known) if known == window => {
                    let used = number_of(&item, "used").and_then(|used| u32::try_from(used).ok());
                    let left = limit.requests().saturating_sub(used.unwrap_or(u32::MAX));
                    if left == 0 {
                        return Ok((0, 0));
                    }
                    wanted = wanted.min(left);
                }
                // The clock of another process is ahead.
                Some(known) if window < known => window = known,
                Some(_) | None => {
                    let first = UpdateExpression::new("SET #window = :window, #used = :wanted")
                        .only_if("attribute_not_exists(#window) OR #window < :window")
                        .name("#used", "used")
                        .name("#window", "window")
                        .value(":wanted", number(wanted.into()))
                        .value(":window", AttributeValue::N(window.to_string()));
                    if self.table.update(&key, first, DOING).await? {
                        return Ok((wanted, limit.requests().saturating_sub(wanted)));
                    }
                }
            }
        }
        Err(Fault::Busy)
    }
}
