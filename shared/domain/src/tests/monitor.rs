//! Tests of monitors.

use super::*;

fn monitor() -> Monitor {
    Monitor {
        id: MonitorId::from(id(1)),
        operation: Operation::try_from("aml.monitoring".to_owned()).unwrap(),
        resource_id: Reference::try_from("applicant_42".to_owned()).unwrap(),
        on_behalf: MonitorAttribution::default(),
        made_at: at(NOW),
        status: MonitorStatus::Pending,
        paid: None,
        charge: None,
        made_with: None,
        revision: 0,
    }
}

fn month(text: &str) -> Period {
    Period::try_from(text.to_owned()).unwrap()
}

#[test]
fn a_month_is_paid_for_once() {
    let made = monitor();
    assert_eq!(made.owes(at(NOW)), Some(month("2024-01")));
    let active = made.charged(month("2024-01"), id(2));
    assert_eq!((active.status, active.owes(at("2024-01-31T23:59:59Z"))), (MonitorStatus::Active, None));
    assert_eq!(active.owes(at("2024-02-01T00:00:00Z")), Some(month("2024-02")));
    // Missed months are not charged afterwards.
    assert_eq!(active.owes(at("2024-07-09T00:00:00Z")), Some(month("2024-07")));
}

#[test]
fn an_unpaid_monitor_is_suspended_and_resumes_once_paid() {
    let active = monitor().charged(month("2024-01"), id(2));
    let short = SuspensionReason::InsufficientCredits;
    let (first, later) = (at("2024-02-01T00:00:00Z"), at("2024-02-09T00:00:00Z"));
    let suspended = active.suspended(short, first);
    assert_eq!(suspended.status, MonitorStatus::Suspended { since: first, why: short });
    assert_eq!(
        suspended.suspended(SuspensionReason::Frozen, later).status,
        MonitorStatus::Suspended { since: first, why: SuspensionReason::Frozen }
    );
    assert_eq!(suspended.owes(later), Some(month("2024-02")));
    let resumed = suspended.charged(month("2024-02"), id(3));
    assert_eq!((resumed.status, resumed.owes(later)), (MonitorStatus::Active, None));
    // Its initial state is kept, for a repeated request.
    let made = resumed.ended(later).as_made();
    assert_eq!(
        (made.status, made.paid, made.charge),
        (MonitorStatus::Active, Some(month("2024-01")), Some(id(2)))
    );
}

#[test]
fn an_ended_monitor_is_never_charged_again() {
    let ended = monitor().charged(month("2024-01"), id(2)).ended(at(NOW));
    assert_eq!(ended.owes(at("2024-03-01T00:00:00Z")), None);
    let status = MonitorStatus::Ended { at: at(NOW) };
    assert_eq!(ended.charged(month("2024-03"), id(4)).status, status);
    assert_eq!(ended.suspended(SuspensionReason::Frozen, at("2024-03-01T00:00:00Z")).status, status);
    assert_eq!(ended.ended(at("2024-03-01T00:00:00Z")).status, status);
}

#[test]
fn a_subject_is_one_operation_on_one_resource() {
    let subject = |operation: &str, resource: &str| {
        let operation = Operation::try_from(operation.to_owned()).unwrap();
        MonitorSubject::new(&operation, &Reference::try_from(resource.to_owned()).unwrap())
    };
    let one = subject("aml.monitoring", "applicant_42");
    assert_eq!(one, subject("aml.monitoring", "applicant_42"));
    for other in [subject("kyt.monitoring", "applicant_42"), subject("aml.monitoring", "applicant_4")] {
        assert_ne!(one, other);
    }
    // Two spellings of one name.
    assert_eq!(subject("aml.monitoring", "caf\u{e9}"), subject("aml.monitoring", "cafe\u{301}"));
    // Its charge is an idempotency key.
    let key = IdempotencyKey::try_from(one.charge(month("2024-02"))).unwrap();
    assert!(key.as_str().starts_with("monitor/") && key.as_str().ends_with("/2024-02"));
}

#[test]
fn a_refusal_gives_the_reason_of_a_suspension() {
    let insufficient =
        Refusal::InsufficientCredits { required: credits(1), available: Credits::ZERO, passed_over: vec![] };
    assert_eq!(SuspensionReason::from(&insufficient), SuspensionReason::InsufficientCredits);
    assert_eq!(SuspensionReason::from(&Refusal::Frozen), SuspensionReason::Frozen);
    let unknown = Refusal::UnknownOperation(Reference::try_from("gone".to_owned()).unwrap());
    assert_eq!(SuspensionReason::from(&unknown), SuspensionReason::NotPriced);
}
