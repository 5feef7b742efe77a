use std::sync::{Arc, MutexGuard, PoisonError};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::key::{Item, Key};
use super::settings::{Settings, is_fresh, is_there};
use super::{Fault, item};
use domain::{BadChange, Currency, PackageList, Plan, PlanId, PlanList, PriceList, Rate, RateList};

/// How often a change is decided again because another one came first. Each time, that other change
/// has landed; so many at once are no longer an operator's work.
const ATTEMPTS_MAX: u32 = 64;

/// What is sold, all versions, as the database has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// Operations and what they cost.
    pub prices: PriceList,
    /// Subscription plans.
    pub plans: PlanList,
    /// Packages of credits.
    pub packages: PackageList,
    /// What one currency is worth in another.
    #[serde(default)]
    pub rates: RateList,
}

/// A part of the catalogue: one item of the table.
pub trait Part: Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// The item's sort key, and the attribute that holds the part.
    const NAMES: (&'static str, &'static str);
}

/// Why the catalogue is as it was.
#[derive(Debug, thiserror::Error)]
pub enum Unchanged {
    /// The rules said no.
    #[error(transparent)]
    Refused(#[from] BadChange),
    /// The store could not say.
    #[error(transparent)]
    Failed(#[from] Fault),
}

/// What a function remembers of the catalogue, since when, and how often it has forgotten it: who
/// has read before the last change must not be remembered after it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    known: Option<(DateTime<Utc>, Arc<Catalogue>)>,
    forgotten: u64,
}

impl Part for PriceList {
    const NAMES: (&'static str, &'static str) = ("PRICES", "prices");
}

impl Part for PlanList {
    const NAMES: (&'static str, &'static str) = ("PLANS", "plans");
}

impl Part for PackageList {
    const NAMES: (&'static str, &'static str) = ("PACKAGES", "packages");
}

impl Part for RateList {
    const NAMES: (&'static str, &'static str) = ("RATES", "rates");
}

impl Catalogue {
    /// A plan as it is at `at`.
    #[must_use]
    pub fn plan(&self, plan: &PlanId, at: DateTime<Utc>) -> Option<&Plan> {
        self.plans.plan(plan, at)
    }

    /// How many units of `to` one of `from` is worth; one for the same currency, `None` when nobody
    /// has said.
    #[must_use]
    pub fn rate(&self, from: Currency, to: Currency) -> Option<Rate> {
        self.rates.rate(from, to)
    }
}

impl Settings {
    /// The catalogue, at most a minute old by `wall`; never older than the last change that was made
    /// through this very value.
    ///
    /// # Errors
    /// When the table does not serve, or nothing was ever loaded into it.
    pub async fn catalogue(&self, wall: DateTime<Utc>) -> Result<Arc<Catalogue>, Fault> {
        let forgotten = {
            let memory = self.memory();
            match &memory.known {
                Some((read, catalogue)) if is_fresh(*read, wall) => return Ok(catalogue.clone()),
                Some(_) | None => memory.forgotten,
            }
        };
        let (prices, plans, packages, rates) = tokio::try_join!(
            self.loaded::<PriceList>(),
            self.loaded::<PlanList>(),
            self.loaded::<PackageList>(),
            self.part::<RateList>(),
        )?;
        let rates = rates.map(|(rates, _)| rates).unwrap_or_default();
        let catalogue = Arc::new(Catalogue { prices, plans, packages, rates });
        let mut memory = self.memory();
        if memory.forgotten == forgotten {
            memory.known = Some((wall, catalogue.clone()));
        }
        Ok(catalogue)
    }

    /// Loads what an empty table is to begin with; what is there already stays.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn load(&self, catalogue: &Catalogue) -> Result<(), Fault> {
        let Catalogue { prices, plans, packages, rates } = catalogue;
        self.put_new(written(prices, 0)?).await?;
        self.put_new(written(plans, 0)?).await?;
        self.put_new(written(packages, 0)?).await?;
        self.put_new(written(rates, 0)?).await
    }

    /// Changes a part of the catalogue, and returns what `decide` has to tell of it. It is decided
    /// again when another change came first, so none is lost; a part that comes out as it was is
    /// not written.
    ///
    /// # Errors
    /// [`Unchanged::Refused`] as decided; [`Fault::Busy`] after [`ATTEMPTS_MAX`] rivals;
    /// [`Fault::Unavailable`] when the table does not serve, in which case the change may have been
    /// made.
    pub async fn change<P: Part, A>(
        &self,
        decide: impl Fn(&P) -> Result<(P, A), BadChange>,
    ) -> Result<A, Unchanged> {
        for _ in 0..ATTEMPTS_MAX {
            let (part, revision) = self.part::<P>().await?.unwrap_or_default();
            let (changed, told) = decide(&part)?;
            if changed == part {
                return Ok(told);
            }
            let landed = self.put_revised(&changed, revision).await;
            self.forget();
            if landed? {
                return Ok(told);
            }
        }
        Err(Fault::Busy.into())
    }

    /// Writes a part if it still is at `revision`; whether it was.
    async fn put_revised<P: Part>(&self, part: &P, revision: u64) -> Result<bool, Fault> {
        let item = written(part, revision.saturating_add(1))?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        // What was loaded has no revision yet.
        let put = match revision {
            0 => put.condition_expression("attribute_not_exists(rev)"),
            seen => put
                .condition_expression("rev = :seen")
                .expression_attribute_values(":seen", AttributeValue::N(seen.to_string())),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_there(error.as_service_error()) => Ok(false),
            Err(error) => Err(Fault::unavailable("change the catalogue")(error.into())),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget(&self) {
        let mut memory = self.memory();
        memory.known = None;
        memory.forgotten = memory.forgotten.saturating_add(1);
    }

    async fn loaded<P: Part>(&self) -> Result<P, Fault> {
        let part = self.part::<P>().await?;
        part.map(|(part, _)| part).ok_or_else(|| Fault::corrupt("the catalogue", "it was never loaded"))
    }

    /// A part and its revision. Read consistently, so that a change is seen right after it was made.
    async fn part<P: Part>(&self) -> Result<Option<(P, u64)>, Fault> {
        let (name, attribute) = P::NAMES;
        let Some(mut item) = self.get(&Key::Catalogue(name), true, "read the catalogue").await? else {
            return Ok(None);
        };
        let part =
            item.remove(attribute).ok_or_else(|| Fault::corrupt("the catalogue", "it has no entries"))?;
        let part = serde_dynamo::from_attribute_value(part)
            .map_err(|source| Fault::corrupt("the catalogue", source))?;
        let Revision { rev } = item::decode("the catalogue", item)?;
        Ok(Some((part, rev)))
    }
}

#[derive(Serialize, Deserialize)]
struct Revision {
    #[serde(default, skip_serializing_if = "is_loaded")]
    rev: u64,
}

fn is_loaded(revision: &u64) -> bool {
    *revision == 0
}

/// A part as an item.
fn written<P: Part>(part: &P, rev: u64) -> Result<Item, Fault> {
    let (name, attribute) = P::NAMES;
    let mut item = item::with_key(&Key::Catalogue(name), &Revision { rev })?;
    let part: AttributeValue = serde_dynamo::to_attribute_value(part)
        .map_err(|source| Fault::corrupt("an item to be written", source))?;
    item.insert(attribute.to_owned(), part);
    Ok(item)
}
