use std::sync::Arc;

use shared::domain::AccountId;
use shared::edge::App;
use shared::pay::simulated::Notice;
use tokio::sync::Mutex;

use crate::follower::Follower;
use crate::lane::Lane;

/// How many rounds it may take until stream, events and wakes leave one another alone. A chain of
/// them is a few rounds long.
const ROUNDS_MAX: u32 = 1_000;

/// All that goes on in the background of the machine, each of which may start the others: a record of
/// the stream wakes auto-recharge, which charges, which is told as an event, which moves credits.
#[derive(Clone)]
pub(crate) struct Quiet {
    pub(crate) follower: Arc<Mutex<Follower>>,
    pub(crate) events: Lane<Notice>,
    pub(crate) wakes: Lane<AccountId>,
}

impl Quiet {
    /// Returns once nothing goes on.
    ///
    /// # Errors
    /// When a record of the stream can't be handled, or there is no end to it.
    pub(crate) async fn reach(&self, app: &App) -> anyhow::Result<()> {
        for _ in 0..ROUNDS_MAX {
            let before = (self.events.counts(), self.wakes.counts());
            let records = self.follower.lock().await.drain(&app.ledger, app.wakes.as_ref()).await?;
            self.events.idle().await;
            self.wakes.idle().await;
            // A round in which nothing was sent, done or read: nothing is left that could.
            if records == 0 && before == (self.events.counts(), self.wakes.counts()) {
                return Ok(());
            }
        }
        anyhow::bail!("stream, events and wakes did not come to rest in {ROUNDS_MAX} rounds")
    }
}
