//! `POST /api/v3/payments/events`: events of the payment provider. They are signed, and may arrive late, twice or out of
//! order.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use domain::Mode;
use http::HeaderMap;
use scrip_http::{ApiError, App, Reply, RequestContext};
use scrip_payments::{EventRejected, ProviderEvent};
use serde::Serialize;
use store::{Moment, Unsettled};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most bytes of an event. Some events contain a whole invoice.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// The header with the signature and its timestamp.
const SIGNATURE: &str = "Stripe-Signature";

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(event))
}

/// The answer to an event.
#[derive(Serialize, ToSchema)]
struct EventReceived {
    /// Whether Scrip handles events of this type: payments, refunds and disputes.
    received: bool,
}

/// Receives an event of the payment provider. The signature must be the provider's and at most five minutes old. An event
/// that arrives twice, late or out of order changes nothing that is settled.
#[utoipa::path(
    post,
    path = "/api/v3/payments/events",
    tag = "payments",
    security(),
    params(("Stripe-Signature" = String, Header, description = "t=…,v1=…: HMAC-SHA-256 over time and body")),
    request_body(content = Object, description = "A Stripe event"),
    responses(
        (status = 200, body = EventReceived),
        (status = 400, description = "VALIDATION_ERROR: the signature is not valid or too old; nothing was changed"),
        (status = 409, description = "OPERATION_IN_PROGRESS: send the event again"),
    ),
)]
async fn event(
    State(app): State<Arc<App>>,
    call: RequestContext,
    headers: HeaderMap,
    request: Request<Body>,
) -> Result<Reply, ApiError> {
    let forged = |problem: &str| ApiError::field(SIGNATURE, problem);
    let mut sent = headers.get_all(SIGNATURE).iter();
    let signature = match (sent.next(), sent.next()) {
        (Some(value), None) => value.to_str().map_err(|_| forged("is not valid text"))?,
        (None, _) => return Err(forged("is missing: only the payment provider may call this path")),
        (Some(_), Some(_)) => return Err(forged("must be sent once")),
    };
    let body = to_bytes(request.into_body(), EVENT_BYTES_MAX).await;
    let body = body.map_err(|_| ApiError::TooLarge(EVENT_BYTES_MAX))?;
    let (mode, event) = read(&app, signature, &body, call.moment).await?;
    let received = event.is_some();
    if let Some(event) = event {
        process(&app, mode, &event, call.moment).await?;
    }
    Reply::ok(&EventReceived { received })
}

/// Verifies and parses an event of the live provider, or of the simulated provider of test keys, which has a secret of its
/// own. Both use the wall clock, not the test clock.
async fn read(
    app: &App,
    signature: &str,
    body: &[u8],
    moment: Moment,
) -> Result<(Mode, Option<ProviderEvent>), ApiError> {
    let error = |refused: EventRejected| match refused {
        EventRejected::Forged(problem) => ApiError::field(SIGNATURE, problem),
        EventRejected::Later(silence) => Unsettled::from(silence).into(),
    };
    match app.providers.of(Mode::Live).event(signature, body, moment.wall).await {
        Ok(event) => Ok((Mode::Live, event)),
        Err(refused) => match app.providers.of(Mode::Test).event(signature, body, moment.wall).await {
            Ok(event) => Ok((Mode::Test, event)),
            Err(_) => Err(error(refused)),
        },
    }
}

async fn process(app: &App, mode: Mode, event: &ProviderEvent, moment: Moment) -> Result<(), Unsettled> {
    match event {
        ProviderEvent::Payment(payment) => {
            let of = payment.purchase.map_or(mode, |purchase| purchase.account.mode);
            if (mode, of) == (Mode::Test, Mode::Live) {
                tracing::error!("a simulated payment cannot buy live credits");
                return Ok(());
            }
            let moment = match payment.purchase {
                Some(purchase) => app.ledger.moment_of(purchase.account, moment).await?,
                None => moment,
            };
            app.checkout(of).on_event(event, moment).await
        }
        ProviderEvent::DisputeOpened(_) | ProviderEvent::DisputeClosed(..) | ProviderEvent::Refunded(_) => {
            app.checkout(mode).on_event(event, moment).await
        }
    }
}
