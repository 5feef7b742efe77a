//! The recharge queue: starts the function `recharge` for each message.

use std::sync::Arc;
use std::time::Duration;

use domain::AccountId;
use scrip_http::App;
use scrip_payments::RechargeRequest;

use super::functions;
use super::queue::{QueueReceiver, Retries};

/// How many accounts are checked at the same time. SQS likewise invokes several functions at once. The simulated
/// payment provider can hold one of them for seconds (`card_slow`).
const AT_ONCE: usize = 256;

const RETRIES: Retries = Retries { attempts: 3, pause: Duration::from_millis(100) };

/// Checks accounts concurrently, so that none waits for the payment of another one.
pub(crate) async fn check_recharges(requests: QueueReceiver<RechargeRequest>, app: Arc<App>) {
    requests.handle_concurrently(AT_ONCE, |request| check(request.account, app.clone())).await;
}

async fn check(account: AccountId, app: Arc<App>) {
    RETRIES.handle(&format!("auto-recharge of {account}"), || functions::recharge(&app, account)).await;
}
