//! Keys of several processes at the same time: changes, rolls, revocations, and what others notice of them.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use domain::{
    Allowance, ApiKey, ApiKeyChange, ApiKeySecret, EntryId, KeyId, Mode, OperatorRole, OrgId, PlanId, Scope,
};
use store::{ChangedKey, IssuedKey, KEYS_MAX, Organisation, Roll, RolledKey, Settings, random};
use tests::{TestLedger, WriteFault, moment};

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    start() + Duration::seconds(seconds)
}

fn bytes() -> [u8; 34] {
    let mut bytes = [0u8; 34];
    bytes.iter_mut().zip(random().to_be_bytes()).for_each(|(byte, random)| *byte = random);
    bytes
}

fn request() -> EntryId {
    EntryId::new(start(), random())
}

/// The settings with the catalogue and an organisation.
async fn scene() -> (TestLedger, Settings, OrgId) {
    let fixture = TestLedger::new().await;
    let settings = fixture.settings();
    settings.load(&local::catalogue().unwrap()).await.unwrap();
    let org = OrgId::new(start(), random());
    let organisation =
        Organisation::new(org, "Own", PlanId("professional".into()), Allowance::Unlimited, start());
    settings.add_organisation(&organisation).await.unwrap();
    (fixture, settings, org)
}

/// A new key of an organisation or, without one, of an owner among the operators.
async fn issue(settings: &Settings, org: Option<OrgId>) -> (KeyId, ApiKeySecret) {
    let secret = match org {
        Some(_) => ApiKeySecret::for_organisation(Mode::Live, bytes()),
        None => ApiKeySecret::for_operator(bytes()),
    };
    let scopes = if org.is_some() { [Scope::CreditsRead].into() } else { BTreeSet::new() };
    let key = ApiKey {
        role: org.is_none().then_some(OperatorRole::Owner),
        ..ApiKey::new(KeyId::new(start(), random()), org, scopes, &secret, start())
    };
    assert_eq!(settings.issue_key(&secret, &key).await.unwrap(), IssuedKey::New(key.clone().into()));
    (key.key_id, secret)
}

fn may(_: &ApiKey) -> Result<(), domain::Denial> {
    Ok(())
}

fn scopes(scope: Scope) -> ApiKeyChange {
    ApiKeyChange { scopes: Some([scope].into()), ..ApiKeyChange::default() }
}

fn roll<'a>(request: EntryId, secret: &'a ApiKeySecret, seconds: i64) -> Roll<'a> {
    Roll { request, secret, until: after(seconds), now: start() }
}

/// The scopes of a secret as a newly started function reads them; `None` for one that is not accepted.
async fn accepted(fixture: &TestLedger, secret: &ApiKeySecret, seconds: i64) -> Option<BTreeSet<Scope>> {
    let known = fixture.settings().find_key(secret, moment(after(seconds))).await.unwrap()?;
    let admitted = known.key.admit(known.plan.as_ref(), None, after(seconds));
    admitted.ok().map(|_| known.key.scopes)
}

/// Whatever comes first: both secrets have the changed terms, and each roll has one previous secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_not_lost_beside_a_roll() {
    let (fixture, settings, org) = scene().await;
    for round in 0..20 {
        let (key, first) = issue(&settings, Some(org)).await;
        let (second, third) = (
            ApiKeySecret::for_organisation(Mode::Live, bytes()),
            ApiKeySecret::for_organisation(Mode::Live, bytes()),
        );
        let change = scopes(Scope::CreditsConsume);
        let (one, other, another) = (fixture.settings(), fixture.settings(), fixture.settings());
        let (changed, rolled, again) = tokio::join!(
            one.change_key(Some(org), key, &change, may),
            other.roll_key(Some(org), key, roll(request(), &second, 60), may),
            another.roll_key(Some(org), key, roll(request(), &third, 60), may),
        );
        assert!(matches!(changed.unwrap(), ChangedKey::Changed(_)), "round {round}");
        assert!(matches!(rolled.unwrap(), RolledKey::Rolled(_)), "round {round}");
        assert!(matches!(again.unwrap(), RolledKey::Rolled(_)), "round {round}");
        let expected = Some([Scope::CreditsConsume].into());
        assert_eq!(accepted(&fixture, &first, 1).await, None, "two rolls end the first secret");
        let both = [accepted(&fixture, &second, 1).await, accepted(&fixture, &third, 1).await];
        assert_eq!(both, [expected.clone(), expected.clone()], "round {round}");
        let later = [accepted(&fixture, &second, 60).await, accepted(&fixture, &third, 60).await];
        assert_eq!(later.iter().filter(|scopes| **scopes == expected).count(), 1, "round {round}: {later:?}");
    }
}

