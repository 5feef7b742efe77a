use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};

use super::events::Telling;
use super::item::{decode, with_key};
use super::key::{Key, alerts_partition};
use super::{Errand, Fault, Ledger, Moment};
use domain::{Account, AccountId, AlertState, Alerts, Level, News, Receipt};

/// How often the state of alerts may be lost to somebody else who tells: two projectors at the same records
/// are what there is.
const ATTEMPTS_MAX: u32 = 16;

/// How many changes a look follows before it looks; the projector does so with more.
const FOLLOWED_MAX: u64 = 100;

/// After how many seconds somebody looks again who could not.
const AGAIN_SECONDS: i64 = 60;

/// How many events are told in one write at most.
const NEWS_MAX: usize = 32;

/// One change of an account.
#[derive(Clone, Debug)]
pub struct Change {
    /// What it left.
    pub level: Level,
    /// What it is told as, where that is told.
    pub news: Option<News>,
}

impl Change {
    /// Changes as their rows tell them, in order. A batch is one change of several rows.
    #[must_use]
    pub fn told_by(receipts: &[Receipt]) -> Vec<Self> {
        let batch = |receipt: &Receipt| receipt.details.batch.as_ref().map(|place| place.batch);
        let followers = receipts.iter().skip(1).map(Some).chain([None]);
        let is_last = |(receipt, follower): &(&Receipt, Option<&Receipt>)| {
            batch(receipt).is_none() || follower.and_then(batch) != batch(receipt)
        };
        let lasts = receipts.iter().zip(followers).filter(is_last).map(|(receipt, _)| receipt);
        lasts.map(|receipt| Self { level: Level::after(receipt), news: News::of(receipt) }).collect()
    }
}

/// What is to be written of a look at an account.
struct Look {
    state: AlertState,
    news: Vec<(News, DateTime<Utc>)>,
    /// Whether there was more than one write takes.
    more: bool,
}

impl Ledger {
    /// How an organisation wants to be told of things; as anybody does who has said nothing.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn alerts(&self, account: AccountId) -> Result<Alerts, Fault> {
        let item = self.get(&Key::Alerts(account), true, "read alerts").await?;
        Ok(item.map(|item| decode("alerts", item)).transpose()?.unwrap_or_default())
    }

    /// Writes alerts with a revision one higher, which comes back; `None` when somebody has written them
    /// since they were read. The first have revision 0.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn save_alerts(&self, account: AccountId, alerts: Alerts) -> Result<Option<Alerts>, Fault> {
        let seen = Some(alerts.revision).filter(|revision| *revision > 0);
        let next = Alerts { revision: alerts.revision.saturating_add(1), ..alerts };
        let saved = self.replace(with_key(&Key::Alerts(account), &next)?, seen, "save alerts").await?;
        let saved = saved || self.alerts(account).await? == next;
        Ok(saved.then_some(next))
    }

    /// How an organisation wants to be told of things, and what it was last told of its balance: one read.
    async fn alerts_and_state(&self, account: AccountId) -> Result<(Alerts, AlertState), Fault> {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", AttributeValue::S(alerts_partition(account)));
        let answer = query.send().await.map_err(|error| Fault::unavailable("read alerts")(error.into()))?;
        let (mut alerts, mut state) = (Alerts::default(), AlertState::default());
        for item in answer.items.unwrap_or_default() {
            match item.get("sk") {
                Some(AttributeValue::S(sk)) if sk == "S" => state = decode("what was told", item)?,
                Some(_) | None => alerts = decode("alerts", item)?,
            }
        }
        Ok((alerts, state))
    }

    /// Goes through changes of an account, in the order of their numbers, and tells its owner what follows
    /// from them. Changes that it has been through tell nothing again: the events and how far it is are one
    /// write.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn follow_changes(
        &self,
        account: AccountId,
        changes: &[Change],
        moment: Moment,
    ) -> Result<(), Fault> {
        self.look(account, moment, |state, alerts| {
            let mut look = Look { state: state.clone(), news: vec![], more: false };
            for Change { level, news } in changes {
                if NEWS_MAX <= look.news.len() {
                    look.more = true;
                    break;
                }
                let (next, told) = look.state.follow(alerts, *level, news.clone());
                look.state = next;
                look.news.extend(told.into_iter().map(|news| (news, level.at)));
            }
            look
        })
        .await
    }

    /// Looks at an account as it is now: its owner has set other thresholds, or a cool-down may be over. Changes that
    /// are still to be followed come first. Where there are many of them, or their rows are still to be written, it is
    /// left to whoever follows them, who goes by the same alerts; and to a later look, for what does not hang on them.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn look_at(&self, account: &Account, moment: Moment) -> Result<(), Fault> {
        if !self.follow_up(account, moment).await? {
            let due = moment.now.checked_add_signed(Duration::try_seconds(AGAIN_SECONDS).unwrap_or_default());
            return self.note(Errand::Calendar(account.id), due.unwrap_or(moment.now)).await.map(|_| ());
        }
        let level = Level { at: moment.now, ..Level::of(account) };
        self.look(account.id, moment, |state, alerts| {
            let (state, news) = state.look(alerts, level);
            let news = news.into_iter().map(|news| (news, level.at)).collect();
            Look { state, news, more: false }
        })
        .await?;
        // The cool-down may be a longer one than when it was noted.
        let (alerts, state) = self.alerts_and_state(account.id).await?;
        if let Some(due) = state.look_at(&alerts).filter(|due| moment.now < *due) {
            self.note(Errand::Calendar(account.id), due).await?;
        }
        Ok(())
    }

    /// Tells what follows from changes that nobody has followed yet, by their rows; false when that is not possible.
    async fn follow_up(&self, account: &Account, moment: Moment) -> Result<bool, Fault> {
        let after = account.sequence.saturating_add(1);
        let seen = self.followed(account.id, after).await?;
        if FOLLOWED_MAX < account.sequence.saturating_sub(seen.followed()) {
            return Ok(false);
        }
        let now = account.floor().time().max(moment.now);
        let missed = match self.missed(account.id, (&seen, after), now).await {
            Err(Fault::Corrupt { .. }) => return Ok(false),
            missed => missed?,
        };
        if !missed.is_empty() {
            self.follow_changes(account.id, &Change::told_by(&missed), moment).await?;
        }
        Ok(true)
    }

    async fn look(
        &self,
        account: AccountId,
        moment: Moment,
        look: impl Fn(&AlertState, &Alerts) -> Look + Send + Sync,
    ) -> Result<(), Fault> {
        let mut attempts = 0u32;
        while attempts < ATTEMPTS_MAX {
            let (alerts, seen) = self.alerts_and_state(account).await?;
            let Look { mut state, news, more } = look(&seen, &alerts);
            if state == seen {
                return Ok(());
            }
            state.revision = seen.revision.saturating_add(1);
            if let Some(due) = state.look_at(&alerts) {
                self.note(Errand::Calendar(account), due).await?;
            }
            let put = self.put(
                with_key(&Key::AlertState(account), &state)?,
                Some(seen.revision).filter(|revision| *revision > 0).map(|seen| ("revision", seen)),
            )?;
            let news: Vec<_> = news.iter().map(|(news, at)| Telling { news, at: *at }).collect();
            match self.write_events(account, &news, vec![put], moment).await? {
                true if !more => return Ok(()),
                true => (),
                false => attempts = attempts.saturating_add(1),
            }
        }
        Err(Fault::Busy)
    }
}
