//! Compares plans and months in the table with the pure model, on every available DynamoDB.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, Allowance, Attempt, ChangePlan, ChangePlanCause, ClaimKey, Consume, Credits, EntryId, Monitor,
    MonitorAttribution, MonitorId, MonitorStatus, Operation, Period, PlanId, Reference, change_plan, consume,
};
use jobs::Jobs;
use ports::NoQueue;
use tests::{TestLedger, backends, keyed, moment, settle};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn credits(count: u64) -> Credits {
    Credits::try_from(count).unwrap()
}

/// Plans change while an unlimited plan counts nothing down: the table equals the model.
#[tokio::test]
async fn the_table_agrees_with_the_model_of_plans() {
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let id = fixture.open(1_000, now()).await;
        let mut model = fixture.ledger.account(id).await.unwrap().unwrap();
        let plans = [
            ("free", Allowance::Monthly(credits(100))),
            ("enterprise", Allowance::Unlimited),
            ("professional", Allowance::Monthly(credits(5_000))),
            ("enterprise", Allowance::Unlimited),
            ("basic", Allowance::Monthly(credits(1_000))),
            ("none", Allowance::Monthly(credits(0))),
        ];
        let mut answer = Vec::new();
        for (number, (plan, allowance)) in plans.iter().enumerate() {
            let spend = Consume {
                operation: Operation::try_from("x".to_owned()).unwrap(),
                amount: model.subscription.left.min(credits(70)).plus(credits(0)).unwrap(),
                service: None,
            };
            let spend = if model.allowance == Allowance::Unlimited {
                Consume { amount: credits(333), ..spend }
            } else {
                spend
            };
            let key = format!("s{number}");
            let settled =
                settle(&fixture.ledger, id, keyed(&key, &key), moment(now()), |account, attempt| {
                    consume(account, &spend, attempt)
                });
            let attempt = |id: EntryId, key: &str| Attempt {
                id,
                now: now(),
                claim: ClaimKey::Caller(key.to_owned().try_into().unwrap()),
            };
            let entry = settled.await.unwrap().receipt.entry;
            model = model.clone().apply(&consume(&model, &spend, &attempt(entry.id, &key)).unwrap()).unwrap();
            let request = ChangePlan {
                plan: PlanId((*plan).to_owned()),
                allowance: *allowance,
                cause: ChangePlanCause::Owner,
            };
            let key = format!("p{number}");
            let settled =
                settle(&fixture.ledger, id, keyed(&key, &key), moment(now()), |account, attempt| {
                    change_plan(account, &request, attempt)
                });
            let receipt = settled.await.unwrap().receipt;
            model = model
                .clone()
                .apply(&change_plan(&model, &request, &attempt(receipt.entry.id, &key)).unwrap())
                .unwrap();
            assert_eq!(fixture.restarted().account(id).await.unwrap().unwrap(), model, "{backend:?} {plan}");
            answer.push(receipt.entry.id);
        }
        let history = fixture.ledger.plan_history(id).await.unwrap();
        assert_eq!(history.iter().map(|past| past.id).rev().collect::<Vec<_>>(), answer, "{backend:?}");
        assert_eq!(history[5].switch.from, PlanId("basic".to_owned()));
        assert_eq!(history[4].switch.allowance, Allowance::Unlimited);
    }
}

/// Hosts whose clocks differ by up to five minutes make debits while the month ends: it is renewed once, and the
/// debits of each month equal what its credits lack.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_different_clocks_renew_a_month_once() {
    let start: DateTime<Utc> = "2024-01-31T23:54:00Z".parse().unwrap();
    for backend in backends() {
        let mut fixture = TestLedger::on(backend.as_deref()).await;
        let id = fixture.open(1_000, now()).await;
        let hosts: Vec<_> = (-5i64..=5)
            .map(|skew| {
                let ledger = fixture.restarted();
                tokio::spawn(async move {
                    for minute in 0..12i64 {
                        let at = start + Duration::minutes(minute + skew);
                        let key = format!("{skew}/{minute}");
                        let one = Consume {
                            operation: Operation::try_from("x".to_owned()).unwrap(),
                            amount: credits(1),
                            service: None,
                        };
                        let decide = |account: &Account, attempt: &Attempt| consume(account, &one, attempt);
                        settle(&ledger, id, keyed(&key, &key), moment(at), decide).await.unwrap();
                        if minute % 4 == 0 {
                            ledger.catch_up(id, moment(at)).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for host in hosts {
            host.await.unwrap();
        }
        fixture.project().await;
        let end = start + Duration::minutes(20);
        let rows = fixture.rows(id, end).await;
        let renewals: Vec<_> =
            rows.iter().filter(|row| row.entry.operation.as_str() == "credit.renewal").collect();
        assert_eq!(renewals.len(), 2, "{backend:?}: the opening one and February's");
        let february = Period::of(end);
        let debits = |month: Period| {
            rows.iter()
                .filter(|row| row.entry.operation.as_str() == "x" && Period::of(row.entry.at) == month)
                .count()
        };
        let account = fixture.ledger.account(id).await.unwrap().unwrap();
        assert_eq!(debits(february.previous()) + debits(february), 11 * 12);
        assert_eq!(account.used.get(), u64::try_from(debits(february)).unwrap(), "{backend:?}");
        assert_eq!(account.subscription.left.get(), 1_000 - u64::try_from(debits(february)).unwrap());
        let lost = renewals[0].entry.moves[0].amount.get();
        assert_eq!(lost, 1_000 - u64::try_from(debits(february.previous())).unwrap(), "{backend:?}");
    }
}

/// A monitor that was requested in the last second of a month and is charged after the renewal: the debit belongs
/// to the new month, which is then paid for.
#[tokio::test]
async fn a_monitor_that_is_charged_after_the_renewal_pays_for_the_new_month() {
    let (asked, later) = ("2024-01-31T23:59:59Z".parse().unwrap(), "2024-02-01T00:00:00Z".parse().unwrap());
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let settings = fixture.settings();
        settings.load(&local::catalogue().unwrap()).await.unwrap();
        let activity = fixture.activity();
        let calendar =
            Jobs { ledger: &fixture.ledger, settings: &settings, activity: &activity, tasks: &NoQueue };
        for is_turned in [true, false] {
            let account = fixture.open(10, now()).await;
            if is_turned {
                fixture.restarted().catch_up(account, moment(later)).await.unwrap();
            }
            let wanted = Monitor {
                id: MonitorId::from(EntryId::new(asked, 1)),
                operation: Operation::try_from("aml.monitoring".to_owned()).unwrap(),
                resource_id: Reference::try_from("applicant_42".to_owned()).unwrap(),
                on_behalf: MonitorAttribution::default(),
                made_at: asked,
                status: MonitorStatus::Pending,
                paid: None,
                charge: None,
                made_with: None,
                revision: 0,
            };
            let (made, _) = calendar.create_monitor(account, &wanted, moment(asked)).await.unwrap();
            let month = Period::of(if is_turned { later } else { asked });
            assert_eq!(made.paid, Some(month), "{backend:?}");
            for _ in 0..2 {
                calendar.charge_page(account, None, moment(later)).await.unwrap();
            }
            let rows = fixture.rows(account, later).await;
            let mut charged: Vec<_> = rows
                .iter()
                .filter(|row| row.entry.operation.as_str() == "aml.monitoring")
                .map(|row| Period::of(row.entry.at).to_string())
                .collect();
            charged.reverse();
            let expected: &[&str] = if is_turned { &["2024-02"] } else { &["2024-01", "2024-02"] };
            assert_eq!(charged, expected, "{backend:?}");
        }
    }
}
