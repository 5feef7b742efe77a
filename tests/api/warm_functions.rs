//! What another function changes about a key reaches a warm function within five seconds.

use chrono::{DateTime, Duration, Utc};
use domain::{
    Allowance, ApiKey, ApiKeySecret, Credits, KeyId, Mode, OrgId, PlanId, Scope, SessionId, SignIn,
    SignInKind, SignInOwner, SignInToken,
};
use store::{KnownKey, Organisation, Settings, random};
use tests::{TestLedger, backends, moment};

const NOW: &str = "2024-01-15T10:30:00Z";

fn plan(name: &str) -> PlanId {
    PlanId::try_from(name.to_owned()).unwrap()
}

/// A new organisation on the plan `professional`, and a key of it.
async fn issue(settings: &Settings, now: DateTime<Utc>) -> (OrgId, KeyId, ApiKeySecret) {
    let (org, key_id) = (OrgId::new(now, random()), KeyId::new(now, random()));
    let organisation = Organisation::new(
        org,
        "Own",
        plan("professional"),
        Allowance::Monthly(Credits::try_from(100).unwrap()),
        now,
    );
    settings.add_organisation(&organisation).await.unwrap();
    let mut bytes = [0u8; 34];
    bytes.iter_mut().zip(random().to_be_bytes()).for_each(|(byte, random)| *byte = random);
    let secret = ApiKeySecret::for_organisation(Mode::Live, bytes);
    let key = ApiKey::new(key_id, Some(org), Scope::ALL.into(), &secret, now);
    settings.add_key(&secret, &key).await.unwrap();
    (org, key_id, secret)
}

/// A warm function that has read a key knows after five seconds that another function has revoked it, or that the plan of
/// its organisation has changed.
#[tokio::test]
async fn a_warm_function_follows_changes_within_five_seconds() {
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
        // The first look at the log makes it read everything again; from then on it follows the log.
        for seconds in [0, 5, 10] {
            assert_eq!(known(seconds).await, before, "{backend:?}");
        }
        let allowance = Allowance::Monthly(Credits::try_from(1_000).unwrap());
        other.set_plan(org, &plan("basic"), allowance, 1).await.unwrap();
        assert_eq!(known(14).await, before, "{backend:?}");
        assert_eq!(known(15).await, (false, plan("basic")), "{backend:?}");
        other.revoke(Some(org), key, start).await.unwrap();
        assert_eq!(known(19).await, (false, plan("basic")), "{backend:?}");
        assert_eq!(known(20).await, (true, plan("basic")), "{backend:?}");
    }
}

/// The same for a key that was read long before it is used again: nothing serves that was changed more than five seconds ago.
#[tokio::test]
async fn a_key_that_was_idle_is_not_used_as_it_was() {
    let start: DateTime<Utc> = NOW.parse().unwrap();
    let fixture = TestLedger::new().await;
    let (warm, other) = (fixture.settings(), fixture.settings());
    other.load(&local::catalogue().unwrap()).await.unwrap();
    let (org, key, secret) = issue(&other, start).await;
    let at = |seconds| moment(start + Duration::seconds(seconds));
    warm.find_key(&secret, at(0)).await.unwrap().unwrap();
    other.revoke(Some(org), key, start).await.unwrap();
    let known = warm.find_key(&secret, at(6)).await.unwrap().unwrap();
    assert!(known.key.revoked_at.is_some(), "the first look at the log");
    // Changes of others do not make it forget this key, however many there are.
    let (stays, _, kept) = issue(&other, start).await;
    warm.find_key(&kept, at(7)).await.unwrap().unwrap();
    for _ in 0..70 {
        let (org, key, _) = issue(&other, start).await;
        other.revoke(Some(org), key, start).await.unwrap();
    }
    other.set_plan(stays, &plan("basic"), Allowance::Unlimited, 1).await.unwrap();
    let known = warm.find_key(&kept, at(12)).await.unwrap().unwrap();
    assert_eq!(known.plan.unwrap().plan, plan("basic"), "the log names only the last 64 changes");
}

