//! Events that an endpoint never accepts, and secrets that cannot be decrypted: the worker may fail at any write, and it
//! still delivers the other events.

use domain::{DeliveryState, DeliveryStatus, OnFailure, WebhookStatus};
use http::HeaderMap;
use ports::SealFailure;
use scrip_webhooks::{DELIVERY_FAULT, EventEnvelope, SECRET_UNREADABLE};
use tests::{AlarmLog, WriteFault};

use crate::crash::webhook_ledger::{EVENTS, WebhookLedger};

/// The event that the endpoint never accepts.
const POISON: u64 = 2;

/// What is wrong with an endpoint.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It answers 400 to one event for ever, and its owner skips an event after two attempts.
    Poison,
    /// It answers 400 to one event and asks for no further attempt.
    Aborted,
    /// The key of the secrets is away for three calls.
    KeyAway,
    /// Its secret can never be decrypted.
    SecretUnreadable,
}

async fn with(trouble: Trouble) -> WebhookLedger {
    let on_failure = match trouble {
        Trouble::Poison => OnFailure::skip_after(2).unwrap(),
        Trouble::Aborted | Trouble::KeyAway | Trouble::SecretUnreadable => OnFailure::Block,
    };
    let post = WebhookLedger::with(on_failure).await;
    let poison = move |body: &serde_json::Value, headers: HeaderMap| {
        if body["sequence"] == POISON { (400, headers) } else { (200, HeaderMap::new()) }
    };
    match trouble {
        Trouble::Poison => post.receiver.answer_by(move |body| poison(body, HeaderMap::new())),
        Trouble::Aborted => post.receiver.answer_by(move |body| {
            poison(
                body,
                HeaderMap::from_iter([(
                    "webhook-delivery".parse().unwrap(),
                    "abort-message".parse().unwrap(),
                )]),
            )
        }),
        Trouble::KeyAway => post.seal.fail(SealFailure::Unavailable, 3),
        Trouble::SecretUnreadable => post.seal.fail(SealFailure::Unreadable, u32::MAX),
    }
    post
}

/// Checks that all events except the refused one arrived in order, and what the log says of it.
async fn one_is_left_out(post: &WebhookLedger, status: DeliveryStatus, case: &str) {
    let mut numbers = post.receiver.numbers();
    numbers.dedup();
    assert_eq!(numbers, (1..=EVENTS).filter(|number| *number != POISON).collect::<Vec<_>>(), "{case}");
    let state = post.state().await;
    assert_eq!((state.through, state.failures, state.status), (EVENTS, 0, WebhookStatus::Active), "{case}");
    let log = post.log().await;
    assert_eq!(log.len() as u64, EVENTS, "{case}");
    for line in log {
        let expected = if line.number == POISON { status } else { DeliveryStatus::Succeeded };
        assert_eq!(line.status, expected, "{case}: {}", line.number);
    }
    let skipped = state.skipped.map(|skipped| (skipped.count, skipped.number));
    assert_eq!(skipped, (status == DeliveryStatus::Skipped).then_some((1, POISON)), "{case}");
}

/// The names and reasons of the events that report a pause.
async fn pauses(post: &WebhookLedger) -> Vec<(u64, String)> {
    let (events, _) = post.fixture.ledger.events(post.account, EVENTS, 100).await.unwrap();
    for event in &events {
        let body = EventEnvelope::of(post.account, event).body();
        tests::assert_event(&serde_json::from_str(&body).unwrap());
    }
    events
        .into_iter()
        .map(|event| (event.number, format!("{} {}", event.name, event.data["reason"].as_str().unwrap())))
        .collect()
}

/// The webhook is paused with one event; once its secret can be decrypted, the owner resumes it and misses nothing.
async fn is_paused_and_resumed(post: &WebhookLedger, case: &str) {
    assert!(post.receiver.received().is_empty() && post.log().await.is_empty(), "{case}");
    let state = post.state().await;
    assert_eq!((state.status, state.through), (WebhookStatus::SecretUnreadable, 0), "{case}");
    assert_eq!(pauses(post).await, [(EVENTS + 1, "webhook.paused secret_unreadable".to_owned())], "{case}");
    post.seal.fail(SealFailure::Unreadable, 0);
    let activity = post.fixture.activity();
    activity.change_delivery_state(post.account, post.webhook, DeliveryState::resumed).await.unwrap();
    post.deliver().await.unwrap();
    assert_eq!(post.receiver.numbers(), (1..=EVENTS + 1).collect::<Vec<_>>(), "{case}");
}

