//! Rebuilding an account whose own item is unreadable: from the rows of its ledger, and from the readable rest of the item
//! where no row has the value.

use chrono::{DateTime, Utc};

use crate::repair::rebuilt_item::rebuilt;
use crate::repair::rows::{RepairRows, last_entry, lost, sequence};
use crate::table::condition::Condition;
use crate::table::damage::{Damage, damages};
use crate::table::error::{Fault, Unsettled};
use crate::table::item::{AccountItem, with_key};
use crate::table::key::{ClaimsOf, Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::write::claim::{Claim, Claimed, HeldClaim, OwnedClaim};
use domain::{Account, AccountId, Attempt, Receipt, repaired};
use ports::{Moment, random};

/// How often other requests may change the item while it is rebuilt.
const ATTEMPTS_MAX: u32 = 3;

/// Whether an account can be rebuilt.
#[derive(Clone, Debug)]
pub enum Rebuild {
    /// It has neither an item nor rows.
    Missing,
    /// Its item is readable; there is nothing to repair.
    Reads(Box<Account>),
    /// It cannot be rebuilt.
    Impossible {
        /// The unreadable attributes.
        damages: Vec<Damage>,
        /// Everything that is missing, or wrong with the rows.
        problems: Vec<String>,
    },
    /// It can be rebuilt.
    Ready(Box<Rebuilt>),
}

/// An account, rebuilt from its rows.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The attributes that were unreadable.
    pub damages: Vec<Damage>,
    /// The account with the entry of its repair.
    pub account: Account,
    /// Rows that were never written, because the item was unreadable when their entries landed.
    pub missing: Vec<Receipt>,
    /// The item that it replaces.
    raw: Option<StoredItem>,
    /// The positions of skipped records, which are not needed any more.
    skipped: Vec<String>,
}

/// The result of a repair.
#[derive(Clone, Debug)]
pub enum Repaired {
    /// The account is repaired.
    Made {
        /// The transaction of the repair.
        receipt: Box<Receipt>,
        /// Whether an earlier attempt of the same request made it.
        replayed: bool,
        /// The attributes that were unreadable; empty for an earlier attempt.
        damages: Vec<Damage>,
        /// How many missing rows were written.
        written: usize,
    },
    /// Nothing was changed.
    Not(Rebuild),
}

