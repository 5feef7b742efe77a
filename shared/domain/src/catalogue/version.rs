//! Versions of catalogue items: which is effective when, and how a new one is added.

use chrono::{DateTime, SubsecRound, Utc};

/// One version of a catalogue item: effective from an instant until a later version is. A version that was
/// created later supersedes all earlier ones, including versions scheduled for after it.
pub(crate) trait Version: Clone + PartialEq {
    /// The maximum number of versions of one item.
    const MAX: Limit;

    /// The number of the version, from 1.
    fn number(&self) -> u32;

    /// The first instant at which it is effective.
    fn effective_from(&self) -> DateTime<Utc>;

    /// The same content with another number and effective time.
    #[must_use]
    fn renumbered(self, number: u32, effective_from: DateTime<Utc>) -> Self;
}

/// A limit of the catalogue, and the plural noun for its refusal.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) max: usize,
    pub(crate) kept: &'static str,
}

/// The time from which a change is effective, and the time of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectiveTime {
    requested: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

/// The reason why a change of the catalogue is refused. The variants are in the order in which they are
/// checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUpdate {
    /// The operation's name has a prefix of the ledger's own operations.
    #[error("has a prefix that is reserved for the ledger's own operations; choose another name")]
    Reserved,
    /// These fields are missing for a new item.
    #[error("is required, because no package, plan or operation of this name exists at `effectiveFrom`")]
    Incomplete(Vec<&'static str>),
    /// The two currencies are the same.
    #[error("must be another currency")]
    SameCurrency,
    /// It would change the past.
    #[error("must not be in the past; omit it to change the catalogue now")]
    InThePast,
    /// A limit of the catalogue is reached.
    #[error("the catalogue can have at most {max} {kept}, which are never deleted")]
    TooMany {
        /// The limit.
        max: usize,
        /// The plural noun of what is limited.
        kept: &'static str,
    },
}

impl BadUpdate {
    /// The refusal of a new item, with the fields that were not given.
    pub(crate) fn without(given: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        Self::Incomplete(given.into_iter().filter(|(_, given)| !given).map(|(field, _)| field).collect())
    }
}

impl EffectiveTime {
    /// A change requested at `now`, effective from `requested` or immediately. Truncated to whole seconds, as in
    /// the catalogue.
    #[must_use]
    pub fn new(requested: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        Self { requested, now: now.trunc_subsecs(0) }
    }

    /// The instant from which the change is effective.
    #[must_use]
    pub fn from(self) -> DateTime<Utc> {
        self.requested.unwrap_or(self.now)
    }
}

/// The version effective at `at`: the last one that has begun. `versions` are in ascending order.
pub(crate) fn in_force<V: Version>(versions: &[V], at: DateTime<Utc>) -> Option<&V> {
    versions.iter().rfind(|version| version.effective_from() <= at)
}

/// The scheduled version that will replace the one effective at `at`.
pub(crate) fn next<V: Version>(versions: &[V], at: DateTime<Utc>) -> Option<&V> {
    let current = in_force(versions, at).map_or(0, V::number);
    let later = versions.iter().filter(|version| version.number() > current && version.effective_from() > at);
    in_force(versions, later.map(V::effective_from).min()?)
}

/// The version with this content from `when` on, and whether it is a new version. It is not new when an equal
/// version is effective then, because the request was repeated. A change with an explicit date is only equal to
/// one with the same date.
pub(crate) fn revise<V: Version>(
    versions: &[V],
    terms: V,
    when: EffectiveTime,
) -> Result<(V, bool), BadUpdate> {
    let from = when.from();
    if let Some(known) = in_force(versions, from) {
        let same_date = when.requested.is_none_or(|asked| known.effective_from() == asked);
        if same_date && terms.clone().renumbered(known.number(), known.effective_from()) == *known {
            return Ok((known.clone(), false));
        }
    }
    if from < when.now {
        return Err(BadUpdate::InThePast);
    }
    room(versions.len(), V::MAX)?;
    let last = versions.last().map_or(0, V::number);
    Ok((terms.renumbered(last.saturating_add(1), from), true))
}

/// Whether one more fits where there are `count`.
pub(crate) fn room(count: usize, limit: Limit) -> Result<(), BadUpdate> {
    let Limit { max, kept } = limit;
    if count < max { Ok(()) } else { Err(BadUpdate::TooMany { max, kept }) }
}

/// The number of an item's first version, which items stored without a number have.
pub(crate) fn first_version() -> u32 {
    1
}
