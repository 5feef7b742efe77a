//! The message of the webhook delivery queue.

use domain::AccountId;
use ports::EventOwner;
use serde::{Deserialize, Serialize};

/// A message for the function `webhook-delivery`: deliver pending events to the webhooks of an account. A message that
/// is repeated, late or unnecessary does no harm, because the table says what is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DeliveryRequest {
    /// An account whose last delivery had a fault, such as a table that did not answer.
    AfterFault {
        /// The account.
        account: AccountId,
        /// The number of faults in a row.
        faults: u32,
    },
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
            Self::AfterFault { account, .. } | Self::Account { account } => account,
            Self::Event { detail } => detail.into(),
        }
    }

    /// The number of faults in a row, the last of which sent this message.
    #[must_use]
    pub fn faults(self) -> u32 {
        match self {
            Self::AfterFault { faults, .. } => faults,
            Self::Account { .. } | Self::Event { .. } => 0,
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
        let account = "org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live".parse().unwrap();
        for (sent, faults) in [
            (DeliveryRequest::Account { account }, 0),
            (DeliveryRequest::AfterFault { account, faults: 3 }, 3),
        ] {
            let read: DeliveryRequest = serde_json::from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
            assert_eq!((read, read.account(), read.faults()), (sent, account, faults));
        }
        for wrong in ["{}", "[]", r#"{"account":"org_1"}"#, r#"{"detail":{"livemode":true}}"#] {
            assert!(serde_json::from_str::<DeliveryRequest>(wrong).is_err(), "{wrong}");
        }
    }
}
