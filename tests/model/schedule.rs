//! The tables of schedules, on every available DynamoDB: directory and renewal rounds, monitors and their subjects,
//! events, test clocks, alerts, and plan changes.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, AlertSettings, Allowance, Credits, EntryId, Lot, Mode, Monitor, MonitorAttribution,
    MonitorId, MonitorKey, MonitorStatus, MonitorSubject, Notification, Operation, OrgId, Period, PlanId,
    Reference, Source, SuspensionReason,
};
use store::{DirectoryEntry, Job, MonitorEvent, SubjectHolder, SweepProgress, random};
use tests::{TestLedger, backends, moment};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn credits(count: u64) -> Credits {
    Credits::try_from(count).unwrap()
}

/// A monitor that is being created, the same for the same number.
pub(crate) fn monitor(number: u64) -> Monitor {
    let text = |text: String| Reference::try_from(text).unwrap();
    let at = now() + Duration::milliseconds(i64::try_from(number).unwrap());
    Monitor {
        id: MonitorId::from(EntryId::new(at, number.into())),
        operation: Operation::try_from("aml.monitoring".to_owned()).unwrap(),
        resource_id: text(format!("applicant_{number}")),
        on_behalf: MonitorAttribution {
            customer_id: Some(text("cust_1".to_owned())),
            ..MonitorAttribution::default()
        },
        made_at: now(),
        status: MonitorStatus::Pending,
        paid: None,
        charge: None,
        made_with: None,
        revision: 0,
    }
}

#[tokio::test]
async fn every_account_is_in_the_directory_once() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let mut opened = Vec::new();
        for _ in 0..40 {
            let account = fixture.open(1, now()).await;
            fixture
                .ledger
                .open(&Account::open(account, PlanId("basic".into()), Allowance::Unlimited, now()))
                .await
                .unwrap();
            opened.push(account);
        }
        fixture.ledger.list_monitored(opened[0]).await.unwrap();
        let mut found = Vec::new();
        for shard in 0..store::DIRECTORY_SHARDS {
            let mut after = None;
            loop {
                let (page, is_last) = fixture.ledger.directory_page(shard, after, 1).await.unwrap();
                assert!(page.iter().all(|listed| DirectoryEntry::shard(listed.account) == shard));
                after = page.last().map(|last| last.account).or(after);
                found.extend(page);
                if is_last {
                    break;
                }
            }
        }
        found.sort_by_key(|listed| listed.account);
        opened.sort();
        let expected: Vec<_> =
            opened.iter().map(|account| DirectoryEntry { account: *account, monitored: false }).collect();
        let monitored: Vec<_> =
            found.iter().filter(|listed| listed.monitored).map(|listed| listed.account).collect();
        assert_eq!(monitored.len(), 1);
        assert!(fixture.ledger.is_monitored(monitored[0]).await.unwrap());
        found.iter_mut().for_each(|listed| listed.monitored = false);
        assert_eq!(found, expected, "{backend:?}");
        // An account from before there was a directory is added to it on its next use.
        let old = AccountId { org: OrgId::new(now(), random()), mode: Mode::Live };
        assert!(!fixture.ledger.is_monitored(old).await.unwrap());
        let (page, _) = fixture.ledger.directory_page(DirectoryEntry::shard(old), None, 100).await.unwrap();
        assert!(page.iter().any(|listed| listed.account == old), "{backend:?}");
    }
}

/// Of two workers that make the same step of a renewal round, exactly one makes it.
#[tokio::test]
async fn a_step_of_a_renewal_round_is_made_once() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let (month, shard) = (Period::of(now()), 7);
        assert_eq!(fixture.ledger.sweep_progress(month, shard).await.unwrap(), SweepProgress::default());
        let account = AccountId { org: OrgId::new(now(), random()), mode: Mode::Live };
        let first = SweepProgress { after: Some(account), done: false, revision: 0 };
        let (one, other) = (fixture.restarted(), fixture.restarted());
        let (one, other) = tokio::join!(
            one.save_sweep_progress(month, shard, first),
            other.save_sweep_progress(month, shard, first)
        );
        assert!(one.unwrap() != other.unwrap(), "{backend:?}");
        let known = fixture.ledger.sweep_progress(month, shard).await.unwrap();
        assert_eq!(known, SweepProgress { revision: 1, ..first });
        assert!(
            fixture
                .ledger
                .save_sweep_progress(month, shard, SweepProgress { done: true, ..known })
                .await
                .unwrap()
        );
        assert!(fixture.ledger.sweep_progress(month, shard).await.unwrap().done);
        assert!(!fixture.ledger.save_sweep_progress(month, shard, known).await.unwrap());
        assert!(!fixture.ledger.sweep_progress(month.next(), shard).await.unwrap().done);
    }
}

