//! What another function changes about a key reaches a warm function within a minute.

use chrono::{DateTime, Duration, Utc};
use domain::{Allowance, ApiKey, ApiKeySecret, Credits, Currency, KeyId, Mode, OrgId, PlanId, Scope};
use store::{KnownKey, Organisation, Settings, random};
use tests::{TestLedger, backends, moment};

const NOW: &str = "2024-01-15T10:30:00Z";

fn plan(name: &str) -> PlanId {
    PlanId::try_from(name.to_owned()).unwrap()
}

/// A new organisation on the plan `professional`, and a key of it.
async fn issue(settings: &Settings, now: DateTime<Utc>) -> (OrgId, KeyId, ApiKeySecret) {
    let (org, key_id) = (OrgId::new(now, random()), KeyId::new(now, random()));
    let organisation = Organisation {
        org,
        name: "Own".into(),
        plan: plan("professional"),
        allowance: Allowance::Monthly(Credits::try_from(100).unwrap()),
        currency: Currency::GBP,
        customer: None,
        spending_limit: None,
        self_service_plans: false,
        created_at: now,
    };
    settings.add_organisation(&organisation).await.unwrap();
    let mut bytes = [0u8; 34];
    bytes.iter_mut().zip(random().to_be_bytes()).for_each(|(byte, random)| *byte = random);
    let secret = ApiKeySecret::for_organisation(Mode::Live, bytes);
    let (mode, scopes, last4) = (Mode::Live, Scope::ALL.into(), secret.last4());
    let key = ApiKey {
        key_id,
        org: Some(org),
        mode,
        scopes,
        last4,
        description: None,
        created_at: now,
        revoked_at: None,
    };
    settings.add_key(&secret, &key).await.unwrap();
    (org, key_id, secret)
}

/// A warm function that has read a key uses what it has read for 45 to 60 seconds: then it knows that another function has
/// revoked the key, and that the organisation's plan has changed.
#[tokio::test]
async fn a_warm_function_follows_changes_within_a_minute() {
    let start: DateTime<Utc> = NOW.parse().unwrap();
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let (warm, other) = (fixture.settings(), fixture.settings());
        other.load(&local::catalogue().unwrap()).await.unwrap();
        let (org, key, secret) = issue(&other, start).await;
        let known = async |seconds| {
            let at = moment(start + Duration::seconds(seconds));
            let KnownKey { key, plan, .. } = warm.find_key(&secret, at).await.unwrap().unwrap();
            (key.revoked_at.is_some(), plan.unwrap().plan)
        };
        let before = (false, plan("professional"));
        assert_eq!(known(0).await, before, "{backend:?}");
        let allowance = Allowance::Monthly(Credits::try_from(1_000).unwrap());
        other.set_plan(org, &plan("basic"), allowance, 1).await.unwrap();
        assert!(other.revoke(org, key, start).await.unwrap().is_some());
        for (seconds, expected) in [(44, before), (60, (true, plan("basic")))] {
            assert_eq!(known(seconds).await, expected, "{backend:?}, after {seconds} s");
        }
    }
}