impl Ledger {
    /// Rebuilds an account from its rows, without writing anything.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn rebuild(
        &self,
        id: AccountId,
        claim: Claim<'_>,
        now: DateTime<Utc>,
    ) -> Result<Rebuild, Fault> {
        let raw = self.table.get(&Key::Account(id), "read an account").await?;
        if let Some(account) = raw.clone().and_then(|raw| self.read_account(id, raw).ok()) {
            return Ok(Rebuild::Reads(Box::new(account)));
        }
        let item = raw.clone().unwrap_or_default();
        let mut damages = damages(id, &item);
        if raw.is_none() {
            damages =
                vec![Damage { attribute: "(the whole item)".to_owned(), problem: "is missing".to_owned() }];
        }
        let watermark = self.read_watermark(id, true).await?;
        let mut rows = self.repair_rows(id, &watermark, now).await?;
        if raw.is_none() && rows.facts.last().is_none() {
            return Ok(Rebuild::Missing);
        }
        let records = self.skipped(id).await?;
        let images: Vec<_> = records.iter().map(|record| &record.image).chain([&item]).collect();
        let missing = self.missing_rows(id, &mut rows, &images).await?;
        let known = rows.facts.totals().sequence;
        let is_last = last_entry(&item)
            .is_some_and(|last| rows.facts.last().is_some_and(|row| row.entry.id == last.last_id()));
        if rows.problems.is_empty() && !is_last && sequence(&item).is_some_and(|seq| known < seq) {
            rows.problems.push(lost(known));
        }
        let skipped = records.into_iter().map(|record| record.position).collect();
        let RepairRows { facts, mut problems, .. } = rows;
        if problems.is_empty() {
            match rebuilt(id, &item, facts.totals(), &facts) {
                Ok(account) => {
                    let attempt =
                        Attempt { id: account.attempt_id(now, random()), now, claim: claim.key.clone() };
                    let account = repaired(account, &attempt);
                    let findings = facts.against(&account, claim.details.clone());
                    problems.extend(findings.iter().map(|finding| finding.problem.to_string()));
                    if problems.is_empty() {
                        let rebuilt = Rebuilt { damages, account, missing, raw, skipped };
                        return Ok(Rebuild::Ready(Box::new(rebuilt)));
                    }
                }
                Err(wrong) => problems = wrong,
            }
        }
        Ok(Rebuild::Impossible { damages, problems })
    }

    /// Repairs an account whose item is unreadable: rebuilds it from its rows and replaces the item, if that is still the
    /// same. The repair is an entry of the ledger.
    ///
    /// # Errors
    /// [`Unsettled::KeyReused`]; [`Unsettled::InProgress`]; [`Unsettled::Failed`] when the table does not answer, or other
    /// requests change the item all the time.
    pub async fn repair(
        &self,
        id: AccountId,
        claim: Claim<'_>,
        moment: Moment,
    ) -> Result<Repaired, Unsettled> {
        let owned = claim.of(ClaimsOf::Account(id));
        for _ in 0..ATTEMPTS_MAX {
            let rebuild = self.rebuild(id, claim, moment.now).await?;
            let Rebuild::Ready(rebuilt) = rebuild else {
                let made = match &rebuild {
                    Rebuild::Reads(account) => self.record_repair(account, owned, moment).await?,
                    Rebuild::Missing | Rebuild::Impossible { .. } | Rebuild::Ready(_) => None,
                };
                return match made {
                    Some(made) => Ok(made),
                    None => Ok(Repaired::Not(rebuild)),
                };
            };
            if let Some(made) = self.claim_repair(id, owned, &rebuilt, moment).await? {
                return Ok(made);
            }
            for receipt in &rebuilt.missing {
                self.record(id, receipt).await?;
            }
            if self.put_repaired(&rebuilt).await? {
                let Rebuilt { account, damages, missing, skipped, .. } = *rebuilt;
                let receipts = account.receipts(claim.details.clone());
                self.accounts.put(&account);
                self.record_or_leave(&account, &receipts).await;
                for position in skipped {
                    self.drop_skipped(id, position).await?;
                }
                let receipt = receipts.into_iter().next().map(Box::new);
                let receipt = receipt.ok_or_else(|| Fault::corrupt("an account", "it has no last entry"))?;
                return Ok(Repaired::Made { receipt, replayed: false, damages, written: missing.len() });
            }
        }
        Err(Fault::Busy.into())
    }

    /// The repair that an earlier attempt of the same request made.
    async fn repaired_before(
        &self,
        id: AccountId,
        claim: OwnedClaim<'_>,
        moment: Moment,
    ) -> Result<Option<Repaired>, Unsettled> {
        let Some(held) = self.claim_of(claim.of, claim.key).await?.map(HeldClaim::new) else {
            return Ok(None);
        };
        if !held.is_current(moment.wall) {
            return Ok(None);
        }
        if !held.is_for(claim.fingerprint) {
            return Err(Unsettled::KeyReused);
        }
        let row = self.transaction(id, held.id()).await?;
        Ok(row.map(|receipt| Repaired::Made {
            receipt: Box::new(receipt),
            replayed: true,
            damages: vec![],
            written: 0,
        }))
    }

    /// The repair that an earlier attempt made of an account that is readable now. If that attempt crashed before it
    /// wrote the row, writes the row.
    async fn record_repair(
        &self,
        account: &Account,
        claim: OwnedClaim<'_>,
        moment: Moment,
    ) -> Result<Option<Repaired>, Unsettled> {
        if let Some(made) = self.repaired_before(account.id, claim, moment).await? {
            return Ok(Some(made));
        }
        let held = self.claim_of(claim.of, claim.key).await?.map(HeldClaim::new);
        // A repair closes the account to all attempts before it, so its fence identifies its claim.
        let Some(held) = held.filter(|held| held.id().before() == account.fence.up_to) else {
            return Ok(None);
        };
        if account.last.as_ref().is_none_or(|last| last.id != held.id()) {
            // The projector will write the row.
            return Err(Unsettled::InProgress);
        }
        for receipt in account.receipts(held.into_details()) {
            self.record(account.id, &receipt).await?;
        }
        self.repaired_before(account.id, claim, moment).await
    }

    /// Takes the key for a repair, or returns the repair that an earlier attempt made.
    async fn claim_repair(
        &self,
        id: AccountId,
        claim: OwnedClaim<'_>,
        rebuilt: &Rebuilt,
        moment: Moment,
    ) -> Result<Option<Repaired>, Unsettled> {
        let Some(entry) = rebuilt.account.last.as_ref().map(|last| last.id) else { return Ok(None) };
        let Claimed::Theirs(held) = self.claim(claim, entry, moment).await? else { return Ok(None) };
        if let Some(made) = self.repaired_before(id, claim, moment).await? {
            return Ok(Some(made));
        }
        // The earlier attempt cannot land any more once the item has changed.
        let is_ours = self.take_over(claim, held.id(), entry, moment).await?;
        is_ours.then_some(None).ok_or(Unsettled::InProgress)
    }

    /// Replaces the item by the rebuilt one; `false` when the item has changed.
    async fn put_repaired(&self, rebuilt: &Rebuilt) -> Result<bool, Fault> {
        let id = rebuilt.account.id;
        let item = with_key(&Key::Account(id), &AccountItem::from(&rebuilt.account))?;
        let mut condition = Condition::default();
        let mut conditions = Vec::new();
        if let Some(raw) = &rebuilt.raw {
            for (place, (name, value)) in raw.iter().enumerate() {
                conditions.push(format!("#a{place} = :a{place}"));
                condition = condition.name(format!("#a{place}"), name);
                condition = condition.value(format!(":a{place}"), value.clone());
            }
            for (place, name) in item.keys().filter(|name| !raw.contains_key(*name)).enumerate() {
                conditions.push(format!("attribute_not_exists(#n{place})"));
                condition = condition.name(format!("#n{place}"), name);
            }
        } else {
            conditions.push("attribute_not_exists(pk)".to_owned());
        }
        condition.expression = conditions.join(" AND ");
        if self.table.put_if(item, condition, "replace a broken account").await? {
            return Ok(true);
        }
        // The SDK may have sent it twice: then the first call replaced it.
        let known = self.table.get(&Key::Account(id), "read an account").await?;
        let known = known.and_then(|item| self.read_account(id, item).ok());
        Ok(known.is_some_and(|known| known == rebuilt.account))
    }
}
