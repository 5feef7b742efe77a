use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::AccountId;
use ports::{Bus, Published, Unpublished};
use scrip_http::App;
use scrip_webhooks::DeliveryRequest;

use crate::duties;
use crate::lane::{Lane, Retries, Work};

/// How many accounts' webhooks are served at the same time. SQS likewise invokes several functions at once.
const AT_ONCE: usize = 256;

const RETRIES: Retries = Retries { attempts: 5, pause: Duration::from_millis(200) };

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
    if RETRIES.handle(&format!("delivery to webhooks of {account}"), || duties::deliver(&app, account)).await
    {
        return;
    }
    // A process that failed may still hold the webhook's lease.
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