/// A key that was revoked is not changed or rolled any more, whatever comes first.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_stays_revoked() {
    let (fixture, settings, org) = scene().await;
    for round in 0..20 {
        let (key, first) = issue(&settings, Some(org)).await;
        let second = ApiKeySecret::for_organisation(Mode::Live, bytes());
        let change = scopes(Scope::CreditsConsume);
        let (one, other, another) = (fixture.settings(), fixture.settings(), fixture.settings());
        let (changed, rolled, revoked) = tokio::join!(
            one.change_key(Some(org), key, &change, may),
            other.roll_key(Some(org), key, roll(request(), &second, 60), may),
            another.revoke(Some(org), key, start()),
        );
        assert!(matches!(changed.unwrap(), ChangedKey::Changed(_) | ChangedKey::Revoked), "round {round}");
        assert!(matches!(rolled.unwrap(), RolledKey::Rolled(_) | RolledKey::Revoked), "round {round}");
        assert!(matches!(revoked.unwrap(), ChangedKey::Changed(_)), "round {round}");
        for secret in [&first, &second] {
            assert_eq!(accepted(&fixture, secret, 1).await, None, "round {round}");
        }
    }
}

/// Rights are those of the key at the moment of the write: a key that has just become stronger is not rolled.
#[tokio::test]
async fn rights_are_checked_with_the_key_that_is_written() {
    let (fixture, settings, org) = scene().await;
    let (key, _) = issue(&settings, Some(org)).await;
    let own: BTreeSet<_> = [Scope::CreditsRead].into();
    settings.change_key(Some(org), key, &scopes(Scope::CreditsRefund), may).await.unwrap();
    let within = |key: &ApiKey| key.is_within(&own);
    let secret = ApiKeySecret::for_organisation(Mode::Live, bytes());
    let rolled = settings.roll_key(Some(org), key, roll(request(), &secret, 60), within).await.unwrap();
    assert!(matches!(rolled, RolledKey::Denied(_)));
    let weaker = settings.change_key(Some(org), key, &scopes(Scope::CreditsRead), within).await.unwrap();
    assert!(matches!(weaker, ChangedKey::Denied(_)), "as it is");
    settings.change_key(Some(org), key, &scopes(Scope::CreditsRead), may).await.unwrap();
    let stronger = settings.change_key(Some(org), key, &scopes(Scope::CreditsRefund), within).await.unwrap();
    assert!(matches!(stronger, ChangedKey::Denied(_)), "as it would be");
    assert_eq!(accepted(&fixture, &secret, 1).await, None);
}

/// A retry of a roll rolls nothing, also after other rolls.
#[tokio::test]
async fn a_roll_that_is_sent_again_rolls_nothing() {
    let (fixture, settings, org) = scene().await;
    let (key, _) = issue(&settings, Some(org)).await;
    let fresh = || ApiKeySecret::for_organisation(Mode::Live, bytes());
    let (first, mine) = (request(), fresh());
    settings.roll_key(Some(org), key, roll(first, &mine, 60), may).await.unwrap();
    let other = fresh();
    settings.roll_key(Some(org), key, roll(request(), &other, 60), may).await.unwrap();
    let again = fresh();
    let before = settings.roll_key(Some(org), key, roll(first, &again, 0), may).await.unwrap();
    assert!(matches!(before, RolledKey::Before(_)), "{before:?}");
    for (secret, expected) in [(&mine, true), (&other, true), (&again, false)] {
        assert_eq!(accepted(&fixture, secret, 1).await.is_some(), expected);
    }
    assert_eq!(accepted(&fixture, &mine, 60).await, None);
}

