use std::sync::Arc;
use std::time::Duration;

use domain::AccountId;
use scrip_http::App;
use scrip_payments::RechargeRequest;

use crate::duties;
use crate::lane::{Retries, Work};

/// How many accounts are handled at the same time. SQS likewise invokes several functions at once. The simulated
/// payment provider can hold one of them for seconds (`card_slow`).
const AT_ONCE: usize = 256;

const RETRIES: Retries = Retries { attempts: 3, pause: Duration::from_millis(100) };

/// Handles wakes side by side: no account waits for another one's payment provider.
pub(crate) async fn consume(work: Work<RechargeRequest>, app: Arc<App>) {
    work.side_by_side(AT_ONCE, |request| attend(request.account, app.clone())).await;
}

async fn attend(account: AccountId, app: Arc<App>) {
    RETRIES.handle(&format!("auto-recharge of {account}"), || duties::attend(&app, account)).await;
}