/// A warm function knows within five seconds that another one has ended a session, or removed its member, and at once that a
/// session has begun.
#[tokio::test]
async fn a_warm_function_follows_sessions_within_five_seconds() {
    let start: DateTime<Utc> = NOW.parse().unwrap();
    for backend in backends() {
        let fixture = TestLedger::on(backend.as_deref()).await;
        let (warm, other) = (fixture.settings(), fixture.settings());
        other.load(&local::catalogue().unwrap()).await.unwrap();
        let (org, key, secret) = issue(&other, start).await;
        let owner = SignInOwner::Key(Some(org), key);
        let begin = async |number: u8| {
            let id = SessionId::new(start, number.into());
            let token = SignInToken::new(SignInKind::Session, owner, id, [number; 32]);
            let session = SignIn::session(&token, Some(secret.hash()), None, start);
            other.add_sign_in(owner, &session, moment(start)).await.unwrap();
            token
        };
        let known = async |token: &SignInToken, seconds| {
            let at = moment(start + Duration::seconds(seconds));
            warm.find_session(token, at).await.unwrap().is_some()
        };
        let first = begin(1).await;
        for seconds in [0, 5, 10] {
            assert!(known(&first, seconds).await, "{backend:?}");
        }
        let second = begin(2).await;
        assert!(known(&second, 10).await, "{backend:?}: begun elsewhere");
        assert!(other.end_session(owner, first.id, moment(start)).await.unwrap());
        assert!(known(&first, 14).await, "{backend:?}");
        assert!(!known(&first, 15).await && known(&second, 15).await, "{backend:?}");
        other.end_sessions(owner, moment(start)).await.unwrap();
        assert!(known(&second, 19).await, "{backend:?}");
        assert!(!known(&second, 20).await, "{backend:?}");
    }
}

/// Following changes costs a warm function at most one read in five seconds, however many keys and requests there are.
#[tokio::test]
async fn following_changes_costs_one_read_in_five_seconds() {
    let start: DateTime<Utc> = NOW.parse().unwrap();
    let fixture = TestLedger::new().await;
    let other = fixture.settings();
    let (warm, meter) = fixture.metered_settings();
    other.load(&local::catalogue().unwrap()).await.unwrap();
    let mut secrets = vec![];
    for _ in 0..10 {
        secrets.push(issue(&other, start).await.2);
    }
    let ask = async |tenths: i64| {
        let at = moment(start + Duration::milliseconds(tenths * 100));
        for secret in &secrets {
            warm.find_key(secret, at).await.unwrap().unwrap();
        }
    };
    // Read once, and once more after the first look at the log.
    ask(0).await;
    ask(50).await;
    meter.take();
    // Less than the 45 seconds after which values are read again in any case.
    for tenths in 51..=450 {
        ask(tenths).await;
    }
    assert_eq!(meter.take().requests, 8, "4,000 requests in 40 seconds");
}

/// An unknown key is asked for once in five seconds, and a new key works at once.
#[tokio::test]
async fn an_unknown_key_is_remembered_for_five_seconds() {
    let start: DateTime<Utc> = NOW.parse().unwrap();
    let fixture = TestLedger::new().await;
    let (warm, meter) = fixture.metered_settings();
    warm.load(&local::catalogue().unwrap()).await.unwrap();
    let unknown = ApiKeySecret::for_organisation(Mode::Live, [9; 34]);
    let asked = async |seconds| {
        meter.take();
        assert!(warm.find_key(&unknown, moment(start + Duration::seconds(seconds))).await.unwrap().is_none());
        meter.take().requests
    };
    let mut requests = vec![];
    for seconds in [0, 1, 4, 5, 6, 9, 10] {
        requests.push(asked(seconds).await);
    }
    assert_eq!(requests, [1, 0, 0, 1, 0, 0, 1]);
    let other = fixture.settings();
    let (_, _, secret) = issue(&other, start).await;
    assert!(warm.find_key(&secret, moment(start + Duration::seconds(10))).await.unwrap().is_some());
}
