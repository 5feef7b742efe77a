//! What is announced of monitors.

use serde_json::{Value, json};

use crate::{Monitor, SuspensionReason};

/// The data of the event about a suspended monitor.
pub(super) fn suspended(monitor: &Monitor) -> Value {
    json!({
        "monitorId": monitor.id,
        "operation": monitor.operation,
        "resourceId": monitor.resource_id,
        "reason": monitor.waits_for().map(SuspensionReason::as_str),
        "message": match monitor.waits_for() {
            Some(SuspensionReason::Frozen) => "A monitor is suspended; it resumes once the organisation is unfrozen",
            Some(SuspensionReason::BudgetExceeded) => "A monitor is suspended because a budget has no room for it. It is tried again when credits arrive, and next month",
            Some(SuspensionReason::NotPriced) => "A monitor is suspended because its operation no longer has a monthly price. It is tried again next month",
            Some(SuspensionReason::InsufficientCredits) | None => {
                "This month of a monitor could not be paid; it resumes once there are credits"
            }
        },
    })
}
