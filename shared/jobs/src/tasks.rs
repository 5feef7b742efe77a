use serde::{Deserialize, Serialize};

use domain::{AccountId, MonitorId, Period};

/// Work for the function `renewal`, as a message of its queue says it. A task that is done twice changes
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
pub enum Task {
    /// Go on with a month's round of renewals in one part of the directory.
    Round {
        /// Which month begins.
        month: Period,
        /// Which part.
        shard: u8,
    },
    /// Go on with the walk to monitors that wait for credits, in one part of the directory: a price has fallen.
    Waiting {
        /// Which part.
        shard: u8,
        /// The accounts after this one; all when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<AccountId>,
    },
    /// Charge the monitors of an account that are not paid for this month.
    Monitors {
        /// Whose.
        account: AccountId,
        /// Those that were made after this one; all when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<MonitorId>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_says_what_to_do() {
        for text in [
            r#"{"do":"waiting","shard":3}"#,
            r#"{"do":"waiting","shard":3,"after":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"}"#,
            r#"{"do":"round","month":"2024-02","shard":17}"#,
            r#"{"do":"monitors","account":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"}"#,
            r#"{"do":"monitors","account":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#test","after":"mon_01HKZNPZB0YQ3T5N1C8V6W2X4G"}"#,
        ] {
            let task: Task = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&task).unwrap(), text);
        }
        for wrong in [r#"{"do":"rest"}"#, r#"{"do":"round","month":"2024-13","shard":1}"#, "{}"] {
            assert!(serde_json::from_str::<Task>(wrong).is_err(), "{wrong}");
        }
    }
}
