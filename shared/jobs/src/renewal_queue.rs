//! The message of the renewal queue.

use serde::{Deserialize, Serialize};

use domain::{AccountId, MonitorId, Period};

/// A message for the function `renewal`. A task that runs twice changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
pub enum RenewalTask {
    /// Renew the next page of accounts in one shard of the directory.
    Round {
        /// The month that starts.
        month: Period,
        /// The shard.
        shard: u8,
    },
    /// Retry the monitors that wait for credits, in one shard of the directory, because a price has dropped.
    Waiting {
        /// The shard.
        shard: u8,
        /// The last account of the previous page; `None` for the first page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<AccountId>,
    },
    /// Add the next page of accounts to the roll-forward of a month, in one shard of the directory.
    RollForward {
        /// The month.
        month: Period,
        /// The shard.
        shard: u8,
    },
    /// Charge the monitors of an account that are not paid for this month.
    Monitors {
        /// The account.
        account: AccountId,
        /// The last monitor of the previous page; `None` for the first page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<MonitorId>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_reads_and_writes_as_json() {
        for text in [
            r#"{"do":"waiting","shard":3}"#,
            r#"{"do":"waiting","shard":3,"after":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"}"#,
            r#"{"do":"round","month":"2024-02","shard":17}"#,
            r#"{"do":"rollForward","month":"2024-02","shard":17}"#,
            r#"{"do":"monitors","account":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"}"#,
            r#"{"do":"monitors","account":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#test","after":"mon_01HKZNPZB0YQ3T5N1C8V6W2X4G"}"#,
        ] {
            let task: RenewalTask = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&task).unwrap(), text);
        }
        for wrong in [r#"{"do":"rest"}"#, r#"{"do":"round","month":"2024-13","shard":1}"#, "{}"] {
            assert!(serde_json::from_str::<RenewalTask>(wrong).is_err(), "{wrong}");
        }
    }
}
