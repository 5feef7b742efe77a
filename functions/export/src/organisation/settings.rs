//! The plan, auto-recharge, alerts, webhooks with their deliveries, and monitors of a ledger.

use domain::{DeliveryId, Mode, MonitorStatus, WebhookId};
use scrip_http::{AlertsView, AutoRechargeView, DeliveryView, MonitorView, SubscriptionView, WebhookView};
use serde::Serialize;
use store::{Fault, Unsettled, WebhookKey};

use super::{SectionPage, SectionReader, line, place};

/// How many deliveries a page has. A delivery takes some kilobytes.
const DELIVERIES: i32 = 50;

/// How many monitors a page has.
const MONITORS: i32 = 100;

/// A delivery, and the webhook that it was made to.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeliveryTo {
    webhook_id: String,
    #[serde(flatten)]
    delivery: DeliveryView,
}

impl SectionReader<'_> {
    /// Four reads at most: the account, its last hundred changes of plan, the catalogue.
    pub(super) async fn subscription(&self, mode: Mode) -> Result<SectionPage, Unsettled> {
        let (id, moment) = (self.account(mode), self.moment(mode).await?);
        let account = self.app.ledger.account(id).await?.ok_or(Unsettled::NoAccount)?;
        let history = self.app.ledger.plan_history(id).await?;
        let catalogue = self.app.settings.current_catalogue(moment.wall).await?;
        let plan = catalogue.plan(&account.plan, moment.now);
        let plan = plan.ok_or_else(|| Fault::corrupt("a plan", "it is not in the catalogue"))?;
        let view = SubscriptionView::new(&account, plan, &history, moment.now);
        Ok(SectionPage::of("subscription", Some(mode), [view], None)?)
    }

    /// Three reads.
    pub(super) async fn settings(&self, mode: Mode) -> Result<SectionPage, Unsettled> {
        let (account, moment) = (self.account(mode), self.moment(mode).await?);
        let organisation = self.app.settings.current_organisation(account.org).await?;
        let currency = organisation.ok_or(Unsettled::NoAccount)?.currency;
        let recharge = self.app.ledger.recharge(account).await?;
        let recharge = AutoRechargeView::of(recharge.as_ref(), currency, moment);
        let alerts = AlertsView::from(self.app.ledger.alerts(account).await?);
        let lines = vec![line("autoRecharge", Some(mode), &recharge)?, line("alerts", Some(mode), &alerts)?];
        Ok(SectionPage { lines, next: None })
    }

    /// All webhooks, at most 20, without their secrets: one query.
    pub(super) async fn webhooks(&self, mode: Mode) -> Result<SectionPage, Unsettled> {
        let webhooks = self.app.activity.webhooks(self.account(mode)).await?;
        let wall = self.export.made_at;
        let views = webhooks.iter().map(|(webhook, state)| WebhookView::of(webhook, state, wall));
        Ok(SectionPage::of("webhook", Some(mode), views, None)?)
    }

    /// A page of the deliveries of one webhook, the latest first, of the last 30 days: four reads.
    pub(super) async fn deliveries(
        &self,
        mode: Mode,
        cursor: Option<String>,
    ) -> Result<SectionPage, Unsettled> {
        let account = self.account(mode);
        let mut webhooks = self.app.activity.webhook_ids(account).await?;
        webhooks.sort_unstable();
        let (from, before) = match cursor.as_deref().and_then(|cursor| cursor.split_once('/')) {
            Some((webhook, "")) => (place::<WebhookId>(Some(webhook.to_owned()))?, None),
            Some((webhook, before)) => {
                let before = place::<DeliveryId>(Some(before.to_owned()))?;
                (place::<WebhookId>(Some(webhook.to_owned()))?, before)
            }
            None => (None, None),
        };
        let mut left = webhooks.into_iter().skip_while(|id| from.is_some_and(|from| *id < from));
        let Some(id) = left.next() else { return Ok(SectionPage::default()) };
        // Where the webhook was deleted meanwhile, its deliveries begin with the newest of the next one.
        let before = before.filter(|_| Some(id) == from);
        let page =
            self.app.activity.current_deliveries(WebhookKey { account, id }, before, DELIVERIES).await?;
        let (deliveries, more) = page.unwrap_or_default();
        let last = deliveries.last().filter(|_| more).map(|last| format!("{id}/{}", last.id));
        let next = last.or_else(|| left.next().map(|next| format!("{next}/")));
        let views = deliveries
            .into_iter()
            .map(|delivery| DeliveryTo { webhook_id: id.to_string(), delivery: DeliveryView::of(delivery) });
        Ok(SectionPage::of("webhookDelivery", Some(mode), views, next)?)
    }

    /// A page of monitors, also deleted ones: one query.
    pub(super) async fn monitors(
        &self,
        mode: Mode,
        cursor: Option<String>,
    ) -> Result<SectionPage, Unsettled> {
        let page = self.app.ledger.monitors(self.account(mode), place(cursor)?, MONITORS).await?;
        let made = page.monitors.iter().filter(|monitor| monitor.status != MonitorStatus::Pending);
        let next = page.next.map(|next| next.to_string());
        Ok(SectionPage::of("monitor", Some(mode), made.map(MonitorView::of), next)?)
    }
}
