use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use scrip_payments::simulated::Notice;
use tower::ServiceExt;

use crate::lane::Work;

/// Where the payment company's events go.
const PATH: &str = "/api/v3/payments/events";

/// How often an event is sent before it is given up.
const ATTEMPTS_MAX: u32 = 6;

/// How long the company waits before it sends an event for the second time; doubled from then on.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends the simulated payment company's events to `router`, one after the other: again when it
/// answers that it can't take one now.
pub(crate) async fn deliver(mut work: Work<Notice>, router: Router) {
    while let Some(notice) = work.next().await {
        send(&router, &notice).await;
        work.done();
    }
}

async fn send(router: &Router, notice: &Notice) {
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

async fn post(router: &Router, notice: &Notice) -> StatusCode {
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
            tracing::error!(%error, "an event of the payment provider is no request");
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
    use crate::lane::lane;

    /// A router that answers with `statuses`, in turn, and notes what it was sent.
    fn answering(statuses: &[u16]) -> (Router, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, statuses) = (seen.clone(), statuses.to_vec());
        let take = move |headers: HeaderMap, body: Bytes| async move {
            let mut noted = noted.lock().unwrap();
            let status = statuses.get(noted.len()).copied().unwrap_or(200);
            let signature = headers["stripe-signature"].to_str().unwrap();
            noted.push(format!("{signature} {}", String::from_utf8_lossy(&body)));
            StatusCode::from_u16(status).unwrap()
        };
        (Router::new().route(PATH, post(take)), seen)
    }

    fn notice(body: &str) -> Notice {
        Notice { signature: "t=1,v1=00".to_owned(), body: body.into() }
    }

    #[tokio::test]
    async fn an_event_is_sent_until_it_is_taken_or_refused() {
        for (statuses, sent) in [
            (vec![200], 1),
            (vec![500, 503, 200], 3),
            (vec![400], 1),
            (vec![404], 1),
            (vec![409, 200], 2),
            (vec![503; 9], 6),
        ] {
            let (router, seen) = answering(&statuses);
            let (lane, work) = lane();
            assert!(lane.send(notice("{}")));
            drop(tokio::spawn(deliver(work, router)));
            lane.idle().await;
            assert_eq!(*seen.lock().unwrap(), vec!["t=1,v1=00 {}"; sent], "{statuses:?}");
        }
    }

    #[tokio::test]
    async fn events_keep_their_order() {
        let (router, seen) = answering(&[503, 200, 500, 200, 200]);
        let (lane, work) = lane();
        for body in ["a", "b", "c"] {
            assert!(lane.send(notice(body)));
        }
        drop(tokio::spawn(deliver(work, router)));
        lane.idle().await;
        let bodies: Vec<_> = seen.lock().unwrap().iter().map(|told| told.replace("t=1,v1=00 ", "")).collect();
        assert_eq!(bodies, ["a", "a", "b", "b", "c"]);
    }
}
