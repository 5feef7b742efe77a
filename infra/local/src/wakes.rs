use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shared::domain::AccountId;
use shared::edge::App;
use shared::pay::{Asleep, Wakes};

use crate::duties;
use crate::lane::{Lane, Retries, Work};

/// How many accounts are handled at the same time. SQS likewise invokes several functions at once. The simulated
/// payment provider can hold one of them for seconds (`card_slow`).
const AT_ONCE: usize = 256;

const RETRIES: Retries = Retries { attempts: 3, pause: Duration::from_millis(100) };

/// The queue of wakes, within the process.
pub(crate) struct LocalWakes(pub(crate) Lane<AccountId>);

#[async_trait]
impl Wakes for LocalWakes {
    async fn wake(&self, account: AccountId) -> Result<(), Asleep> {
        if self.0.send(account) { Ok(()) } else { Err(Asleep("the machine is ending".to_owned())) }
    }
}

/// Handles wakes side by side: no account waits for another one's payment provider.
pub(crate) async fn consume(work: Work<AccountId>, app: Arc<App>) {
    work.side_by_side(AT_ONCE, |account| attend(account, app.clone())).await;
}

async fn attend(account: AccountId, app: Arc<App>) {
    RETRIES.handle(&format!("auto-recharge of {account}"), || duties::attend(&app, account)).await;
}
