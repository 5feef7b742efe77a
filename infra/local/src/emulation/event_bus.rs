//! The event bus and the webhook queue behind it: starts the function `webhook-delivery` for each message.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::AccountId;
use ports::{Bus, BusEvent, PublishError};
use scrip_http::App;
use scrip_webhooks::DeliveryRequest;

use super::functions;
use super::queue::{InProcessQueue, QueueReceiver, Retries};
use crate::directory;

/// How many accounts' webhooks are delivered at the same time. SQS likewise invokes several functions at once.
const AT_ONCE: usize = 256;

const RETRIES: Retries = Retries { attempts: 5, pause: Duration::from_millis(200) };

/// The event bus and its rule, which sends every event to the webhook queue.
#[derive(Clone)]
pub(crate) struct InProcessEventBus(pub(crate) InProcessQueue<DeliveryRequest>);

#[async_trait]
impl Bus for InProcessEventBus {
    async fn publish(&self, events: &[BusEvent]) -> Result<(), PublishError> {
        for event in events {
            // It fails only when the machine is ending: the next start delivers to all webhooks.
            self.0.send(DeliveryRequest::Account { account: event.account });
        }
        Ok(())
    }
}

/// Delivers to the webhooks of accounts concurrently: no account waits for the endpoint of another one.
pub(crate) async fn deliver_webhooks(requests: QueueReceiver<DeliveryRequest>, app: Arc<App>) {
    requests.handle_concurrently(AT_ONCE, |request| deliver(request.account(), app.clone())).await;
}

async fn deliver(account: AccountId, app: Arc<App>) {
    let what = format!("delivery to webhooks of {account}");
    if RETRIES.handle(&what, || functions::deliver_webhooks(&app, account)).await {
        return;
    }
    // An attempt that failed may still hold the webhook's lease.
    if let Err(error) = functions::schedule_delivery(&app, account).await {
        tracing::error!(%account, error = format!("{error:#}"), "webhooks wait for the next event");
    }
}

/// Requests delivery to the webhooks of all accounts: messages that were in the queue when the machine last ended are
/// lost.
///
/// # Errors
/// When the database fails.
pub(crate) async fn deliver_to_all(app: &App, queue: &InProcessQueue<DeliveryRequest>) -> anyhow::Result<()> {
    for account in directory::accounts(&app.ledger).await? {
        queue.send(DeliveryRequest::Account { account });
    }
    Ok(())
}