#[tokio::test]
async fn monitors_come_back_as_they_were_written_and_in_their_order() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let account = fixture.open(1, now()).await;
        assert_eq!(fixture.ledger.last_monitor(account).await.unwrap(), None);
        let later = now() + Duration::days(1);
        let mut written = Vec::new();
        for number in 0..7 {
            let begun = monitor(number);
            fixture.ledger.begin_monitor(account, &begun).await.unwrap();
            fixture.ledger.begin_monitor(account, &begun).await.unwrap();
            let month = Period::of(now());
            let next = match number % 4 {
                0 => begun,
                1 => begun.charged(month, EntryId::new(now(), 3)),
                2 => begun.suspended(SuspensionReason::InsufficientCredits, now()),
                _ => begun.ended(now()),
            };
            let saved = fixture.ledger.save_monitor(account, &next, moment(now())).await.unwrap().unwrap();
            assert_eq!(
                fixture
                    .ledger
                    .save_monitor(account, &Monitor { made_at: later, ..next }, moment(now()))
                    .await
                    .unwrap(),
                None
            );
            written.push(saved);
        }
        let mut read = Vec::new();
        let mut after = None;
        loop {
            let page = fixture.ledger.monitors(account, after, 3).await.unwrap();
            read.extend(page.monitors);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(read, written, "{backend:?}");
        assert_eq!(fixture.ledger.last_monitor(account).await.unwrap(), Some(written[6].id));
        let id = MonitorKey { account, monitor: written[0].id };
        assert!(!fixture.ledger.forget_monitor(account, &monitor(0)).await.unwrap());
        let newer = Monitor { revision: 9, ..written[0].clone() };
        assert!(!fixture.ledger.forget_monitor(account, &newer).await.unwrap());
        assert_eq!(fixture.ledger.monitor(id).await.unwrap().as_ref(), Some(&written[0]));
        assert!(fixture.ledger.forget_monitor(account, &written[0]).await.unwrap());
        assert_eq!(fixture.ledger.monitor(id).await.unwrap(), None, "{backend:?}");
    }
}

#[tokio::test]
async fn a_subject_belongs_to_one_monitor_at_a_time() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let (account, other) = (fixture.open(1, now()).await, fixture.open(1, now()).await);
        let (one, two) = (monitor(1), monitor(2));
        let subject: MonitorSubject = one.subject();
        let take = async |id| fixture.ledger.take_subject(account, &subject, id).await.unwrap();
        assert_eq!(take(one.id).await, SubjectHolder::Ours);
        assert_eq!(take(one.id).await, SubjectHolder::Ours);
        assert_eq!(take(two.id).await, SubjectHolder::By(one.id));
        assert_eq!(fixture.ledger.take_subject(other, &subject, two.id).await.unwrap(), SubjectHolder::Ours);
        fixture.ledger.free_subject(account, &subject, two.id).await.unwrap();
        assert_eq!(take(two.id).await, SubjectHolder::By(one.id));
        assert!(fixture.ledger.take_subject_over(account, &subject, one.id, two.id).await.unwrap());
        assert!(!fixture.ledger.take_subject_over(account, &subject, one.id, one.id).await.unwrap());
        assert_eq!(take(two.id).await, SubjectHolder::Ours);
        fixture.ledger.free_subject(account, &subject, two.id).await.unwrap();
        assert_eq!(take(one.id).await, SubjectHolder::Ours, "{backend:?}");
    }
}

/// Events are numbered without a gap and stored once, also when several writers add them at once.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_stored_once_and_numbered_without_a_gap() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let account = fixture.open(1, now()).await;
        let notification = |number: u64| Notification::Expiring {
            lot: EntryId::new(now(), number.into()),
            terms: Lot {
                source: Source::Bonus,
                left: credits(number),
                service: None,
                expires_at: Some(now()),
            },
        };
        let tellers: Vec<_> = (0..12u64)
            .map(|number| {
                let (ledger, notification) = (fixture.restarted(), notification(number / 3));
                tokio::spawn(async move {
                    while ledger.emit(account, &notification, moment(now())).await.is_err() {}
                })
            })
            .collect();
        for teller in tellers {
            teller.await.unwrap();
        }
        let (events, more) = fixture.ledger.events(account, 0, 100).await.unwrap();
        let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
        assert_eq!((numbers, more), (vec![1, 2, 3, 4], false), "{backend:?}");
        let mut amounts: Vec<_> = events.iter().map(|event| event.data["amount"].as_u64().unwrap()).collect();
        amounts.sort_unstable();
        assert_eq!(amounts, [0, 1, 2, 3]);
        let (after, more) = fixture.ledger.events(account, 2, 1).await.unwrap();
        assert_eq!((after.len(), after[0].number, more), (1, 3, true), "{backend:?}");
        assert_eq!(fixture.ledger.events(account, 4, 10).await.unwrap().0, []);
    }
}

