//! Rebuilds an account whose own item does not read: from the rows of its ledger, and from what of the item still
//! reads where no row tells it.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use chrono::{DateTime, Utc};

use super::broken::{self, Damage};
use super::claim::{Claimed, Held, Wish};
use super::item::{AccountItem, with_key};
use super::key::{Item, Key};
use super::rebuilt::rebuilt;
use super::repair_rows::{Rows, last_entry, lost};
use super::{ClaimsOf, Fault, Ledger, Moment, Unsettled};
use domain::{Account, AccountId, ClaimKey, Details, EntryId, Fingerprint, Head, Receipt, repaired};
use ports::random;

/// How often others may change the item while it is rebuilt.
const ATTEMPTS_MAX: u32 = 3;

/// What can be made of an account.
#[derive(Clone, Debug)]
pub enum Rebuild {
    /// Neither an item nor rows.
    Missing,
    /// Its item reads; there is nothing to repair.
    Reads(Box<Account>),
    /// It can't be rebuilt, and why not.
    Impossible {
        /// The attributes that do not read.
        damages: Vec<Damage>,
        /// What is missing, or wrong with the rows.
        problems: Vec<String>,
    },
    /// It can be rebuilt.
    Ready(Box<Rebuilt>),
}

/// An account as its rows tell it.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The attributes that did not read.
    pub damages: Vec<Damage>,
    /// The account with the entry of its repair.
    pub account: Account,
    /// Rows that nobody had written, because the item did not read when their entries landed.
    pub missing: Vec<Receipt>,
    /// The item as it was seen.
    raw: Option<Item>,
    /// Where skipped records are kept, which are not needed any more.
    skipped: Vec<String>,
}

/// How a repair ended.
#[derive(Clone, Debug)]
pub enum Repaired {
    /// It was made: the entry that says so, and whether an earlier sending of the same request made it.
    Made {
        /// The line of the ledger.
        receipt: Box<Receipt>,
        /// Whether it was made before.
        replayed: bool,
        /// The attributes that did not read; none where it was made before.
        damages: Vec<Damage>,
        /// How many rows were written that were missing.
        written: usize,
    },
    /// Nothing was changed.
    Not(Rebuild),
}

