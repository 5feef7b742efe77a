//! The capability `payments`: sells credits, by Stripe for live keys and by the simulated provider for test keys.

use std::sync::Arc;

use aws::SecretsManager;
use domain::Mode;
use scrip_payments::{Checkout, Deadline, Provider, Simulated, Stripe, StripeConfig, StripeSecrets};

use crate::environment::{optional, variable};
use crate::{App, MissingVariable};

impl App {
    /// Adds the payment providers: Stripe for live keys if the environment has its secrets (see [`stripe`]), and the
    /// simulated provider for test keys. Without Stripe every live payment is refused.
    ///
    /// # Errors
    /// [`MissingVariable`] as for [`stripe`].
    pub fn with_payments(mut self) -> Result<Self, MissingVariable> {
        if let Some(stripe) = stripe()? {
            self.providers.live = stripe;
        }
        Ok(self.with_test_payments())
    }

    /// Adds the simulated payment provider for test keys, and no other. It has no secrets.
    #[must_use]
    pub fn with_test_payments(mut self) -> Self {
        self.providers.test = Arc::new(Simulated::without_memory());
        self
    }

    /// The checkout for live or test keys. Its deadline begins now.
    #[must_use]
    pub fn checkout(&self, mode: Mode) -> Checkout<'_> {
        Checkout {
            ledger: &self.ledger,
            settings: &self.settings,
            provider: self.providers.of(mode),
            recharges: self.recharges.as_ref(),
            deadline: Deadline::from_now(),
        }
    }
}

/// Stripe, if the environment has its secrets: `STRIPE_SECRET_ARN` names a secret of Secrets Manager; on a developer's
/// machine `STRIPE_API_KEY` and `STRIPE_WEBHOOK_SECRET` may hold the secrets themselves. `STRIPE_RETURN_URL` is where
/// customers return to after an authentication, `STRIPE_API_BASE` another endpoint.
///
/// # Errors
/// [`MissingVariable`] when credentials for Secrets Manager are missing, or a URL is not valid.
pub fn stripe() -> Result<Option<Arc<dyn Provider>>, MissingVariable> {
    let secrets = match (optional("STRIPE_SECRET_ARN"), optional("STRIPE_API_KEY")) {
        (Some(arn), _) => StripeSecrets::Managed(SecretsManager {
            arn,
            region: variable("AWS_REGION")?,
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret_key: variable("AWS_SECRET_ACCESS_KEY")?.into(),
            session_token: optional("AWS_SESSION_TOKEN").map(Into::into),
            endpoint: optional("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        }),
        (None, Some(key)) => StripeSecrets::Fixed {
            api_key: key.into(),
            webhook_secrets: optional("STRIPE_WEBHOOK_SECRET").into_iter().map(Into::into).collect(),
        },
        (None, None) => return Ok(None),
    };
    let (api_base, return_url) = (optional("STRIPE_API_BASE"), optional("STRIPE_RETURN_URL"));
    let config = StripeConfig { api_base, return_url, ..StripeConfig::new(secrets) };
    match Stripe::new(config) {
        Ok(stripe) => Ok(Some(Arc::new(stripe))),
        Err(problem) => {
            tracing::error!(%problem, "the Stripe configuration is not valid");
            Err(MissingVariable("STRIPE_API_BASE"))
        }
    }
}
