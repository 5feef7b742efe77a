//! What the webhook worker asks of its queue: to go on at once, or when a retry is due.

use chrono::Duration;

use crate::crash::webhook_ledger::{RecordingQueue, WebhookLedger};

/// A worker whose time is over sends its account to the queue again, and that message delivers the rest.
#[tokio::test]
async fn a_long_backlog_is_continued_by_one_request() {
    let (post, queue) = (WebhookLedger::new().await, RecordingQueue::default());
    let clock = post.clock.clone();
    // The fourth attempt would begin after 21 seconds, and a worker begins none after 20.
    post.receiver.answer_by(move |_| {
        clock.advance(Duration::seconds(7));
        (200, http::HeaderMap::new())
    });
    post.deliver_with(&queue).await.unwrap();
    assert_eq!(post.receiver.numbers(), [1, 2, 3]);
    assert_eq!(queue.take_all(), [(post.account, 0)]);
    post.deliver_with(&queue).await.unwrap();
    post.all_is_delivered("continued").await;
    assert_eq!(queue.take_all(), []);
}

/// A retry is requested for when it is due, up to a tenth later than its wait, plus a second. The queue cannot delay a message
/// for as long as the third wait, which is left to the scheduled job. A call that comes a second early attempts nothing, and
/// asks for another one.
#[tokio::test]
async fn a_retry_is_requested_for_when_it_is_due() {
    let (post, queue) = (WebhookLedger::new().await, RecordingQueue::default());
    post.receiver.answer(500);
    for (attempts, delays) in [(1, Some(6..=7)), (2, Some(301..=331)), (3, None)] {
        post.deliver_with(&queue).await.unwrap();
        assert_eq!(post.receiver.received().len(), attempts);
        let requested = queue.take_all();
        match delays {
            Some(delays) => {
                assert!(
                    matches!(requested[..], [(of, delay)] if of == post.account && delays.contains(&delay)),
                    "{requested:?}"
                );
            }
            None => assert_eq!(requested, []),
        }
        let due = post.state().await.retry_at.unwrap();
        post.clock.advance_to(due - Duration::seconds(1));
        post.deliver_with(&queue).await.unwrap();
        assert_eq!(queue.take_all(), [(post.account, 2)]);
        assert_eq!(post.receiver.received().len(), attempts, "a second too early");
        post.clock.advance_to(due);
    }
}
