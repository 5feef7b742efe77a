use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    CustomerId, Decline, Event, MoneyRefund, Order, Payment, PaymentId, Provider, RefundAnswer, Refused,
    Reversals, Silence, Standing,
};
use domain::{Mode, OrgId};

/// Who takes the money, by whose credits it buys.
#[derive(Clone)]
pub struct Providers {
    /// For real credits.
    pub live: Arc<dyn Provider>,
    /// For those of test keys.
    pub test: Arc<dyn Provider>,
}

impl Providers {
    /// The one for credits of that mode.
    #[must_use]
    pub fn of(&self, mode: Mode) -> &dyn Provider {
        match mode {
            Mode::Live => self.live.as_ref(),
            Mode::Test => self.test.as_ref(),
        }
    }
}

/// No payment company is configured: every charge is refused. What became of earlier ones, when there
/// was one, it can't say.
#[derive(Clone, Copy, Debug)]
pub struct NotConfigured;

impl NotConfigured {
    fn silence() -> Silence {
        Silence("no payment provider is configured".to_owned())
    }
}

#[async_trait]
impl Provider for NotConfigured {
    async fn enrol(&self, _: OrgId, _: &str) -> Result<Option<CustomerId>, Silence> {
        Ok(None)
    }

    async fn charge(&self, order: &Order) -> Result<Payment, Silence> {
        Ok(Payment {
            id: None,
            purchase: Some(order.purchase),
            price: order.price,
            standing: Standing::Failed(Decline {
                reason: "payments_not_configured".to_owned(),
                decline_code: None,
            }),
            receipt: None,
        })
    }

    async fn find(&self, _: &Order) -> Result<Option<Payment>, Silence> {
        Err(Self::silence())
    }

    async fn payment(&self, _: &PaymentId) -> Result<Option<Payment>, Silence> {
        Err(Self::silence())
    }

    async fn cancel(&self, _: &PaymentId) -> Result<Payment, Silence> {
        Err(Self::silence())
    }

    async fn refund(&self, _: &PaymentId) -> Result<(), Silence> {
        Err(Self::silence())
    }

    async fn refund_part(&self, _: &PaymentId, _: &MoneyRefund) -> Result<RefundAnswer, Silence> {
        Err(Self::silence())
    }

    async fn reversals(&self, _: &PaymentId) -> Result<Option<Reversals>, Silence> {
        Err(Self::silence())
    }

    async fn events_since(&self, _: DateTime<Utc>) -> Result<Vec<Event>, Silence> {
        Ok(vec![])
    }

    async fn event(&self, _: &str, _: &[u8], _: DateTime<Utc>) -> Result<Option<Event>, Refused> {
        Err(Self::silence().into())
    }
}
