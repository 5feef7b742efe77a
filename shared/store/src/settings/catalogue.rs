//! The stored catalogue: reading, loading and changing it.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::settings::change_log::ChangedSetting;
use crate::settings::last_known::Known;
use crate::settings::organisations::Settings;
use crate::settings::snapshot::Catalogue;
use crate::table::attribute::number;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item;
use crate::table::key::{Key, StoredItem};
use crate::table::settings_key::SettingsKey;
use domain::{BadUpdate, ExchangeRateList, PackageList, PlanList, PriceList};

/// How often a change is decided again because another one was saved first. Operators do not make more changes at the
/// same time.
const ATTEMPTS_MAX: u32 = 64;

/// A part of the catalogue, stored as one item.
pub trait CataloguePart: Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync {
    /// The item's sort key, and the attribute that holds the part.
    const NAMES: (&'static str, &'static str);
}

/// Why the catalogue was not changed.
#[derive(Debug, thiserror::Error)]
pub enum Unchanged {
    /// The rules refused the change.
    #[error(transparent)]
    Refused(#[from] BadUpdate),
    /// The store could not answer.
    #[error(transparent)]
    Failed(#[from] Fault),
}

impl CataloguePart for PriceList {
    const NAMES: (&'static str, &'static str) = ("PRICES", "prices");
}

impl CataloguePart for PlanList {
    const NAMES: (&'static str, &'static str) = ("PLANS", "plans");
}

impl CataloguePart for PackageList {
    const NAMES: (&'static str, &'static str) = ("PACKAGES", "packages");
}

impl CataloguePart for ExchangeRateList {
    const NAMES: (&'static str, &'static str) = ("RATES", "rates");
}

impl Settings {
    /// The catalogue, as others have changed it at most five seconds before `wall`, at most 15 minutes while the table does not answer, and never older
    /// than the last change that was made through this value.
    ///
    /// # Errors
    /// When the table does not answer and the catalogue was not read in the last 15 minutes; when no catalogue was ever
    /// loaded.
    pub async fn catalogue(&self, wall: DateTime<Utc>) -> Result<Arc<Catalogue>, Fault> {
        Ok(self.known_catalogue(wall).await?.value)
    }

    /// The catalogue, at most a minute old also while the table does not answer. A request that changes settings decides
    /// on this.
    ///
    /// # Errors
    /// When the table does not answer; when no catalogue was ever loaded.
    pub async fn current_catalogue(&self, wall: DateTime<Utc>) -> Result<Arc<Catalogue>, Fault> {
        let Known { value, is_current, .. } = self.known_catalogue(wall).await?;
        if is_current {
            Ok(value)
        } else {
            Err(Fault::unavailable("read the catalogue", "it is not current"))
        }
    }

    pub(crate) async fn known_catalogue(&self, wall: DateTime<Utc>) -> Result<Known<Arc<Catalogue>>, Fault> {
        self.forget_changed(self.catalogue.read_at(&()), wall).await;
        let known = self.catalogue.get(&(), wall, self.read_catalogue()).await?.ok_or_else(never_loaded)?;
        Ok(self.log.note(known, "the catalogue", wall))
    }

    async fn read_catalogue(&self) -> Result<Option<Arc<Catalogue>>, Fault> {
        let (prices, plans, packages, rates) = tokio::try_join!(
            self.loaded::<PriceList>(),
            self.loaded::<PlanList>(),
            self.loaded::<PackageList>(),
            self.part::<ExchangeRateList>(),
        )?;
        let rates = rates.map(|(rates, _)| rates).unwrap_or_default();
        Ok(Some(Arc::new(Catalogue { prices, plans, packages, rates })))
    }

    /// Loads the first catalogue into an empty table. Parts that exist stay as they are.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn load(&self, catalogue: &Catalogue) -> Result<(), Fault> {
        let Catalogue { prices, plans, packages, rates } = catalogue;
        let parts =
            [part_item(prices, 0)?, part_item(plans, 0)?, part_item(packages, 0)?, part_item(rates, 0)?];
        for part in parts {
            self.table.put_new(part, "write a setting").await?;
        }
        Ok(())
    }

    /// Changes a part of the catalogue and returns what `decide` returns about the change. When another change was saved
    /// first, it is decided again, so that none is lost. A part that stays the same is not written.
    ///
    /// # Errors
    /// [`Unchanged::Refused`] as decided; [`Fault::Busy`] after [`ATTEMPTS_MAX`] lost races; [`Fault::Unavailable`] when
    /// the table does not answer, in which case the change may have been made.
    pub async fn change<P: CataloguePart, A>(
        &self,
        decide: impl Fn(&P) -> Result<(P, A), BadUpdate>,
    ) -> Result<A, Unchanged> {
        for _ in 0..ATTEMPTS_MAX {
            let (part, revision) = self.part::<P>().await?.unwrap_or_default();
            let (changed, answer) = decide(&part)?;
            if changed == part {
                // An earlier attempt may have changed it and not have logged it.
                self.log_change(ChangedSetting::Catalogue).await?;
                return Ok(answer);
            }
            let saved = self.put_revised(&changed, revision).await;
            self.catalogue.forget(|(), _| true);
            if saved? {
                self.log_change(ChangedSetting::Catalogue).await?;
                return Ok(answer);
            }
        }
        Err(Fault::Busy.into())
    }

    /// Writes a part if it is still at `revision`; returns whether it was.
    async fn put_revised<P: CataloguePart>(&self, part: &P, revision: u64) -> Result<bool, Fault> {
        let item = part_item(part, revision.saturating_add(1))?;
        // A part that was loaded has no revision yet.
        let condition = match revision {
            0 => Condition::new("attribute_not_exists(rev)"),
            seen => Condition::new("rev = :seen").value(":seen", number(seen)),
        };
        self.table.put_if(item, condition, "change the catalogue").await
    }

    async fn loaded<P: CataloguePart>(&self) -> Result<P, Fault> {
        let part = self.part::<P>().await?;
        part.map(|(part, _)| part).ok_or_else(never_loaded)
    }

    /// A part and its revision. Read consistently, so that a change is visible right after it was made.
    async fn part<P: CataloguePart>(&self) -> Result<Option<(P, u64)>, Fault> {
        let (name, attribute) = P::NAMES;
        let Some(mut item) =
            self.table.get(&Key::Settings(SettingsKey::Catalogue(name)), "read the catalogue").await?
        else {
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

fn never_loaded() -> Fault {
    Fault::corrupt("the catalogue", "it was never loaded")
}

#[derive(Serialize, Deserialize)]
struct Revision {
    #[serde(default, skip_serializing_if = "is_zero")]
    rev: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(revision: &u64) -> bool {
    *revision == 0
}

/// The item of a part.
fn part_item<P: CataloguePart>(part: &P, rev: u64) -> Result<StoredItem, Fault> {
    let (name, attribute) = P::NAMES;
    let mut item = item::with_key(&Key::Settings(SettingsKey::Catalogue(name)), &Revision { rev })?;
    let part: AttributeValue = serde_dynamo::to_attribute_value(part)
        .map_err(|source| Fault::corrupt("an item to be written", source))?;
    item.insert(attribute.to_owned(), part);
    Ok(item)
}