#[tokio::test]
async fn a_test_clock_moves_forward_with_its_jobs() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let live = fixture.open(1, now()).await;
        let test = AccountId { mode: Mode::Test, ..live };
        let ledger = &fixture.ledger;
        assert_eq!(ledger.moment_of(test, moment(now())).await.unwrap().now, now());
        let later = now() + Duration::days(3);
        for account in [live, test] {
            ledger.schedule(Job::Calendar(account), later).await.unwrap();
            ledger.schedule(Job::Recharge(account), now()).await.unwrap();
        }
        let all = fixture.due_jobs(now() + Duration::days(9)).await;
        assert_eq!(all.len(), 4, "without a clock a test ledger's jobs follow real time: {backend:?}");
        ledger.set_test_clock(test, now() + Duration::days(1)).await.unwrap();
        let own = ledger.own_due_jobs(test, now() + Duration::days(2)).await.unwrap();
        assert_eq!(own.iter().map(|noted| noted.job).collect::<Vec<_>>(), [Job::Recharge(test)]);
        ledger.schedule(Job::Plan(test), later).await.unwrap();
        assert_eq!(ledger.own_due_jobs(test, later).await.unwrap().len(), 3, "{backend:?}");
        for noted in ledger.own_due_jobs(test, later).await.unwrap() {
            ledger.remove_job(&noted).await.unwrap();
        }
        assert_eq!(ledger.own_due_jobs(test, later).await.unwrap(), []);
        let all = fixture.due_jobs(now() + Duration::days(9)).await;
        assert!(all.len() == 2 && all.iter().all(|noted| noted.job.account() == live), "{backend:?}");
        ledger.schedule(Job::Webhooks(test), later).await.unwrap();
        assert_eq!(fixture.due_jobs(later).await.len(), 3, "deliveries follow real time: {backend:?}");
        assert_eq!(ledger.set_test_clock(test, later).await.unwrap(), later);
        assert_eq!(ledger.set_test_clock(test, now()).await.unwrap(), later, "the clock never goes back");
        assert_eq!(ledger.moment_of(test, moment(now())).await.unwrap().now, later);
        assert_eq!(ledger.moment_of(live, moment(now())).await.unwrap().now, now());
    }
}

#[tokio::test]
async fn alerts_are_changed_one_after_the_other() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let account = fixture.open(1, now()).await;
        let first = fixture.ledger.alerts(account).await.unwrap();
        assert_eq!(first, AlertSettings::default());
        let wanted = AlertSettings { expiry_notice_days: 30, ..first.clone() };
        let saved = fixture.ledger.save_alerts(account, wanted).await.unwrap().unwrap();
        let late = AlertSettings { expiry_notice_days: 14, ..first.clone() };
        assert_eq!(fixture.ledger.save_alerts(account, late).await.unwrap(), None, "{backend:?}");
        assert_eq!(fixture.ledger.alerts(account).await.unwrap(), saved);
        assert_eq!((saved.expiry_notice_days, saved.revision), (30, 1));
    }
}

/// A monitor is saved with the event about its change: of two writers that read the same version, one writes both and the
/// other neither.
#[tokio::test]
async fn a_monitor_is_written_with_its_event() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let account = fixture.open(1, now()).await;
        let made = monitor(1).charged(Period::of(now()), EntryId::new(now(), 5));
        fixture.ledger.begin_monitor(account, &made).await.unwrap();
        let save = async |monitor: &Monitor, notification: fn(Monitor) -> Notification| {
            let event = MonitorEvent { notification, moment: moment(now()) };
            fixture.ledger.save_monitor_and_emit(account, monitor, event).await.unwrap()
        };
        let suspended = made.suspended(SuspensionReason::Frozen, now());
        let saved = save(&suspended, Notification::MonitorSuspended).await.unwrap();
        assert_eq!(save(&made.ended(now()), Notification::MonitorResumed).await, None, "{backend:?}");
        let id = MonitorKey { account, monitor: made.id };
        assert_eq!(fixture.ledger.monitor(id).await.unwrap().as_ref(), Some(&saved));
        let resumed = save(
            &saved.charged(Period::of(now()).next(), EntryId::new(now(), 6)),
            Notification::MonitorResumed,
        )
        .await;
        assert_eq!(resumed.unwrap().revision, 2);
        let (events, _) = fixture.ledger.events(account, 0, 10).await.unwrap();
        let answer: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(answer, ["monitor.suspended", "monitor.resumed"], "{backend:?}");
        assert_eq!(events[0].data["reason"], serde_json::json!("frozen"));
    }
}
