//! The limit of webhooks: whatever a creation or a deletion leaves undone, an account has at most twenty webhooks, and
//! always gets twenty.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use domain::{AccountId, DeliveryState, Webhook, WebhookId};
use store::{Activity, AddedWebhook, Fault, random};
use tests::{Receiver, TestLedger, WriteFault, moment};

use crate::crash::webhook_ledger::{start, webhook};

const MOST: usize = Webhook::COUNT_MAX;

/// An account with webhooks.
struct Register {
    fixture: TestLedger,
    receiver: Receiver,
    account: AccountId,
}

impl Register {
    async fn new() -> Self {
        let fixture = TestLedger::new().await;
        let account = fixture.open(10, start()).await;
        Self { fixture, receiver: Receiver::start().await, account }
    }

    /// The same tables with another account.
    async fn anew(self, count: usize) -> Self {
        self.fixture.faults.clone().unwrap().arm(usize::MAX, WriteFault::CrashBefore);
        let account = self.fixture.open(10, start()).await;
        let register = Self { account, ..self };
        for _ in 0..count {
            assert_eq!(register.add(id(), start()).await.unwrap(), AddedWebhook::Added);
        }
        register
    }

    fn activity(&self) -> Activity {
        self.fixture.activity()
    }

    async fn add(&self, id: WebhookId, now: DateTime<Utc>) -> Result<AddedWebhook, Fault> {
        let settings = webhook(id, self.account, &self.receiver).await;
        self.activity().add_webhook(self.account, &settings, &DeliveryState::new(0), moment(now)).await
    }

    async fn delete(&self, id: WebhookId, now: DateTime<Utc>) -> Result<bool, Fault> {
        self.activity().delete_webhook(self.account, id, moment(now)).await
    }

    async fn ids(&self) -> Vec<WebhookId> {
        let listed = self.activity().webhooks(self.account).await.unwrap();
        let ids: Vec<_> = listed.into_iter().map(|(webhook, _)| webhook.id).collect();
        assert!(ids.len() <= MOST, "{} webhooks", ids.len());
        ids
    }

    /// Adds webhooks until one is refused; an account then has exactly as many as it may have.
    async fn fill(&self, now: DateTime<Utc>, case: &str) {
        for _ in 0..=MOST {
            if self.add(id(), now).await.unwrap() == AddedWebhook::Full {
                assert_eq!(self.ids().await.len(), MOST, "{case}");
                assert_eq!(self.activity().webhook_ids(self.account).await.unwrap().len(), MOST, "{case}");
                return;
            }
            self.ids().await;
        }
        panic!("{case}: no webhook was refused");
    }
}

fn id() -> WebhookId {
    WebhookId::new(start(), random())
}

/// A request to create or delete a webhook.
#[derive(Clone, Copy, Debug)]
enum Change {
    Create,
    Delete,
}

/// A fault of each kind at each write of a creation and of a deletion, which is then sent again or not.
#[tokio::test]
async fn an_interrupted_change_neither_exceeds_the_limit_nor_lowers_it() {
    let mut register = Register::new().await;
    for change in [Change::Create, Change::Delete] {
        let (mut number, mut cases) = (0, 0);
        loop {
            let mut was_reached = false;
            for (kind, is_retried) in
                WriteFault::EACH.into_iter().flat_map(|kind| [(kind, false), (kind, true)])
            {
                let case = format!("{change:?}, write {number}, {kind:?}, retried {is_retried}");
                register = register.anew(MOST - 1).await;
                let faults = register.fixture.faults.clone().unwrap();
                let one = match change {
                    Change::Create => id(),
                    Change::Delete => register.ids().await[7],
                };
                faults.arm(number, kind);
                let failed = match change {
                    Change::Create => register.add(one, start()).await.is_err(),
                    Change::Delete => register.delete(one, start()).await.is_err(),
                };
                was_reached |= number < faults.writes();
                faults.arm(usize::MAX, kind);
                if is_retried {
                    match change {
                        Change::Create => {
                            let again = register.add(one, start()).await.unwrap();
                            assert!(
                                again != AddedWebhook::Full && register.ids().await.contains(&one),
                                "{case}"
                            );
                        }
                        Change::Delete => {
                            register.delete(one, start()).await.unwrap();
                            assert!(!register.ids().await.contains(&one), "{case}");
                        }
                    }
                } else if !failed {
                    let is_listed = register.ids().await.contains(&one);
                    assert_eq!(is_listed, matches!(change, Change::Create), "{case}");
                }
                register.fill(start() + Duration::seconds(61), &case).await;
                cases += 1;
            }
            if !was_reached {
                break;
            }
            number += 1;
        }
        assert!(cases > 48, "{change:?}: {cases}");
    }
}

