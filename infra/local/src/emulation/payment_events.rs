//! Sends the simulated payment provider's events to `POST /api/v3/payments/events`.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use scrip_payments::simulated::SignedEvent;
use tower::ServiceExt;

use super::queue::QueueReceiver;

/// The route that receives the payment provider's events.
const PATH: &str = "/api/v3/payments/events";

/// How often an event is sent before the provider gives up.
const ATTEMPTS_MAX: u32 = 6;

/// How long the provider waits before the second attempt; each later wait is twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends events to `router` one after the other. An event that is answered 409 or 5xx is sent again.
pub(crate) async fn send_payment_events(mut notices: QueueReceiver<SignedEvent>, router: Router) {
    while let Some(notice) = notices.next().await {
        send_payment_event(&router, &notice).await;
        notices.done();
    }
}

/// Sends an event until it is accepted or refused.
pub(crate) async fn send_payment_event(router: &Router, notice: &SignedEvent) {
    let mut pause = PAUSE;
    for attempt in 1..=ATTEMPTS_MAX {
        let status = post(router, notice).await;
        if status.is_success() {
            return;
        }
        if !status.is_server_error() && status != StatusCode::CONFLICT {
            tracing::warn!(status = status.as_u16(), "an event of the payment provider was refused");
            return;
        }
        tracing::info!(attempt, status = status.as_u16(), "an event of the payment provider is sent again");
        if attempt < ATTEMPTS_MAX {
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
    }
    tracing::warn!("an event of the payment provider was given up");
}

async fn post(router: &Router, notice: &SignedEvent) -> StatusCode {
    let request = Request::post(PATH)
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header("Stripe-Signature", &notice.signature)
        .body(Body::from(notice.body.clone()));
    match request {
        Ok(request) => {
            let Ok(answer) = router.clone().oneshot(request).await;
            answer.status()
        }
        Err(error) => {
            tracing::error!(%error, "an event of the payment provider could not be sent");
            StatusCode::BAD_REQUEST
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::routing::post;
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::emulation::in_process_queue;

    /// A router that answers with `statuses`, in turn, and keeps what it received.
    fn answering(statuses: &[u16]) -> (Router, Arc<Mutex<Vec<String>>>) {
        let received = Arc::new(Mutex::new(Vec::new()));
        let (kept, statuses) = (received.clone(), statuses.to_vec());
        let receive = move |headers: HeaderMap, body: Bytes| async move {
            let mut kept = kept.lock().unwrap();
            let status = statuses.get(kept.len()).copied().unwrap_or(200);
            let signature = headers["stripe-signature"].to_str().unwrap();
            kept.push(format!("{signature} {}", String::from_utf8_lossy(&body)));
            StatusCode::from_u16(status).unwrap()
        };
        (Router::new().route(PATH, post(receive)), received)
    }

    fn notice(body: &str) -> SignedEvent {
        SignedEvent { signature: "t=1,v1=00".to_owned(), body: body.into() }
    }

    #[tokio::test]
    async fn an_event_is_sent_until_it_is_accepted_or_refused() {
        for (statuses, attempts) in [
            (vec![200], 1),
            (vec![500, 503, 200], 3),
            (vec![400], 1),
            (vec![404], 1),
            (vec![409, 200], 2),
            (vec![503; 9], 6),
        ] {
            let (router, received) = answering(&statuses);
            let (queue, notices) = in_process_queue();
            assert!(queue.send(notice("{}")));
            drop(tokio::spawn(send_payment_events(notices, router)));
            queue.wait_until_idle().await;
            assert_eq!(*received.lock().unwrap(), vec!["t=1,v1=00 {}"; attempts], "{statuses:?}");
        }
    }

    #[tokio::test]
    async fn events_keep_their_order() {
        let (router, received) = answering(&[503, 200, 500, 200, 200]);
        let (queue, notices) = in_process_queue();
        for body in ["a", "b", "c"] {
            assert!(queue.send(notice(body)));
        }
        drop(tokio::spawn(send_payment_events(notices, router)));
        queue.wait_until_idle().await;
        let bodies: Vec<_> =
            received.lock().unwrap().iter().map(|sent| sent.replace("t=1,v1=00 ", "")).collect();
        assert_eq!(bodies, ["a", "a", "b", "b", "c"]);
    }
}
