use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::AccountId;
use ports::{Bus, Published, Unpublished};
use scrip_http::App;
use scrip_webhooks::DeliveryRequest;

use crate::duties;
use crate::lane::{Lane, Work};

/// How many accounts' webhooks are looked at side by side, as a queue calls so many functions.
const AT_ONCE: usize = 256;

/// How often a message is handled before it is given up, as a queue gives one up.
const ATTEMPTS_MAX: u32 = 5;

/// How long a message that could not be handled waits.
const PAUSE: Duration = Duration::from_millis(200);

/// The event bus and its rule, within the process.
#[derive(Clone)]
pub(crate) struct LocalBus(pub(crate) Lane<DeliveryRequest>);

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, events: &[Published]) -> Result<(), Unpublished> {
        for event in events {
            // It fails when the machine is ending: the next one looks at all webhooks when it starts.
            self.0.send(DeliveryRequest::Account { account: event.account });
        }
        Ok(())
    }
}

/// Looks at accounts side by side: none waits for another's endpoint.
pub(crate) async fn carry(work: Work<DeliveryRequest>, app: Arc<App>) {
    work.side_by_side(AT_ONCE, |request| look(request.account(), app.clone())).await;
}

async fn look(account: AccountId, app: Arc<App>) {
    for attempt in 1..=ATTEMPTS_MAX {
        let Err(error) = duties::deliver(&app, account).await else { return };
        tracing::warn!(%account, attempt, error = format!("{error:#}"), "webhooks could not be looked at");
        tokio::time::sleep(PAUSE).await;
    }
    // It may be in the hands of whoever has failed for a while.
    if let Err(error) = duties::deliver_later(&app, account).await {
        tracing::error!(%account, error = format!("{error:#}"), "webhooks wait for the next event");
    }
}

/// Has the webhooks of all accounts looked at: what was on its way when the machine ended last is in no queue.
///
/// # Errors
/// When the database does not serve.
pub(crate) async fn look_at_all(app: &App, lane: &Lane<DeliveryRequest>) -> anyhow::Result<()> {
    for account in duties::accounts(app).await? {
        lane.send(DeliveryRequest::Account { account });
    }
    Ok(())
}