impl Ledger {
    /// Rebuilds an account from its rows, without changing anything.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn rebuild(
        &self,
        id: AccountId,
        (key, details): (&ClaimKey, &Details),
        now: DateTime<Utc>,
    ) -> Result<Rebuild, Fault> {
        let raw = self.get(&Key::Account(id), true, "read an account").await?;
        if let Some(account) = raw.clone().and_then(|raw| self.read_account(id, raw).ok()) {
            return Ok(Rebuild::Reads(Box::new(account)));
        }
        let item = raw.clone().unwrap_or_default();
        let mut damages = broken::damages(id, &item);
        if raw.is_none() {
            damages =
                vec![Damage { attribute: "(the whole item)".to_owned(), problem: "is missing".to_owned() }];
        }
        let mark = self.read_mark(id, true).await?;
        let mut rows = self.told_by_rows(id, &mark, now).await?;
        if raw.is_none() && rows.facts.last().is_none() {
            return Ok(Rebuild::Missing);
        }
        let records = self.skipped(id).await?;
        let images: Vec<_> = records.iter().map(|(_, image)| image).chain([&item]).collect();
        let missing = self.missing_rows(id, &mut rows, &images).await?;
        let known = rows.facts.totals().sequence;
        let is_last = last_entry(&item)
            .is_some_and(|last| rows.facts.last().is_some_and(|row| row.entry.id == last.last_id()));
        if rows.problems.is_empty() && !is_last && broken::sequence(&item).is_some_and(|seq| known < seq) {
            rows.problems.push(lost(known));
        }
        let skipped = records.into_iter().map(|(place, _)| place).collect();
        let Rows { facts, mut problems, .. } = rows;
        if problems.is_empty() {
            match rebuilt(id, &item, facts.totals(), &facts) {
                Ok(account) => {
                    let head =
                        Head { id: EntryId::above(account.floor(), now, random()), now, claim: key.clone() };
                    let account = repaired(account, &head);
                    let findings = facts.against(&account, details.clone());
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

    /// Repairs an account whose item does not read: rebuilds it from its rows and puts it in the place of the item,
    /// if that is still as it was seen. The repair is an entry of the ledger.
    ///
    /// # Errors
    /// [`Unsettled::KeyReused`]; [`Unsettled::InProgress`]; [`Unsettled::Failed`] when the table does not serve, or
    /// others change the item all the time.
    pub async fn repair(
        &self,
        id: AccountId,
        (key, asked, details): (&ClaimKey, &Fingerprint, &Details),
        moment: Moment,
    ) -> Result<Repaired, Unsettled> {
        let wish = Wish { of: ClaimsOf::Account(id), key, asked, details };
        for _ in 0..ATTEMPTS_MAX {
            let rebuild = self.rebuild(id, (key, details), moment.now).await?;
            let Rebuild::Ready(rebuilt) = rebuild else {
                let made = match &rebuild {
                    Rebuild::Reads(account) => self.record_repair(account, wish, moment).await?,
                    Rebuild::Missing | Rebuild::Impossible { .. } | Rebuild::Ready(_) => None,
                };
                return match made {
                    Some(made) => Ok(made),
                    None => Ok(Repaired::Not(rebuild)),
                };
            };
            if let Some(made) = self.claim_repair(id, wish, &rebuilt, moment).await? {
                return Ok(made);
            }
            for receipt in &rebuilt.missing {
                self.record(id, receipt).await?;
            }
            if self.put_repaired(&rebuilt).await? {
                let Rebuilt { account, damages, missing, skipped, .. } = *rebuilt;
                let receipts = account.receipts(details.clone());
                self.hints.put(&account);
                self.record_or_leave(id, &receipts).await;
                for place in skipped {
                    self.drop_skipped(id, place).await?;
                }
                let receipt = receipts.into_iter().next().map(Box::new);
                let receipt = receipt.ok_or_else(|| Fault::corrupt("an account", "it has no last entry"))?;
                return Ok(Repaired::Made { receipt, replayed: false, damages, written: missing.len() });
            }
        }
        Err(Fault::Busy.into())
    }

    /// The repair that an earlier sending of the same request has made.
    async fn repaired_before(
        &self,
        id: AccountId,
        wish: Wish<'_>,
        moment: Moment,
    ) -> Result<Option<Repaired>, Unsettled> {
        let Some(claim) = self.claim_of(wish.of, wish.key).await? else { return Ok(None) };
        let held = Held::new(claim);
        if !held.is_current(moment.wall) {
            return Ok(None);
        }
        if !held.is_for(wish.asked) {
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

    /// The repair that an earlier sending has made of an account that reads now. Where that sending died before it
    /// wrote the row, the row is written.
    async fn record_repair(
        &self,
        account: &Account,
        wish: Wish<'_>,
        moment: Moment,
    ) -> Result<Option<Repaired>, Unsettled> {
        if let Some(made) = self.repaired_before(account.id, wish, moment).await? {
            return Ok(Some(made));
        }
        let claim = self.claim_of(wish.of, wish.key).await?.map(Held::new);
        // A repair closes the account to all before it, so whose repair it was can be told.
        let Some(held) = claim.filter(|held| held.id().before() == account.fence.up_to) else {
            return Ok(None);
        };
        if account.last.as_ref().is_none_or(|last| last.id != held.id()) {
            // The projector is on its way to the row.
            return Err(Unsettled::InProgress);
        }
        for receipt in account.receipts(held.into_details()) {
            self.record(account.id, &receipt).await?;
        }
        self.repaired_before(account.id, wish, moment).await
    }

    /// Takes the key for a repair; or what an earlier sending has made.
    async fn claim_repair(
        &self,
        id: AccountId,
        wish: Wish<'_>,
        rebuilt: &Rebuilt,
        moment: Moment,
    ) -> Result<Option<Repaired>, Unsettled> {
        let Some(entry) = rebuilt.account.last.as_ref().map(|last| last.id) else { return Ok(None) };
        let Claimed::Theirs(held) = self.claim(wish, entry, moment).await? else { return Ok(None) };
        if let Some(made) = self.repaired_before(id, wish, moment).await? {
            return Ok(Some(made));
        }
        // It can't land any more once the item is another one.
        let is_ours = self.take_over(wish, held.id(), entry, moment).await?;
        is_ours.then_some(None).ok_or(Unsettled::InProgress)
    }

    /// Puts the rebuilt item in the place of the one that was seen; false when that is another one by now.
    async fn put_repaired(&self, rebuilt: &Rebuilt) -> Result<bool, Fault> {
        let id = rebuilt.account.id;
        let item = with_key(&Key::Account(id), &AccountItem::from(&rebuilt.account))?;
        let mut put = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
        let mut conditions = Vec::new();
        if let Some(raw) = &rebuilt.raw {
            for (place, (name, value)) in raw.iter().enumerate() {
                conditions.push(format!("#a{place} = :a{place}"));
                put = put.expression_attribute_names(format!("#a{place}"), name);
                put = put.expression_attribute_values(format!(":a{place}"), value.clone());
            }
            for (place, name) in item.keys().filter(|name| !raw.contains_key(*name)).enumerate() {
                conditions.push(format!("attribute_not_exists(#n{place})"));
                put = put.expression_attribute_names(format!("#n{place}"), name);
            }
        } else {
            conditions.push("attribute_not_exists(pk)".to_owned());
        }
        match put.condition_expression(conditions.join(" AND ")).send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                // The SDK may have sent it twice.
                Some(PutItemError::ConditionalCheckFailedException(_)) => {
                    let known = self.get(&Key::Account(id), true, "read an account").await?;
                    let known = known.and_then(|item| self.read_account(id, item).ok());
                    Ok(known.is_some_and(|known| known == rebuilt.account))
                }
                Some(_) | None => Err(Fault::unavailable("put a repaired account")(error.into())),
            },
        }
    }
}
