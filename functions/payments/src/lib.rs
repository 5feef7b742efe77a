//! `POST /api/v3/payments/events`: what the payment provider tells by itself. Signed, at any time, in any
//! order, more than once.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use domain::Mode;
use http::HeaderMap;
use scrip_http::{ApiError, App, Call, Reply};
use scrip_payments::{Event, Refused};
use serde::Serialize;
use store::{Moment, Unsettled};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Bytes that an event may have: some of the provider's carry a whole invoice.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// The header with the signature and its time.
const SIGNATURE: &str = "Stripe-Signature";

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(event))
}

/// What came of an event.
#[derive(Serialize, ToSchema)]
struct Heard {
    /// Whether it was of interest: a payment, a refund or a dispute.
    heard: bool,
}

/// Takes an event of the payment provider. It is believed only with the provider's signature, not older
/// than five minutes; heard twice, late or in the wrong order it changes nothing that is settled.
#[utoipa::path(
    post,
    path = "/api/v3/payments/events",
    tag = "payments",
    security(),
    params(("Stripe-Signature" = String, Header, description = "t=…,v1=…: HMAC-SHA-256 over time and body")),
    request_body(content = Object, description = "An event of Stripe's"),
    responses(
        (status = 200, body = Heard),
        (status = 400, description = "VALIDATION_ERROR: the signature is not the provider's, or too old; nothing was done"),
        (status = 409, description = "OPERATION_IN_PROGRESS: send it again"),
    ),
)]
async fn event(
    State(app): State<Arc<App>>,
    call: Call,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Reply, ApiError> {
    let forged = |problem: &str| ApiError::field(SIGNATURE, problem);
    let mut sent = headers.get_all(SIGNATURE).iter();
    let signature = match (sent.next(), sent.next()) {
        (Some(value), None) => value.to_str().map_err(|_| forged("does not read"))?,
        (None, _) => return Err(forged("is missing: only the payment provider calls this path")),
        (Some(_), Some(_)) => return Err(forged("must be sent once")),
    };
    let body = to_bytes(request.into_body(), EVENT_BYTES_MAX).await;
    let body = body.map_err(|_| ApiError::TooLarge(EVENT_BYTES_MAX))?;
    let (mode, event) = read(&app, signature, &body, call.moment).await?;
    let heard = event.is_some();
    if let Some(event) = event {
        take(&app, (mode, &event), call.moment).await?;
    }
    Reply::ok(&Heard { heard })
}

/// Reads an event by the company that takes real money, or by the simulated one of test keys, which has
/// a secret of its own. Their clock is not one that can be moved.
async fn read(
    app: &App,
    signature: &str,
    body: &[u8],
    moment: Moment,
) -> Result<(Mode, Option<Event>), ApiError> {
    let told = |refused: Refused| match refused {
        Refused::Forged(problem) => ApiError::field(SIGNATURE, problem),
        Refused::Later(silence) => Unsettled::from(silence).into(),
    };
    match app.providers.of(Mode::Live).event(signature, body, moment.wall).await {
        Ok(event) => Ok((Mode::Live, event)),
        Err(refused) => match app.providers.of(Mode::Test).event(signature, body, moment.wall).await {
            Ok(event) => Ok((Mode::Test, event)),
            Err(_) => Err(told(refused)),
        },
    }
}

async fn take(app: &App, (mode, event): (Mode, &Event), moment: Moment) -> Result<(), Unsettled> {
    match event {
        Event::Payment(payment) => {
            let of = payment.purchase.map_or(mode, |purchase| purchase.account.mode);
            if (mode, of) == (Mode::Test, Mode::Live) {
                tracing::error!("simulated money buys no real credits");
                return Ok(());
            }
            let moment = match payment.purchase {
                Some(purchase) => app.ledger.moment_of(purchase.account, moment).await?,
                None => moment,
            };
            app.till(of).on_event(event, moment).await
        }
        Event::DisputeOpened(_) | Event::DisputeClosed(..) | Event::Refunded(_) => {
            app.till(mode).on_event(event, moment).await
        }
    }
}
