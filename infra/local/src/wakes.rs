use std::sync::Arc;
use std::time::Duration;

use domain::AccountId;
use scrip_http::App;
use scrip_payments::RechargeRequest;

use crate::duties;
use crate::lane::Work;

/// How many accounts are looked at side by side, as a queue calls so many functions. A local company that is slow on
/// purpose holds one of them for seconds.
const AT_ONCE: usize = 256;

/// How often a wake is handled before it is given up, as a queue gives up a message.
const ATTEMPTS_MAX: u32 = 3;

/// How long a wake that could not be handled waits.
const PAUSE: Duration = Duration::from_millis(100);

/// Handles wakes side by side: no account waits for another one's payment provider.
pub(crate) async fn consume(work: Work<RechargeRequest>, app: Arc<App>) {
    work.side_by_side(AT_ONCE, |request| attend(request.account, app.clone())).await;
}

async fn attend(account: AccountId, app: Arc<App>) {
    for attempt in 1..=ATTEMPTS_MAX {
        let Err(error) = duties::attend(&app, account).await else { return };
        tracing::warn!(%account, attempt, error = format!("{error:#}"), "a wake could not be handled");
        tokio::time::sleep(PAUSE).await;
    }
}
