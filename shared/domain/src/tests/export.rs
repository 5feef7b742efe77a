//! The next step of an export, and its decisions.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::*;

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn export(stage: ExportStage) -> Export {
    let org = OrgId::new(start(), 1);
    Export {
        key: ExportKey::transactions(AccountId { org, mode: Mode::Live }, id(7).into()),
        format: FileFormat::Xlsx,
        query: StatementQuery::default(),
        begin: String::new(),
        ends: None,
        organisation: "Own".to_owned(),
        price: None,
        made_at: start(),
        begun_at: start(),
        key_id: KeyId::new(start(), 1),
        super_admin: None,
        request_id: "req_1".to_owned(),
        stage,
        hold: None,
        attempts: 0,
        leased_until: start(),
        rows: 0,
        counts: BTreeMap::new(),
        of: None,
        revision: 0,
    }
}

fn file() -> ExportFile {
    ExportFile { bytes: 5, rows: 3, sha256: None, until: Export::file_until(start()) }
}

/// stage, attempts, seconds since it was begun, seconds until its lease ends => the next step
#[test]
fn an_export_has_a_next_step() {
    let day = 24 * 3_600;
    for (stage, attempts, passed, lease, expected) in [
        (ExportStage::Begun, 0, 0, 1, ExportStep::Wait),
        (ExportStage::Begun, 0, 0, 0, ExportStep::Make),
        (ExportStage::Queued, 2, 0, 0, ExportStep::Make),
        (ExportStage::Running, 2, 0, 1, ExportStep::Wait),
        (ExportStage::Running, 3, 0, 1, ExportStep::Wait),
        (ExportStage::Running, 3, 0, 0, ExportStep::GiveUp),
        (ExportStage::Queued, 0, day - 1, 0, ExportStep::Make),
        (ExportStage::Queued, 0, day, 0, ExportStep::GiveUp),
        (ExportStage::Made(file()), 9, day, 9, ExportStep::Settle),
        (ExportStage::Failing(ExportError::TooLarge), 9, day, 9, ExportStep::Settle),
        (ExportStage::Ready(file(), None), 0, 0, 9, ExportStep::Rest),
        (ExportStage::Failed(ExportError::NotMade), 0, 0, 9, ExportStep::Rest),
    ] {
        let case = format!("{stage:?} {attempts} {passed} {lease}");
        let now = start() + TimeDelta::seconds(passed);
        let known = Export { attempts, leased_until: now + TimeDelta::seconds(lease), ..export(stage) };
        assert_eq!(known.next(now, now), expected, "{case}");
        assert_eq!(known.is_finished(), expected == ExportStep::Rest, "{case}");
    }
}

/// What costs credits is decided before they follow; what costs nothing is at its end at once.
#[test]
fn a_decision_waits_for_its_credits() {
    let free = export(ExportStage::Running);
    let held = Export { hold: Some(id(9)), ..free.clone() };
    let price = ExportPrice { operation: Operation::own("export.pdf"), credits: credits(1), version: 1 };
    let asked = Export { price: Some(price), ..free.clone() };
    assert!(asked.is_unheld() && !free.is_unheld());
    assert!(!Export { hold: Some(id(9)), ..asked }.is_unheld());
    assert_eq!(held.clone().made(file()).stage, ExportStage::Made(file()));
    assert_eq!(held.failing(ExportError::TooLarge).stage, ExportStage::Failing(ExportError::TooLarge));
    let made = free.clone().made(file());
    assert_eq!((&made.stage, made.rows, made.of), (&ExportStage::Ready(file(), None), 3, Some(3)));
    assert_eq!(free.failing(ExportError::TooLarge).stage, ExportStage::Failed(ExportError::TooLarge));
}

/// A lease outlasts what it covers: a request, and the time between two saves of the function `export`.
#[test]
fn an_export_is_leased_to_who_works_on_it() {
    let begun = export(ExportStage::Begun).leased_to_request(start());
    assert_eq!(begun.next(start(), start() + TimeDelta::seconds(29)), ExportStep::Wait);
    assert_eq!(begun.next(start(), start() + TimeDelta::seconds(30)), ExportStep::Make);
    let queued = begun.queued();
    assert_eq!((&queued.stage, queued.next(start(), start())), (&ExportStage::Queued, ExportStep::Make));
    let running = queued.attempted(start());
    assert_eq!((&running.stage, running.attempts), (&ExportStage::Running, 1));
    let later = start() + TimeDelta::seconds(299);
    assert_eq!(running.next(start(), later), ExportStep::Wait);
    let progressed = running.progressed(20_000, later);
    assert_eq!(progressed.next(start(), later + TimeDelta::seconds(299)), ExportStep::Wait);
    assert_eq!((progressed.rows, progressed.attempts), (20_000, 1));
    assert_eq!(progressed.released().next(start(), later), ExportStep::Make);
}

/// The record outlasts the idempotency key of its request, and the hold outlasts the time in which a file may be made.
#[test]
fn what_is_kept_outlasts_what_needs_it() {
    let known = export(ExportStage::Begun);
    let days = |days| start() + TimeDelta::days(days);
    assert!(known.is_kept(days(35) - TimeDelta::seconds(1)) && !known.is_kept(days(35)));
    assert!(i64::from(Export::HOLD_SECONDS) > 2 * 3_600 * Export::MAKING_HOURS);
    let name = known.file_name();
    assert_eq!(name, format!("transactions-2024-01-15-{}.xlsx", known.key.export));
    for format in FileFormat::ALL {
        assert_eq!(serde_json::to_value(format).unwrap(), format.extension());
        let is_free = matches!(format, FileFormat::Csv | FileFormat::JsonLines);
        assert_eq!(format.operation().is_none(), is_free);
    }
}

/// Keys of messages and jobs from before there were exports of organisations are those of transactions.
#[test]
fn an_export_of_an_organisation_has_a_key_and_a_file_of_its_own() {
    let org = OrgId::new(start(), 1);
    let own = export(ExportStage::Queued);
    let text = serde_json::to_string(&own.key).unwrap();
    assert!(!text.contains("content"), "{text}");
    assert_eq!(serde_json::from_str::<ExportKey>(&text).unwrap(), own.key);
    let whole = ExportKey::organisation(org, own.key.export);
    assert_ne!(whole, own.key);
    assert_eq!(whole.account, own.key.account);
    let text = serde_json::to_string(&whole).unwrap();
    assert_eq!(serde_json::from_str::<ExportKey>(&text).unwrap(), whole);
    let whole = Export { key: whole, format: FileFormat::JsonLines, ..own.clone() };
    let id = own.key.export;
    assert_eq!(own.file_name(), format!("transactions-2024-01-15-{id}.xlsx"));
    assert_eq!(whole.file_name(), format!("organisation-2024-01-15-{id}.jsonl.gz"));
    assert_eq!(whole.media_type(), "application/gzip");
}

/// An attempt that could not begin is none: the next one may begin at once.
#[test]
fn a_postponed_export_has_lost_no_attempt() {
    let begun = export(ExportStage::Queued).attempted(start());
    let postponed = begun.postponed();
    assert_eq!((postponed.attempts, &postponed.stage), (0, &ExportStage::Queued));
    assert_eq!(postponed.next(start(), start()), ExportStep::Make);
}
