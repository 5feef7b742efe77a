use chrono::{DateTime, SubsecRound, Utc};

/// One version of something that the catalogue has: in force from an instant on, until a later
/// version is. A version that was made later wins over all that were made before it, so a change
/// also supersedes whatever was planned for after it.
pub(crate) trait Version: Clone + PartialEq {
    /// How many versions are kept of one thing.
    const MAX: Limit;

    /// 1 for the first, 2 for the next, …
    fn number(&self) -> u32;

    /// From when on it is in force.
    fn effective_from(&self) -> DateTime<Utc>;

    /// The same terms as another version.
    #[must_use]
    fn renumbered(self, number: u32, effective_from: DateTime<Utc>) -> Self;
}

/// How many of something the catalogue keeps at most, and what they are called in the refusal.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) max: usize,
    pub(crate) kept: &'static str,
}

/// From when on a change is wanted, and when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    asked: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
}

/// Why the catalogue is not changed. In the order in which it is checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChange {
    /// The name of an operation that would pass for one of the ledger's own.
    #[error("is kept for the ledger's own operations; choose a name that does not begin so")]
    Reserved,
    /// Something new, of which these fields are missing.
    #[error("is required, because no package, plan or operation of this name exists at `effectiveFrom`")]
    Incomplete(Vec<&'static str>),
    /// A rate between a currency and itself.
    #[error("is the same currency; one is always worth one")]
    SameCurrency,
    /// It would rewrite what was in force.
    #[error("must not lie in the past; leave it out to change the catalogue now")]
    InThePast,
    /// As many are kept as there may be.
    #[error("the catalogue keeps at most {max} {kept}, and never forgets one")]
    TooMany {
        /// How many.
        max: usize,
        /// Of what.
        kept: &'static str,
    },
}

impl BadChange {
    /// Something new of which not every field was given.
    pub(crate) fn without(given: impl IntoIterator<Item = (&'static str, bool)>) -> Self {
        Self::Incomplete(given.into_iter().filter(|(_, given)| !given).map(|(field, _)| field).collect())
    }
}

impl When {
    /// Asked for at `now`, with effect from `asked` on, or at once. Whole seconds: the catalogue
    /// knows no others.
    #[must_use]
    pub fn new(asked: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        Self { asked, now: now.trunc_subsecs(0) }
    }

    /// The first instant of the change.
    #[must_use]
    pub fn from(self) -> DateTime<Utc> {
        self.asked.unwrap_or(self.now)
    }
}

/// Of `versions`, the oldest first, the one in force at `at`: the latest of those that have begun.
pub(crate) fn in_force<V: Version>(versions: &[V], at: DateTime<Utc>) -> Option<&V> {
    versions.iter().rfind(|version| version.effective_from() <= at)
}

/// The first version that will take the place of the one in force at `at`, as things stand.
pub(crate) fn next<V: Version>(versions: &[V], at: DateTime<Utc>) -> Option<&V> {
    let current = in_force(versions, at).map_or(0, V::number);
    let later = versions.iter().filter(|version| version.number() > current && version.effective_from() > at);
    in_force(versions, later.map(V::effective_from).min()?)
}

/// The version that has `terms` from `when` on, and whether it is a new one. It is not when such a
/// version is in force then: the change that made it has only been sent again. Asked for with a
/// date, a change is the same only with the same date.
pub(crate) fn revise<V: Version>(versions: &[V], terms: V, when: When) -> Result<(V, bool), BadChange> {
    let from = when.from();
    if let Some(known) = in_force(versions, from) {
        let same_date = when.asked.is_none_or(|asked| known.effective_from() == asked);
        if same_date && terms.clone().renumbered(known.number(), known.effective_from()) == *known {
            return Ok((known.clone(), false));
        }
    }
    if from < when.now {
        return Err(BadChange::InThePast);
    }
    room(versions.len(), V::MAX)?;
    let last = versions.last().map_or(0, V::number);
    Ok((terms.renumbered(last.saturating_add(1), from), true))
}

/// Whether one more fits where there are `count`.
pub(crate) fn room(count: usize, limit: Limit) -> Result<(), BadChange> {
    let Limit { max, kept } = limit;
    if count < max { Ok(()) } else { Err(BadChange::TooMany { max, kept }) }
}
