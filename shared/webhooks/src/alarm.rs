//! Log lines that alarms of the stack count.

/// The log line of a fault that delays deliveries of one account or one webhook.
pub const DELIVERY_FAULT: &str = "a delivery waits because of a fault";

/// The log line of a webhook that is paused because its secret cannot be decrypted.
pub const SECRET_UNREADABLE: &str = "a webhook is paused because its secret cannot be decrypted";
