//! The demo data: its keys, one organisation, and the organisation's ledger.

use std::collections::BTreeSet;

use anyhow::Context;
use chrono::{DateTime, SubsecRound, Utc};
use domain::{
    Account, AccountId, Allowance, Amount, ApiKey, ApiKeySecret, ClaimKey, Consume, Credits, Details,
    EntryId, Fingerprint, Grant, GrantOrigin, IdempotencyKey, KeyId, Mode, OrgId, PlanId, Quantity,
    Reference, Scope, Source, consume, grant,
};
use scrip_http::App;
use serde::{Deserialize, Serialize};
use store::{Claim, Fault, Moment, Organisation, Unsettled, random, secret_bytes};

use crate::scale::ShowcaseScale;

/// The demo organisation's monthly allowance. It is negotiated, so that 250 credits are left after 150 were used, as in the
/// example balance of the API documentation.
const ALLOWANCE: u64 = 400;

/// What the organisation has used this month, 150 credits in all: operation, quantity, resource.
const USED: [(&str, u64, &str); 14] = [
    ("verification.document", 20, "doc_3001"),
    ("verification.standard", 25, "verif_xyz700"),
    ("verification.enhanced", 6, "verif_xyz731"),
    ("verification.biometric", 5, "bio_88"),
    ("aml.sanctions", 12, "aml_501"),
    ("aml.pep", 4, "aml_502"),
    ("aml.adverse_media", 3, "aml_503"),
    ("aml.enhanced", 2, "aml_504"),
    ("deepfake.image", 4, "media_9"),
    ("deepfake.video", 2, "media_10"),
    ("kyt.wallet", 3, "wallet_0x71"),
    ("export.pdf", 8, "report_2"),
    ("applicants.import", 1, "import_1"),
    ("verification.standard", 13, "verif_xyz789"),
];

/// The keys of the local machine in clear text, which no other place has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DemoKeys {
    /// The id of the demo organisation; `None` without demo data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation_id: Option<String>,
    /// Its live key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// Its test key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_key: Option<String>,
    /// The operator's key.
    pub operator_key: String,
    /// The organisation with a history; `None` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub showcase: Option<OrganisationKeys>,
}

/// An organisation and its keys in clear text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrganisationKeys {
    /// The id of the organisation.
    pub organisation_id: String,
    /// Its live key.
    pub api_key: String,
    /// Its test key.
    pub test_key: String,
}

impl OrganisationKeys {
    /// New random keys of an organisation that was opened at `at`.
    pub(crate) fn fresh(at: DateTime<Utc>) -> Result<Self, Fault> {
        Ok(Self {
            organisation_id: OrgId::new(at, random()).to_string(),
            api_key: fresh_secret(Mode::Live)?,
            test_key: fresh_secret(Mode::Test)?,
        })
    }

    pub(crate) fn organisation(&self) -> anyhow::Result<OrgId> {
        OrgId::try_from(self.organisation_id.clone()).context("local.json names no organisation")
    }
}

fn fresh_secret(mode: Mode) -> Result<String, Fault> {
    Ok(ApiKeySecret::for_organisation(mode, secret_bytes()?).reveal().to_owned())
}

impl DemoKeys {
    /// New random keys, and if wanted those of an organisation that was opened at `at`.
    pub(crate) fn fresh(with_organisation: bool, at: DateTime<Utc>) -> Result<Self, Fault> {
        Ok(Self {
            organisation_id: with_organisation.then(|| OrgId::new(at, random()).to_string()),
            api_key: with_organisation.then(|| fresh_secret(Mode::Live)).transpose()?,
            test_key: with_organisation.then(|| fresh_secret(Mode::Test)).transpose()?,
            operator_key: ApiKeySecret::for_operator(secret_bytes()?).reveal().to_owned(),
            showcase: None,
        })
    }