/// The answer of a roll or of a creation was never given, so its secret is known to no one: the retry gives another one.
#[tokio::test]
async fn a_retry_without_an_answer_gives_a_secret_that_works() {
    let (fixture, settings, org) = scene().await;
    let fresh = || ApiKeySecret::for_organisation(Mode::Live, bytes());
    let (key, first) = issue(&settings, Some(org)).await;
    let (name, lost, shown) = (request(), fresh(), fresh());
    settings.roll_key(Some(org), key, roll(name, &lost, 60), may).await.unwrap();
    let again = settings.roll_key(Some(org), key, roll(name, &shown, 60), may).await.unwrap();
    let RolledKey::Rolled(again) = again else { panic!("{again:?}") };
    assert_eq!((again.key.last4, again.previous.unwrap().last4), (shown.last4(), first.last4()));
    for (secret, expected) in [(&first, true), (&lost, false), (&shown, true)] {
        assert_eq!(accepted(&fixture, secret, 1).await.is_some(), expected);
    }
    assert_eq!(accepted(&fixture, &first, 60).await, None);

    let (key, lost) = issue(&settings, Some(org)).await;
    let issued = settings.find_key(&lost, moment(start())).await.unwrap().unwrap().key;
    let shown = fresh();
    let again = settings.issue_unanswered(&shown, &issued).await.unwrap();
    let IssuedKey::New(again) = again else { panic!("{again:?}") };
    assert_eq!((again.key_id, again.last4), (key, shown.last4()));
    assert_eq!(accepted(&fixture, &lost, 1).await, None);
    assert!(accepted(&fixture, &shown, 1).await.is_some());
    settings.roll_key(Some(org), key, roll(request(), &fresh(), 60), may).await.unwrap();
    let later = settings.issue_unanswered(&fresh(), &issued).await.unwrap();
    assert!(matches!(later, IssuedKey::Known(_)), "it was rolled since");
    assert!(accepted(&fixture, &shown, 1).await.is_some());
}

/// A roll with a shorter grace never gives a secret more time than it had.
#[tokio::test]
async fn a_secret_that_has_ended_does_not_come_back() {
    let (fixture, settings, org) = scene().await;
    let (key, first) = issue(&settings, Some(org)).await;
    let fresh = || ApiKeySecret::for_organisation(Mode::Live, bytes());
    let second = fresh();
    settings.roll_key(Some(org), key, roll(request(), &second, 10), may).await.unwrap();
    let later = Roll { now: after(1_000), until: after(2_000), ..roll(request(), &second, 0) };
    let third = fresh();
    settings.roll_key(Some(org), key, Roll { secret: &third, ..later }, may).await.unwrap();
    assert!(accepted(&fixture, &first, 9).await.is_some());
    assert_eq!(accepted(&fixture, &first, 500).await, None);
}

#[tokio::test]
async fn an_owner_has_a_thousand_keys_that_are_not_revoked() {
    let (fixture, settings, org) = scene().await;
    let mut keys = vec![];
    for _ in 0..3 {
        keys.push(issue(&settings, Some(org)).await.0);
    }
    fixture.set_key_count(org, KEYS_MAX).await;
    let secret = ApiKeySecret::for_organisation(Mode::Live, bytes());
    let key =
        ApiKey::new(KeyId::new(start(), random()), Some(org), [Scope::CreditsRead].into(), &secret, start());
    assert_eq!(settings.issue_key(&secret, &key).await.unwrap(), IssuedKey::TooMany);
    assert_eq!(accepted(&fixture, &secret, 1).await, None);
    // Another owner has its own number.
    issue(&settings, None).await;
    // Revoked twice, it counts once.
    for _ in 0..2 {
        settings.revoke(Some(org), keys[0], start()).await.unwrap();
    }
    let fresh = ApiKeySecret::for_organisation(Mode::Live, bytes());
    let key = |secret| {
        ApiKey::new(KeyId::new(start(), random()), Some(org), [Scope::CreditsRead].into(), secret, start())
    };
    let issued = settings.issue_key(&fresh, &key(&fresh)).await.unwrap();
    assert!(matches!(issued, IssuedKey::New(_)), "{issued:?}");
    let one_more = ApiKeySecret::for_organisation(Mode::Live, bytes());
    assert_eq!(settings.issue_key(&one_more, &key(&one_more)).await.unwrap(), IssuedKey::TooMany);
}