/// A creation stands still at each of its writes for minutes; meanwhile others take its place. When it goes on, there
/// are not too many, and what it answers is true.
#[tokio::test]
async fn a_creation_that_stood_still_does_not_exceed_the_limit() {
    let mut register = Register::new().await;
    let (mut refused, mut added) = (0, 0);
    for number in 0..4 {
        register = register.anew(MOST - 1).await;
        let faults = register.fixture.faults.clone().unwrap();
        faults.arm(number, WriteFault::Late);
        let (late, one) = (Arc::new(register), id());
        let creating = tokio::spawn({
            let late = late.clone();
            async move { late.add(one, start()).await.unwrap() }
        });
        while faults.writes() <= number {
            tokio::task::yield_now().await;
        }
        let now = start() + Duration::minutes(5);
        while late.ids().await.len() < MOST {
            assert_eq!(late.add(id(), now).await.unwrap(), AddedWebhook::Added, "write {number}");
        }
        faults.let_through();
        let answer = creating.await.unwrap();
        let is_listed = late.ids().await.contains(&one);
        assert_eq!(is_listed, answer != AddedWebhook::Full, "write {number}: {answer:?}");
        match answer {
            AddedWebhook::Full => refused += 1,
            AddedWebhook::Added | AddedWebhook::Known(_) => added += 1,
        }
        late.fill(now, &format!("write {number}")).await;
        register = Arc::into_inner(late).unwrap();
    }
    assert!(0 < refused && 0 < added, "{refused} refused, {added} added");
}

/// A request frees the place of a creation that stood still, but its write comes only after the creation has gone on and
/// was acknowledged: the place is not freed.
#[tokio::test]
async fn a_place_is_not_freed_once_its_creation_has_gone_on() {
    let register = Arc::new(Register::new().await.anew(MOST - 1).await);
    let faults = register.fixture.faults.clone().unwrap();
    let late = |one: WebhookId, now: DateTime<Utc>, number: usize| {
        faults.arm(number, WriteFault::Late);
        let register = register.clone();
        tokio::spawn(async move { register.add(one, now).await.unwrap() })
    };
    let wait = async |number| {
        while faults.writes() <= number {
            tokio::task::yield_now().await;
        }
    };
    let (one, two) = (id(), id());
    // Before it writes the webhook.
    let creating = late(one, start(), 2);
    wait(2).await;
    // Before it removes the id of the first one.
    let freeing = late(two, start() + Duration::minutes(5), 1);
    wait(1).await;
    faults.let_through();
    assert_eq!(creating.await.unwrap(), AddedWebhook::Added);
    faults.let_through();
    assert_eq!(freeing.await.unwrap(), AddedWebhook::Full);
    let ids = register.ids().await;
    assert!(ids.contains(&one) && !ids.contains(&two) && ids.len() == MOST, "{ids:?}");
}

/// Webhooks that are older than the register count.
#[tokio::test]
async fn webhooks_from_before_the_register_count() {
    let register = Register::new().await.anew(3).await;
    let before = register.ids().await;
    for item in register.fixture.activity_items(&format!("HOOKS#{}", register.account)).await {
        if item["sk"].as_s().unwrap() == "register" {
            register.fixture.delete_activity(&item).await;
        }
    }
    assert_eq!(register.ids().await, before);
    assert_eq!(register.activity().webhook_ids(register.account).await.unwrap(), before);
    register.fill(start(), "without a register").await;
    let after = register.ids().await;
    assert!(before.iter().all(|id| after.contains(id)));
    assert!(register.delete(before[0], start()).await.unwrap());
    assert_eq!(register.ids().await.len(), MOST - 1);
}
