use domain::AccountId;
use ports::Owner;
use serde::{Deserialize, Serialize};

/// A message for the function `webhook-delivery`: deliver what waits in an account's webhooks. A message that comes
/// twice, late or for nothing does no harm, because the table says what is to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DeliveryRequest {
    /// One of our functions sent it.
    Account {
        /// Whose webhooks: `org_…#live`.
        account: AccountId,
    },
    /// The event bus sent it. Only the owner is taken from it: the feed says what happened, and in which order.
    Event {
        /// The event.
        detail: Owner,
    },
}

impl DeliveryRequest {
    /// Whose webhooks are to be served.
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
    fn a_message_names_an_account_whichever_side_sent_it() {
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