/// Two owners that remove each other, or themselves: one stays.
#[tokio::test(flavor = "multi_thread")]
async fn one_owner_stays_whatever_is_removed_at_once() {
    let (fixture, settings, _) = scene().await;
    let mut owner = issue(&settings, None).await.0;
    for round in 0..20 {
        let other = issue(&settings, None).await.0;
        let (one, two) = (fixture.settings(), fixture.settings());
        let limited = ApiKeyChange {
            allowed_ips: Some(vec!["203.0.113.7".to_owned()].try_into().unwrap()),
            ..ApiKeyChange::default()
        };
        let (first, second) = if round % 2 == 0 {
            tokio::join!(one.revoke(None, owner, start()), two.revoke(None, other, start()))
        } else {
            tokio::join!(one.revoke(None, owner, start()), two.change_key(None, other, &limited, may))
        };
        let kept = [first.unwrap(), second.unwrap()].map(|outcome| outcome == ChangedKey::LastOwner);
        assert_eq!(kept.iter().filter(|kept| **kept).count(), 1, "round {round}: {kept:?}");
        owner = if kept[0] { owner } else { other };
        let renamed =
            ApiKeyChange { name: Some("Jo".to_owned().try_into().unwrap()), ..ApiKeyChange::default() };
        let renamed = settings.change_key(None, owner, &renamed, may).await.unwrap();
        assert!(matches!(renamed, ChangedKey::Changed(_)), "the last owner may be renamed");
    }
}

/// What other processes notice five seconds after a change: scopes, a roll, an operator's key, a price, an organisation.
#[tokio::test]
async fn every_change_is_noticed_within_five_seconds() {
    let (fixture, settings, org) = scene().await;
    let warm = fixture.settings();
    let (key, secret) = issue(&settings, Some(org)).await;
    let (_, rolled) = issue(&settings, Some(org)).await;
    let (operator, operators) = issue(&settings, None).await;
    issue(&settings, None).await;
    let rolled_key = settings.find_key(&rolled, moment(start())).await.unwrap().unwrap().key.key_id;
    let known = async |secret: &ApiKeySecret, seconds| {
        warm.find_key(secret, moment(after(seconds))).await.unwrap().unwrap()
    };
    // The first look at the log makes it read everything again; from then on it follows the log.
    for seconds in [0, 5, 10] {
        for secret in [&secret, &rolled, &operators] {
            known(secret, seconds).await;
        }
        warm.catalogue(after(seconds)).await.unwrap();
    }
    let fresh = ApiKeySecret::for_organisation(Mode::Live, bytes());
    settings.change_key(Some(org), key, &scopes(Scope::CreditsConsume), may).await.unwrap();
    settings.roll_key(Some(org), rolled_key, roll(request(), &fresh, 0), may).await.unwrap();
    settings.revoke(None, operator, start()).await.unwrap();
    let rate = serde_json::from_value(serde_json::json!(1.17)).unwrap();
    let currency = |code: &str| serde_json::from_value(serde_json::json!(code)).unwrap();
    let (gbp, eur) = (currency("GBP"), currency("EUR"));
    let set = |rates: &domain::ExchangeRateList| Ok((rates.change(gbp, eur, rate)?, ()));
    settings.change(set).await.unwrap();
    assert_eq!(known(&secret, 14).await.key.scopes, [Scope::CreditsRead].into());
    assert_eq!(known(&secret, 15).await.key.scopes, [Scope::CreditsConsume].into());
    assert!(known(&rolled, 15).await.key.rolled_until.is_some());
    assert!(known(&operators, 15).await.key.revoked_at.is_some());
    assert_eq!(warm.catalogue(after(15)).await.unwrap().rate(gbp, eur), Some(rate));
    settings.set_closed(org, Some(start())).await.unwrap();
    assert!(!known(&secret, 19).await.is_closed);
    assert!(known(&secret, 20).await.is_closed);
}