    /// Adds the keys to the database, and opens their organisations.
    pub(crate) async fn install(&self, app: &App, moment: Moment) -> anyhow::Result<()> {
        add_key(app, &self.operator_key, None, moment).await?;
        if let Some(showcase) = &self.showcase {
            // Its history has opened it; what has fallen due since then is booked.
            let org = showcase.organisation()?;
            for mode in [Mode::Live, Mode::Test] {
                let id = AccountId { org, mode };
                tolerate_broken_account(id, catch_up(app, id, moment).await)?;
            }
        }
        let Some(org) = self.organisation()? else { return Ok(()) };
        let allowance = Allowance::Monthly(Credits::try_from(ALLOWANCE)?);
        let organisation = demo_organisation(org, "Acme Compliance", allowance);
        open(app, &organisation, [self.api_key.as_deref(), self.test_key.as_deref()], moment).await
    }

    /// Adds the operator's key, and opens the organisation of the showcase.
    pub(crate) async fn install_showcase(
        &self,
        app: &App,
        scale: ShowcaseScale,
        moment: Moment,
    ) -> anyhow::Result<()> {
        add_key(app, &self.operator_key, None, moment).await?;
        let keys = self.showcase.as_ref().context("local.json names no showcase")?;
        let allowance = Allowance::Monthly(Credits::try_from(scale.allowance())?);
        let organisation = demo_organisation(keys.organisation()?, "Northwind Bank", allowance);
        open(app, &organisation, [Some(keys.api_key.as_str()), Some(keys.test_key.as_str())], moment).await
    }

    fn organisation(&self) -> anyhow::Result<Option<OrgId>> {
        self.organisation_id
            .clone()
            .map(OrgId::try_from)
            .transpose()
            .context("local.json names no organisation")
    }
}

/// An organisation on the professional plan, with a negotiated allowance.
fn demo_organisation(org: OrgId, name: &str, allowance: Allowance) -> Organisation {
    Organisation {
        self_service_plans: true,
        ..Organisation::new(org, name, PlanId("professional".into()), allowance, org.time())
    }
}

/// Opens an organisation with both accounts, unless they are open, and adds its live and its test key.
async fn open(
    app: &App,
    organisation: &Organisation,
    keys: [Option<&str>; 2],
    moment: Moment,
) -> anyhow::Result<()> {
    let Organisation { org, plan, allowance, .. } = organisation;
    app.settings.add_organisation(organisation).await?;
    for (mode, key) in [Mode::Live, Mode::Test].into_iter().zip(keys) {
        let id = AccountId { org: *org, mode };
        app.ledger.open(&Account::open(id, plan.clone(), *allowance, org.time())).await?;
        tolerate_broken_account(id, catch_up(app, id, moment).await)?;
        if let Some(key) = key {
            add_key(app, key, Some(*org), moment).await?;
        }
    }
    Ok(())
}

/// The entries of the demo ledger: the opening allowance, two grants, and the debits. They are the account's first entries,
/// so an account that has this many has all of them.
const ENTRIES: usize = 3 + USED.len();

/// Fills the demo organisation's live ledger. Every step has an idempotency key of its own, so a restart continues an
/// interrupted start.
pub(crate) async fn fill(app: &App, keys: &DemoKeys, moment: Moment) -> anyhow::Result<()> {
    let Some(org) = keys.organisation()? else { return Ok(()) };
    let account = AccountId { org, mode: Mode::Live };
    tolerate_broken_account(account, fill_ledger(app, account, moment).await)
}

/// Lets the start continue when an account can't be read: an operator can repair it only while the machine is up.
///
/// # Errors
/// Any other error.
fn tolerate_broken_account(account: AccountId, outcome: anyhow::Result<()>) -> anyhow::Result<()> {
    let Err(error) = outcome else { return Ok(()) };
    let is_broken = error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(Fault::BrokenAccount { .. }))
            || matches!(cause.downcast_ref(), Some(Unsettled::Failed(Fault::BrokenAccount { .. })))
    });
    if !is_broken {
        return Err(error);
    }
    tracing::warn!(
        %account,
        error = format!("{error:#}"),
        "the record of the demo account cannot be read: GET /admin/v1/organisations/{{id}} names the unreadable attributes, and POST \
         /admin/v1/organisations/{{id}}/repair repairs it"
    );
    Ok(())
}

