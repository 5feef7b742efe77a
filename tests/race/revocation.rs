//! Revocation under load: functions that are called without a pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Duration, Utc};
use domain::{Allowance, ApiKey, ApiKeySecret, KeyId, Mode, OrgId, PlanId, Scope};
use store::{Organisation, Settings, random};
use tests::{TestLedger, count, moment};

/// How many seconds the functions are called.
const SECONDS: i64 = 30;

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

async fn issue(settings: &Settings) -> (OrgId, KeyId, ApiKeySecret) {
    let org = OrgId::new(start(), random());
    let organisation =
        Organisation::new(org, "Own", PlanId("professional".into()), Allowance::Unlimited, start());
    settings.add_organisation(&organisation).await.unwrap();
    let mut bytes = [0u8; 34];
    bytes.iter_mut().zip(random().to_be_bytes()).for_each(|(byte, random)| *byte = random);
    let secret = ApiKeySecret::for_organisation(Mode::Live, bytes);
    let key =
        ApiKey::new(KeyId::new(start(), random()), Some(org), [Scope::CreditsRead].into(), &secret, start());
    settings.issue_key(&secret, &key).await.unwrap();
    (org, key.key_id, secret)
}

/// Four functions with four callers each: once the answer of a revocation has come, none accepts the key for more than five
/// seconds; other keys work all the time. The clock is simulated.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_after_five_seconds_by_functions_under_load() {
    let fixture = TestLedger::new().await;
    let operator = fixture.settings();
    operator.load(&local::catalogue().unwrap()).await.unwrap();
    let (org, key, secret) = issue(&operator).await;
    let (_, _, other) = issue(&operator).await;
    // Milliseconds since the start; and those at which the revocation was answered.
    let (clock, revoked) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(i64::MAX)));
    let mut calls = vec![];
    for _ in 0..4 {
        let function = Arc::new(fixture.settings());
        for caller in 0..4 {
            let (function, clock, revoked) = (function.clone(), clock.clone(), revoked.clone());
            let secret = if caller == 0 { other.clone() } else { secret.clone() };
            calls.push(tokio::spawn(async move {
                let (mut accepted, mut refused) = (0_u64, 0_u64);
                loop {
                    let now = clock.load(Ordering::SeqCst);
                    if SECONDS * 1_000 <= now {
                        return (caller == 0, accepted, refused);
                    }
                    let bound = revoked.load(Ordering::SeqCst).saturating_add(5_000);
                    let at = moment(start() + Duration::milliseconds(now));
                    let known = function.find_key(&secret, at).await.unwrap().unwrap();
                    let is_accepted = known.key.admit(known.plan.as_ref(), None, at.now).is_ok();
                    assert!(
                        !is_accepted || caller == 0 || now < bound,
                        "accepted at {now} ms, after {bound} ms"
                    );
                    accepted += u64::from(is_accepted);
                    refused += u64::from(!is_accepted);
                    tokio::task::yield_now().await;
                }
            }));
        }
    }
    for step in 1..=SECONDS * 20 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        clock.store(step * 50, Ordering::SeqCst);
        if step == 200 {
            operator.revoke(Some(org), key, start()).await.unwrap();
            revoked.store(clock.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
    let mut totals = (0, 0);
    for call in calls {
        let (is_other, accepted, refused) = call.await.unwrap();
        assert!(accepted > 0 && (refused > 0) != is_other, "{accepted} accepted, {refused} refused");
        totals = (totals.0 + accepted, totals.1 + refused);
    }
    count(&format!("under load: {} accepted, {} refused", totals.0, totals.1));
}