/// Changes that are logged at the same time are all noticed.
#[tokio::test(flavor = "multi_thread")]
async fn changes_at_the_same_time_are_all_logged() {
    let (fixture, settings, org) = scene().await;
    let warm = fixture.settings();
    let mut keys = vec![];
    for _ in 0..8 {
        keys.push(issue(&settings, Some(org)).await);
    }
    let revoked = async |seconds| {
        let mut revoked = 0;
        for (_, secret) in &keys {
            let known = warm.find_key(secret, moment(after(seconds))).await.unwrap().unwrap();
            revoked += usize::from(known.key.revoked_at.is_some());
        }
        revoked
    };
    for seconds in [0, 5, 10] {
        assert_eq!(revoked(seconds).await, 0);
    }
    let others: Vec<_> = keys.iter().map(|(key, _)| (fixture.settings(), *key)).collect();
    let revoking = others.into_iter().map(|(settings, key)| {
        tokio::spawn(async move { settings.revoke(Some(org), key, start()).await.unwrap() })
    });
    for revoking in revoking.collect::<Vec<_>>() {
        revoking.await.unwrap();
    }
    assert_eq!(revoked(15).await, 8);
}

/// A process that dies between a change and the log: the retry logs it.
#[tokio::test]
async fn a_retry_logs_what_was_changed_before() {
    for action in ["revoke", "roll"] {
        let (fixture, settings, org) = scene().await;
        let warm = fixture.settings();
        let (key, secret) = issue(&settings, Some(org)).await;
        let known =
            async |seconds| warm.find_key(&secret, moment(after(seconds))).await.unwrap().unwrap().key;
        for seconds in [0, 5, 10] {
            known(seconds).await;
        }
        let name = request();
        let act = async |settings: &Settings| {
            let fresh = ApiKeySecret::for_organisation(Mode::Live, bytes());
            match action {
                "revoke" => settings.revoke(Some(org), key, start()).await.map(|_| ()),
                _ => settings.roll_key(Some(org), key, roll(name, &fresh, 0), may).await.map(|_| ()),
            }
        };
        // The transaction is the first write, the log the second.
        fixture.faults.as_ref().unwrap().arm(1, WriteFault::CrashBefore);
        assert!(act(&settings).await.is_err(), "{action}");
        // Another process goes on.
        fixture.faults.as_ref().unwrap().arm(usize::MAX, WriteFault::CrashBefore);
        let ended = |key: ApiKey| key.revoked_at.is_some() || key.rolled_until.is_some();
        assert!(!ended(known(15).await), "{action}: it is not logged");
        act(&fixture.settings()).await.unwrap();
        assert!(!ended(known(19).await), "{action}");
        assert!(ended(known(20).await), "{action}");
    }
}

/// A key that was issued before keys could be managed has an item with its hash alone.
#[tokio::test]
async fn a_key_of_an_older_release_is_changed_rolled_and_revoked() {
    let (fixture, settings, org) = scene().await;
    let secret = ApiKeySecret::for_organisation(Mode::Live, bytes());
    let key =
        ApiKey::new(KeyId::new(start(), random()), Some(org), [Scope::CreditsRead].into(), &secret, start());
    settings.add_key(&secret, &key).await.unwrap();
    fixture.keep_only_the_hash(org, key.key_id).await;
    let listed = settings.issued_keys(Some(org), None, 10).await.unwrap();
    assert_eq!(listed.keys.len(), 1);
    assert_eq!(listed.keys[0].key, key);
    let changed =
        settings.change_key(Some(org), key.key_id, &scopes(Scope::CreditsConsume), may).await.unwrap();
    assert!(matches!(changed, ChangedKey::Changed(_)));
    let fresh = ApiKeySecret::for_organisation(Mode::Live, bytes());
    let rolled = settings.roll_key(Some(org), key.key_id, roll(request(), &fresh, 60), may).await.unwrap();
    assert!(matches!(rolled, RolledKey::Rolled(_)));
    for secret in [&secret, &fresh] {
        assert_eq!(accepted(&fixture, secret, 1).await, Some([Scope::CreditsConsume].into()));
    }
    let revoked = settings.revoke(Some(org), key.key_id, start()).await.unwrap();
    assert!(matches!(revoked, ChangedKey::Changed(_)));
    for secret in [&secret, &fresh] {
        assert_eq!(accepted(&fixture, secret, 1).await, None);
    }
    // It was never counted, so its end is not counted either.
    fixture.set_key_count(org, KEYS_MAX - 1).await;
    issue(&settings, Some(org)).await;
}
