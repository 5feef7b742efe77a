//! Makes the history of the showcase: debits in memory and written together, everything else by the routes.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, Attempt, AutoRecharge, AutoRechargeAction, ClaimKey, Consume, Details, EntryId, IdempotencyKey,
    KeyId, Quantity, Reference, Refusal, consume, due,
};
use fastrand::Rng;
use http::{Method, StatusCode};
use scrip_http::App;
use scrip_payments::Simulated;
use scrip_payments::simulated::{DisputeAction, SignedEvent};
use serde_json::{Value, json};
use store::{AccountChange, BulkBooks, Catalogue, account_item};

use super::caller::{PastCall, PastCaller};
use super::story::{BONUS_LASTS, CARD, Happening, Step, What};
use super::traffic::PlannedDebit;
use crate::demo::OrganisationKeys;
use crate::emulation::{QueueReceiver, send_payment_event};
use crate::engine::Engine;
use crate::scale::ShowcaseScale;
use crate::tables::{ACTIVITY_TABLE, LEDGER_TABLE};

/// After how many debits they are written, if nothing else happens.
const DEBITS_AT_ONCE: usize = 2_000;

/// Among how many of the last debits one is refunded.
const RECENT: usize = 60;

/// How far ids of entries lie before their time at most: a renewal's id is that of its month's first instant.
const ID_BACK: Duration = Duration::hours(1);

/// A history that is being made.
pub(super) struct History<'a> {
    pub(super) app: Arc<App>,
    pub(super) engine: &'a Engine,
    pub(super) provider: Simulated,
    pub(super) payment_events: &'a mut QueueReceiver<SignedEvent>,
    pub(super) caller: PastCaller,
    pub(super) keys: OrganisationKeys,
    pub(super) operator_key: String,
    pub(super) scale: ShowcaseScale,
    pub(super) inbox: String,
    pub(super) random: Rng,
    pub(super) ledger: LedgerInMemory,
}

/// The ledger as it is after the last debit.
pub(super) struct LedgerInMemory {
    pub(super) account: Account,
    /// Debits that are not written yet.
    pub(super) unwritten: Vec<domain::Receipt>,
    pub(super) books: BulkBooks,
    /// The revision of the alert state.
    pub(super) alerts: u64,
    pub(super) catalogue: Arc<Catalogue>,
    /// The keys of the debits.
    pub(super) key_ids: Vec<KeyId>,
    pub(super) recharge: Option<AutoRecharge>,
    /// The last debits that took credits, and how many.
    pub(super) recent: VecDeque<RecentDebit>,
    pub(super) hold: Option<String>,
    pub(super) first_purchase: Option<EntryId>,
}

/// A debit that can be refunded.
#[derive(Clone, Copy)]
pub(super) struct RecentDebit {
    id: EntryId,
    credits: u64,
}

impl LedgerInMemory {
    /// Decides a debit by the rules, and applies it unless it is refused.
    fn debit(&mut self, planned: &PlannedDebit, random: u128) -> anyhow::Result<Option<Refusal>> {
        let quantity = Quantity::try_from(planned.quantity)?;
        let (operation, price) = self.catalogue.prices.price(&reference(planned.operation)?, planned.at)?;
        let request = Consume::priced(operation, price, quantity, None)?;
        let key = ClaimKey::Caller(IdempotencyKey::try_from(planned.resource.clone())?);
        let id = self.account.attempt_id(planned.at, random);
        let posting = match consume(&self.account, &request, &Attempt { id, now: planned.at, claim: key }) {
            Ok(posting) => posting,
            Err(refusal) => return Ok(Some(refusal)),
        };
        self.account = self.account.clone().apply(&posting).context("a posting does not fit its account")?;
        let details = Details {
            quantity: Some(quantity),
            price_version: Some(price.version),
            resource_id: Some(reference(&planned.resource)?),
            customer_id: planned.customer.as_deref().map(reference).transpose()?,
            member_id: planned.member.map(reference).transpose()?,
            key_id: self.key_ids.get(planned.key).copied(),
            ..Details::default()
        };
        self.unwritten.extend(self.account.receipts(details));
        if !request.amount.is_zero() {
            self.recent.push_back(RecentDebit { id, credits: request.amount.get() });
            if RECENT < self.recent.len() {
                self.recent.pop_front();
            }
        }
        Ok(None)
    }

    fn wants_recharge(&self, now: DateTime<Utc>) -> bool {
        let action = self.recharge.as_ref().map(|recharge| recharge.action(&self.account, now));
        action.is_some_and(|action| action != AutoRechargeAction::Rest)
    }
}

fn reference(text: &str) -> anyhow::Result<Reference> {
    Ok(Reference::try_from(text.to_owned())?)
}

