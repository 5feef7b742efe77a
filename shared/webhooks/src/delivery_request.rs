//! The message of the webhook delivery queue.

use domain::AccountId;
use ports::EventOwner;
use serde::{Deserialize, Serialize};

/// A message for the function `webhook-delivery`: deliver pending events to the webhooks of an account. A message that
/// is repeated, late or unnecessary does no harm, because the table says what is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DeliveryRequest {
    /// A message from one of our functions.
    Account {
        /// The account: `org_…#live`.
        account: AccountId,
    },
    /// A message from the event bus. Only the owner is read from it: the feed has the events and their order.
    Event {
        /// The event's detail.
        detail: EventOwner,
    },
}

impl DeliveryRequest {
    /// The account whose webhooks have pending events.
    #[must_use]
    pub fn account(self) -> AccountId {
        match self {
            Self::Account { account } => account,
            Self::Event { detail } => detail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_function_or_of_the_bus_names_an_account() {
        for (text, account) in [
            (r#"{"account":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"}"#, "org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"),
            (
                r#"{"version":"0","detail-type":"credits.low_balance","source":"scrip","detail":{"organisationId":
                "org_01HKZNPZB0YQ3T5N1C8V6W2X4G","livemode":false,"sequence":7}}"#,
                "org_01HKZNPZB0YQ3T5N1C8V6W2X4G#test",
            ),
        ] {
            let message: DeliveryRequest = serde_json::from_str(text).unwrap();
            assert_eq!(message.account().to_string(), account);
        }
        for wrong in ["{}", "[]", r#"{"account":"org_1"}"#, r#"{"detail":{"livemode":true}}"#] {
            assert!(serde_json::from_str::<DeliveryRequest>(wrong).is_err(), "{wrong}");
        }
    }
}
