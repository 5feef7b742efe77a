//! The provider of each mode, and the provider for when none is configured.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::{
    ChargeOrder, CustomerId, Decline, EventRejected, MoneyRefund, NoAnswer, Payment, PaymentId,
    PaymentStatus, Provider, ProviderEvent, RefundAnswer, Reversals,
};
use domain::{Mode, OrgId};

/// The payment provider of each mode.
#[derive(Clone)]
pub struct Providers {
    /// For live credits.
    pub live: Arc<dyn Provider>,
    /// For test credits.
    pub test: Arc<dyn Provider>,
}

impl Providers {
    /// The provider of a mode.
    #[must_use]
    pub fn of(&self, mode: Mode) -> &dyn Provider {
        match mode {
            Mode::Live => self.live.as_ref(),
            Mode::Test => self.test.as_ref(),
        }
    }
}

/// The provider when none is configured: it declines every charge, and knows nothing of charges by an earlier provider.
#[derive(Clone, Copy, Debug)]
pub struct NoProvider;

impl NoProvider {
    fn no_answer() -> NoAnswer {
        NoAnswer("no payment provider is configured".to_owned())
    }
}

#[async_trait]
impl Provider for NoProvider {
    async fn create_customer(&self, _: OrgId, _: &str) -> Result<Option<CustomerId>, NoAnswer> {
        Ok(None)
    }

    async fn charge(&self, order: &ChargeOrder) -> Result<Payment, NoAnswer> {
        Ok(Payment {
            id: None,
            purchase: Some(order.purchase),
            price: order.price,
            status: PaymentStatus::Failed(Decline {
                reason: "payments_not_configured".to_owned(),
                decline_code: None,
            }),
            receipt: None,
        })
    }

    async fn find(&self, _: &ChargeOrder) -> Result<Option<Payment>, NoAnswer> {
        Err(Self::no_answer())
    }

    async fn payment(&self, _: &PaymentId) -> Result<Option<Payment>, NoAnswer> {
        Err(Self::no_answer())
    }

    async fn cancel(&self, _: &PaymentId) -> Result<Payment, NoAnswer> {
        Err(Self::no_answer())
    }

    async fn refund(&self, _: &PaymentId) -> Result<(), NoAnswer> {
        Err(Self::no_answer())
    }

    async fn refund_part(&self, _: &PaymentId, _: &MoneyRefund) -> Result<RefundAnswer, NoAnswer> {
        Err(Self::no_answer())
    }

    async fn reversals(&self, _: &PaymentId) -> Result<Option<Reversals>, NoAnswer> {
        Err(Self::no_answer())
    }

    async fn events_since(&self, _: DateTime<Utc>) -> Result<Vec<ProviderEvent>, NoAnswer> {
        Ok(vec![])
    }

    async fn event(
        &self,
        _: &str,
        _: &[u8],
        _: DateTime<Utc>,
    ) -> Result<Option<ProviderEvent>, EventRejected> {
        Err(Self::no_answer().into())
    }
}