/// Histories of one trouble, with a fault of each kind at each of its writes, until the end.
async fn faults_at_each_write(trouble: Trouble) {
    let (mut number, mut cases) = (0, 0);
    loop {
        let mut was_reached = false;
        for kind in WriteFault::EACH {
            let post = with(trouble).await;
            let case = format!("{trouble:?}, write {number}, {kind:?}");
            post.faults().arm(number, kind);
            was_reached |= number < post.run_to_the_end().await;
            post.faults().arm(usize::MAX, kind);
            match trouble {
                Trouble::Poison => one_is_left_out(&post, DeliveryStatus::Skipped, &case).await,
                Trouble::Aborted => one_is_left_out(&post, DeliveryStatus::Aborted, &case).await,
                Trouble::KeyAway => post.all_is_delivered(&case).await,
                Trouble::SecretUnreadable => is_paused_and_resumed(&post, &case).await,
            }
            cases += 1;
        }
        if !was_reached {
            break;
        }
        number += 1;
    }
    assert!(cases > 50, "{trouble:?}: {cases}");
}

#[tokio::test]
async fn a_poison_event_is_skipped_whatever_fails_meanwhile() {
    faults_at_each_write(Trouble::Poison).await;
}

#[tokio::test]
async fn an_aborted_event_is_dropped_whatever_fails_meanwhile() {
    faults_at_each_write(Trouble::Aborted).await;
}

#[tokio::test]
async fn events_wait_for_a_key_that_is_away_whatever_fails_meanwhile() {
    faults_at_each_write(Trouble::KeyAway).await;
}

#[tokio::test]
async fn an_unreadable_secret_pauses_once_whatever_fails_meanwhile() {
    faults_at_each_write(Trouble::SecretUnreadable).await;
}

/// Without faults: a poison event gets as many attempts as its owner allows, an aborted one gets one.
#[tokio::test]
async fn a_refused_event_gets_no_more_attempts_than_allowed() {
    for (trouble, attempts) in [(Trouble::Poison, 2), (Trouble::Aborted, 1)] {
        let post = with(trouble).await;
        post.run_to_the_end().await;
        let refused = post.receiver.received().into_iter().filter(|one| one.body["sequence"] == POISON);
        assert_eq!(refused.count(), attempts, "{trouble:?}");
        let log = post.log().await;
        let line = log.iter().find(|line| line.number == POISON).unwrap();
        assert_eq!((line.attempts.len(), line.request.body.is_empty()), (attempts, false), "{trouble:?}");
    }
}

/// Operators get a log line that an alarm counts, once a webhook is paused and not before.
#[tokio::test]
async fn an_unreadable_secret_is_logged_for_operators() {
    let (log, capturing) = AlarmLog::capture();
    let away = with(Trouble::KeyAway).await;
    away.run_to_the_end().await;
    assert_eq!(log.errors(SECRET_UNREADABLE), [""; 0]);
    assert_eq!(log.errors(DELIVERY_FAULT).len(), 3);
    let lost = with(Trouble::SecretUnreadable).await;
    lost.run_to_the_end().await;
    drop(capturing);
    let logged = log.errors(SECRET_UNREADABLE);
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert!(logged[0].contains(&lost.webhook.to_string()), "{logged:?}");
}

/// One of two secrets cannot be decrypted, as after the owner has rotated an unreadable one: the other one signs.
#[tokio::test]
async fn a_delivery_is_signed_with_the_secrets_that_can_be_decrypted() {
    let post = WebhookLedger::new().await;
    let activity = post.fixture.activity();
    let webhook = activity.webhook(post.account, post.webhook).await.unwrap().unwrap();
    let sealed = webhook.secrets[0].sealed.clone();
    let rotated = webhook.rotated(sealed, 86_400, tests::moment(post.clock.time()).wall).unwrap();
    activity.save_webhook(post.account, &rotated).await.unwrap().unwrap();
    post.seal.fail(SealFailure::Unreadable, 1);
    post.deliver().await.unwrap();
    let signatures: Vec<_> = post
        .receiver
        .received()
        .iter()
        .map(|one| one.header("webhook-signature").split(' ').count())
        .collect();
    assert_eq!(signatures, [1, 2, 2, 2]);
}