async fn fill_ledger(app: &App, account: AccountId, moment: Moment) -> anyhow::Result<()> {
    let known = app.ledger.account(account).await?.context("the demo organisation has no account")?;
    if usize::try_from(known.sequence)? >= ENTRIES {
        return Ok(());
    }
    for (source, amount, origin, description) in [
        (Source::Purchased, 100, GrantOrigin::Purchase, "Credits bought by bank transfer"),
        (Source::Bonus, 50, GrantOrigin::Operator, "Welcome bonus"),
    ] {
        let amount = Amount::try_from(amount)?;
        let request = Grant { source, amount, service: None, expires_at: None, origin };
        let details =
            Details { description: Some(Reference::try_from(description.to_owned())?), ..Details::default() };
        settle(
            app,
            account,
            DemoEntry { name: description, details: &details, moment },
            |account, attempt| grant(account, &request, attempt),
        )
        .await?;
    }
    let catalogue = app.settings.catalogue(moment.wall).await?;
    for (operation, quantity, resource) in USED {
        let quantity = Quantity::try_from(quantity)?;
        let (operation, price) =
            catalogue.prices.price(&Reference::try_from(operation.to_owned())?, moment.now)?;
        let request = Consume::priced(operation, price, quantity, None)?;
        let details = Details {
            quantity: Some(quantity),
            price_version: Some(price.version),
            resource_id: Some(Reference::try_from(resource.to_owned())?),
            customer_id: Some(Reference::try_from("cust_acme".to_owned())?),
            ..Details::default()
        };
        settle(app, account, DemoEntry { name: resource, details: &details, moment }, |account, attempt| {
            consume(account, &request, attempt)
        })
        .await?;
    }
    Ok(())
}

/// Books the months up to `moment`. One call books ten years; the clock may have been moved further.
async fn catch_up(app: &App, id: AccountId, moment: Moment) -> anyhow::Result<()> {
    const CALLS_MAX: u32 = 1_000;
    for _ in 0..CALLS_MAX {
        match app.ledger.catch_up(id, moment).await {
            Err(Unsettled::Failed(Fault::Busy)) => (),
            other => return Ok(other.map(|_| ())?),
        }
    }
    anyhow::bail!("the demo ledger can't be caught up to {}", moment.now)
}

/// What identifies an entry of the demo ledger.
struct DemoEntry<'a> {
    /// The entry's idempotency key is made from it.
    name: &'a str,
    details: &'a Details,
    moment: Moment,
}

async fn settle(
    app: &App,
    account: AccountId,
    entry: DemoEntry<'_>,
    decide: impl Fn(&Account, &domain::Attempt) -> Result<domain::Posting, domain::Refusal> + Send + Sync,
) -> anyhow::Result<()> {
    let DemoEntry { name, details, moment } = entry;
    let key = ClaimKey::Operator(IdempotencyKey::try_from(format!("demo/{}", name.replace(' ', "-")))?);
    app.ledger
        .settle(account, Claim::new(&key, &Fingerprint(name.to_owned()), details), moment, decide)
        .await?;
    Ok(())
}

/// Issues an operator's key.
///
/// # Errors
/// When the database fails.
pub async fn operator_key(app: &App, moment: Moment) -> anyhow::Result<String> {
    let keys = DemoKeys::fresh(false, moment.now)?;
    keys.install(app, moment).await?;
    Ok(keys.operator_key)
}

async fn add_key(app: &App, key: &str, org: Option<OrgId>, moment: Moment) -> anyhow::Result<()> {
    let secret = ApiKeySecret::parse(key).context("local.json holds an invalid key")?;
    // The id is derived from the key, so every start gives the key the same id.
    let mut bits = [0u8; 16];
    bits.iter_mut().zip(secret.hash().into_bytes()).for_each(|(bit, byte)| *bit = byte);
    let since = org.map_or(DateTime::UNIX_EPOCH, OrgId::time);
    let scopes = if org.is_some() { Scope::ALL.into() } else { BTreeSet::new() };
    let key_id = KeyId::from(EntryId::derived(since, bits));
    let key = ApiKey::new(key_id, org, scopes, &secret, moment.now.trunc_subsecs(0));
    app.settings.add_key(&secret, &key).await?;
    Ok(())
}