impl History<'_> {
    /// Begins with what opening the account has booked: the first month's allowance.
    pub(super) async fn begin(&mut self) -> anyhow::Result<()> {
        let Account { id, plan, allowance, .. } = self.ledger.account.clone();
        self.ledger.account = Account::open(id, plan, allowance, id.org.time());
        self.read().await
    }

    pub(super) async fn happen(&mut self, happening: Happening) -> anyhow::Result<()> {
        let Happening { at, what } = happening;
        match what {
            What::Debit(planned) => self.debit(&planned).await,
            What::Step(step) => {
                self.write(at).await?;
                self.step(step, at).await.with_context(|| format!("{step:?} at {at}"))?;
                self.read().await
            }
        }
    }

    async fn debit(&mut self, planned: &PlannedDebit) -> anyhow::Result<()> {
        let at = planned.at;
        if due(&self.ledger.account, at).is_some() {
            self.write(at).await?;
            self.app.ledger.catch_up(self.ledger.account.id, self.app.clock.moment()).await?;
            self.read().await?;
        }
        let number = self.random.u128(..);
        if self.ledger.debit(planned, number)?.is_some() {
            // Credits were lacking: a customer buys some and tries again.
            self.write(at).await?;
            self.buy(CARD).await?;
            self.read().await?;
            let number = self.random.u128(..);
            if let Some(refusal) = self.ledger.debit(planned, number)? {
                return Err(refusal).context("a debit is refused although credits were bought");
            }
        }
        if self.ledger.wants_recharge(at) {
            self.write(at).await?;
            let checkout = self.app.checkout(self.ledger.account.id.mode);
            checkout.run_auto_recharge(self.ledger.account.id, self.app.clock.moment()).await?;
            self.read().await?;
        }
        if DEBITS_AT_ONCE <= self.ledger.unwritten.len() {
            self.write(at).await?;
        }
        Ok(())
    }

    /// Writes the debits so far, and moves the clock to `at`.
    pub(super) async fn write(&mut self, at: DateTime<Utc>) -> anyhow::Result<()> {
        self.caller.wait_until(at)?;
        let receipts = std::mem::take(&mut self.ledger.unwritten);
        if receipts.is_empty() {
            return Ok(());
        }
        let mut items = self.ledger.books.add(&receipts)?;
        items.push(account_item(&self.ledger.account)?);
        self.engine.import(LEDGER_TABLE, items)?;
        self.app.ledger.cache_account(&self.ledger.account);
        self.emit(&receipts).await
    }

    /// Emits the events that follow from transactions, as the projector does.
    async fn emit(&mut self, receipts: &[domain::Receipt]) -> anyhow::Result<()> {
        let (id, changes) = (self.ledger.account.id, AccountChange::of_receipts(receipts));
        let emitted = self.app.ledger.emit_changes(id, &changes, None, self.app.clock.moment()).await;
        self.ledger.alerts = emitted?;
        Ok(())
    }

    /// Reads what the routes have changed.
    pub(super) async fn read(&mut self) -> anyhow::Result<()> {
        while let Some(event) = self.payment_events.try_next() {
            send_payment_event(&self.caller.router, &event).await;
            self.payment_events.done();
        }
        let before = &self.ledger.account;
        let account = self.app.ledger.account(before.id).await?.context("the showcase has no account")?;
        let opened = domain::Period::of(account.id.org.time()).start();
        let since = before.last.as_ref().and_then(|last| last.id.time().checked_sub_signed(ID_BACK));
        let receipts =
            self.app.ledger.transactions_since(&account, before.sequence, since.unwrap_or(opened)).await?;
        self.ledger.account = account;
        self.ledger.recharge = self.app.ledger.recharge(self.ledger.account.id).await?;
        if receipts.is_empty() {
            return Ok(());
        }
        self.ledger.books.add(&receipts)?;
        self.emit(&receipts).await
    }

    async fn step(&mut self, step: Step, at: DateTime<Utc>) -> anyhow::Result<()> {
        match step {
            Step::SetAlerts => {
                let body = json!({ "lowBalanceThreshold": self.scale.low_balance(), "expiryNoticeDays": 7 });
                self.call(Method::PUT, "/api/v3/credits/alerts", body).await.map(drop)
            }
            Step::SetAutoRecharge => self.set_auto_recharge().await,
            Step::AddWebhook => {
                let body = json!({ "url": self.inbox, "description": "Billing alerts" });
                self.call(Method::POST, "/api/v3/webhooks", body).await.map(drop)
            }
            Step::GrantBonus => self.grant_bonus(at).await,
            Step::Buy(method) => self.buy(method).await,
            Step::OpenDispute => self.dispute(DisputeAction::Open),
            Step::WinDispute => self.dispute(DisputeAction::Win),
            Step::Hold => self.hold().await,
            Step::CaptureSome => self.draw_down("capture", json!({ "amount": 1 })).await,
            Step::Capture => self.draw_down("capture", json!({})).await,
            Step::Release => self.draw_down("release", json!({})).await,
            Step::ReadHold => {
                let path = format!("/api/v3/credits/holds/{}", self.hold_id()?);
                self.call(Method::GET, &path, Value::Null).await.map(drop)
            }
            Step::Refund { in_part } => self.refund(in_part).await,
        }
    }

    async fn call(&mut self, method: Method, path: &str, body: Value) -> anyhow::Result<(StatusCode, Value)> {
        let key = self.keys.api_key.clone();
        self.caller.send(PastCall { method, path, key: &key, body }).await
    }

    async fn set_auto_recharge(&mut self) -> anyhow::Result<()> {
        let body = json!({
            "enabled": true,
            "threshold": self.scale.recharge_threshold(),
            "amount": self.scale.pack_credits(),
            "paymentMethod": CARD,
            "monthlySpendLimit": { "amount": 600_000, "currency": "GBP" },
        });
        self.call(Method::PUT, "/api/v3/credits/auto-recharge", body).await.map(drop)
    }

    async fn grant_bonus(&mut self, at: DateTime<Utc>) -> anyhow::Result<()> {
        let ends = at.checked_add_signed(self.scale.share(BONUS_LASTS)).unwrap_or(at);
        let body = json!({
            "source": "bonus",
            "amount": self.scale.low_balance(),
            "expiresAt": scrip_http::timestamp::text(&ends),
            "description": "For a slow week of our service",
        });
        let path = format!("/admin/v1/organisations/{}/grants", self.keys.organisation_id);
        let key = self.operator_key.clone();
        self.caller.send(PastCall { method: Method::POST, path: &path, key: &key, body }).await.map(drop)
    }

    async fn buy(&mut self, method: &str) -> anyhow::Result<()> {
        let body = json!({ "package": self.scale.pack(), "paymentMethod": method });
        let (status, bought) = self.call(Method::POST, "/api/v3/credits/purchase", body).await?;
        let transaction = bought.get("transactionId").and_then(Value::as_str);
        if status == StatusCode::CREATED && self.ledger.first_purchase.is_none() {
            let transaction = transaction.context("a purchase has no id")?;
            self.ledger.first_purchase = Some(EntryId::try_from(transaction.to_owned())?);
        }
        Ok(())
    }

    /// The provider's event about it is handled with the others, before the ledger is read.
    fn dispute(&self, action: DisputeAction) -> anyhow::Result<()> {
        let transaction = self.ledger.first_purchase.context("nothing was bought")?;
        self.provider.dispute(transaction, action)?;
        Ok(())
    }

    async fn hold(&mut self) -> anyhow::Result<()> {
        let body = json!({
            "operation": "deepfake.video",
            "customerId": "cust_001",
            "resourceId": format!("media_{:07x}", self.random.u32(0..0x1000_0000)),
        });
        let (_, held) = self.call(Method::POST, "/api/v3/credits/holds", body).await?;
        self.ledger.hold = held.get("holdId").and_then(Value::as_str).map(str::to_owned);
        Ok(())
    }

    async fn draw_down(&mut self, how: &str, body: Value) -> anyhow::Result<()> {
        let path = format!("/api/v3/credits/holds/{}/{how}", self.hold_id()?);
        self.call(Method::POST, &path, body).await.map(drop)
    }

    fn hold_id(&self) -> anyhow::Result<&str> {
        self.ledger.hold.as_deref().context("nothing is held")
    }

    /// Refunds one of the last debits; none is refunded twice.
    async fn refund(&mut self, in_part: bool) -> anyhow::Result<()> {
        let count = self.ledger.recent.len();
        if count == 0 {
            return Ok(());
        }
        let place = self.random.usize(0..count);
        let Some(RecentDebit { id, credits }) = self.ledger.recent.remove(place) else { return Ok(()) };
        let reason = if self.random.bool() { "technical_failure" } else { "canceled_verification" };
        let amount = (in_part && credits > 1).then_some(1);
        let body = json!({ "transactionId": id.to_string(), "reason": reason, "amount": amount });
        self.call(Method::POST, "/api/v3/credits/refund", body).await.map(drop)
    }

    /// Writes what is left, and everything that the projector would have written.
    pub(super) async fn finish(mut self, until: DateTime<Utc>) -> anyhow::Result<()> {
        self.write(until).await?;
        let account = self.app.ledger.account(self.ledger.account.id).await?;
        if account.is_none_or(|account| account != self.ledger.account) {
            bail!("the ledger of the showcase differs from what was written");
        }
        let LedgerInMemory { books, alerts, .. } = self.ledger;
        let items = books.finish(alerts)?;
        // The watermark is among the last: what it counts exists.
        self.engine.import(ACTIVITY_TABLE, items.activity)?;
        self.engine.import(LEDGER_TABLE, items.ledger)?;
        Ok(())
    }
}
