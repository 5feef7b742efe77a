use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use domain::{AccountId, Mode, OrgId};
use scrip_payments::Sqs;
use store::{Fault, Unsettled};

/// Has somebody look at the webhooks of an account. It says only "look": a call that comes twice, late or for
/// nothing does no harm, for what is to be delivered stands in the table.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// Has the function `webhook-delivery` look at an account, no sooner than so many seconds from now.
    ///
    /// # Errors
    /// [`Undispatched`].
    async fn dispatch(&self, account: AccountId, after_seconds: u16) -> Result<(), Undispatched>;
}

/// A message of the queue: one of our own, or an event that the bus has put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Dispatched {
    /// Somebody has sent for it.
    Look {
        /// Whose webhooks: `org_…#live`.
        account: AccountId,
    },
    /// Something has happened. That alone is taken from it: the feed says what, and in which order.
    Event {
        /// The event.
        detail: Of,
    },
}

/// Whose event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Of {
    organisation_id: OrgId,
    livemode: bool,
}

/// The queue did not take a message.
#[derive(Debug, thiserror::Error)]
#[error("the queue of webhooks did not take a message: {0}")]
pub struct Undispatched(pub String);

impl From<Undispatched> for Fault {
    /// It has to be sent again.
    fn from(undispatched: Undispatched) -> Self {
        Self::Unavailable { doing: "have webhooks looked at", source: undispatched.into() }
    }
}

impl From<Undispatched> for Unsettled {
    fn from(undispatched: Undispatched) -> Self {
        Self::Failed(undispatched.into())
    }
}

impl Of {
    /// An account, as events on the bus name it.
    #[must_use]
    pub fn account(account: AccountId) -> Self {
        Self { organisation_id: account.org, livemode: account.mode == Mode::Live }
    }
}

impl Dispatched {
    /// Whose webhooks are to be looked at.
    #[must_use]
    pub fn account(self) -> AccountId {
        match self {
            Self::Look { account } => account,
            Self::Event { detail: Of { organisation_id, livemode } } => {
                AccountId { org: organisation_id, mode: if livemode { Mode::Live } else { Mode::Test } }
            }
        }
    }
}

#[async_trait]
impl Dispatch for Sqs {
    async fn dispatch(&self, account: AccountId, after_seconds: u16) -> Result<(), Undispatched> {
        let body = serde_json::to_string(&Dispatched::Look { account });
        let body = body.map_err(|error| Undispatched(error.to_string()))?;
        self.message(body, after_seconds).await.map_err(Undispatched)
    }
}

/// No queue is configured.
#[derive(Clone, Copy, Debug)]
pub struct NoDispatch;

#[async_trait]
impl Dispatch for NoDispatch {
    async fn dispatch(&self, _: AccountId, _: u16) -> Result<(), Undispatched> {
        Err(Undispatched("none is configured".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_an_account_whoever_sent_it() {
        for (text, account) in [
            (r#"{"account":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"}"#, "org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"),
            (
                r#"{"version":"0","detail-type":"credits.low_balance","source":"scrip","detail":{"organisationId":
                "org_01HKZNPZB0YQ3T5N1C8V6W2X4G","livemode":false,"sequence":7}}"#,
                "org_01HKZNPZB0YQ3T5N1C8V6W2X4G#test",
            ),
        ] {
            let message: Dispatched = serde_json::from_str(text).unwrap();
            assert_eq!(message.account().to_string(), account);
        }
        for wrong in ["{}", "[]", r#"{"account":"org_1"}"#, r#"{"detail":{"livemode":true}}"#] {
            assert!(serde_json::from_str::<Dispatched>(wrong).is_err(), "{wrong}");
        }
    }
}
