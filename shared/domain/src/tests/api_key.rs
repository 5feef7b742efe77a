//! When an API key is admitted, and who may manage it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Allowance, ApiKey, ApiKeyChange, ApiKeySecret, Credits, Currency, Denial, KeyId, KeyStatus, Mode,
    OperatorRole, OrgId, Plan, PlanFee, PlanId, Principal, RateLimit, Scope,
};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

fn plan(api_access: bool) -> Plan {
    Plan {
        plan: PlanId("any".into()),
        version: 1,
        name: "Any".into(),
        fee: PlanFee::new(0, Currency::GBP).unwrap(),
        allowance: Allowance::Monthly(Credits::ZERO),
        api_access,
        max_users: None,
        effective_from: now(),
    }
}

fn key(mode: Mode, scopes: &[Scope]) -> ApiKey {
    let org = Some(OrgId::new(now(), 7));
    let secret = ApiKeySecret::for_organisation(mode, [7; 34]);
    ApiKey::new(KeyId::new(now(), 7), org, scopes.iter().copied().collect(), &secret, now())
}

const READ: [Scope; 1] = [Scope::CreditsRead];

#[test]
fn an_end_is_the_first_moment_at_which_a_key_is_refused() {
    let live = key(Mode::Live, &READ);
    let ends = [
        (ApiKey { revoked_at: Some(now()), ..live.clone() }, Denial::Revoked, KeyStatus::Revoked),
        (ApiKey { expires_at: Some(now()), ..live.clone() }, Denial::Expired, KeyStatus::Expired),
        // The secret before is refused, while the key itself works.
        (ApiKey { rolled_until: Some(now()), ..live }, Denial::Rolled, KeyStatus::Active),
    ];
    for (key, denial, status) in ends {
        assert!(key.admit(Some(&plan(true)), None, after(-1)).is_ok(), "{denial:?}");
        for at in [now(), after(1)] {
            assert_eq!(key.admit(Some(&plan(true)), None, at), Err(denial));
            assert_eq!(key.status(at), status);
        }
        assert_eq!(key.status(after(-1)), KeyStatus::Active);
    }
    let all = ApiKey {
        revoked_at: Some(now()),
        expires_at: Some(now()),
        rolled_until: Some(now()),
        ..key(Mode::Live, &READ)
    };
    assert_eq!(all.admit(None, None, now()), Err(Denial::Revoked));
    assert_eq!(all.status(now()), KeyStatus::Revoked);
}

#[test]
fn a_live_key_needs_a_plan_with_api_access_or_the_scope_dashboard() {
    let dashboard = [Scope::CreditsRead, Scope::Dashboard];
    for (mode, scopes, plan, expected) in [
        (Mode::Live, &READ[..], Some(plan(true)), Ok(())),
        (Mode::Live, &READ, Some(plan(false)), Err(Denial::NoApiAccess)),
        (Mode::Live, &READ, None, Err(Denial::NoApiAccess)),
        (Mode::Live, &dashboard, Some(plan(false)), Ok(())),
        (Mode::Test, &READ, Some(plan(false)), Ok(())),
    ] {
        let key = key(mode, scopes);
        assert_eq!(key.admit(plan.as_ref(), None, now()).map(|_| ()), expected, "{mode:?} {scopes:?}");
    }
}

#[test]
fn an_operators_key_needs_no_plan_and_keeps_its_list_of_addresses() {
    let secret = ApiKeySecret::for_operator([7; 34]);
    let operator = ApiKey::new(KeyId::new(now(), 7), None, BTreeSet::new(), &secret, now());
    let principal = Principal::Operator { key: operator.key_id, role: OperatorRole::Owner };
    assert_eq!(operator.admit(None, None, now()), Ok(principal.clone()));
    let inside: IpAddr = "203.0.113.7".parse().unwrap();
    let outside = Some("203.0.113.8".parse().unwrap());
    let limited = ApiKey { allowed_ips: vec!["203.0.113.7".to_owned()].try_into().unwrap(), ..operator };
    assert_eq!(limited.admit(None, Some(inside), now()), Ok(principal));
    assert_eq!(limited.admit(None, outside, now()), Err(Denial::Address(outside)));
    assert_eq!(limited.admit(None, None, now()), Err(Denial::Address(None)));
}

/// Otherwise its holder could give itself another secret.
#[test]
fn a_secret_on_its_way_out_manages_no_keys() {
    let managing = key(Mode::Live, &[Scope::CreditsRead, Scope::TeamWrite]);
    let outgoing = ApiKey { rolled_until: Some(after(60)), ..managing };
    let Ok(Principal::Organisation { scopes, .. }) = outgoing.admit(Some(&plan(true)), None, now()) else {
        panic!("it is accepted")
    };
    assert_eq!(scopes, READ.into());
    let secret = ApiKeySecret::for_operator([7; 34]);
    for (role, expected) in
        [(OperatorRole::Owner, OperatorRole::Money), (OperatorRole::Support, OperatorRole::Support)]
    {
        let key = ApiKey::new(KeyId::new(now(), 7), None, BTreeSet::new(), &secret, now());
        let key = ApiKey { role: Some(role), rolled_until: Some(after(60)), ..key };
        assert_eq!(key.admit(None, None, now()), Ok(Principal::Operator { key: key.key_id, role: expected }));
    }
}

#[test]
fn a_key_is_managed_by_keys_with_all_its_scopes() {
    let managed = key(Mode::Live, &[Scope::CreditsRead, Scope::CreditsRefund]);
    for (own, expected) in [
        (&[Scope::CreditsRead, Scope::CreditsRefund][..], Ok(())),
        (&[Scope::CreditsRead, Scope::CreditsRefund, Scope::TeamWrite], Ok(())),
        (&[Scope::CreditsRead, Scope::TeamWrite], Err(Denial::CannotGive(Scope::CreditsRefund))),
        (&[], Err(Denial::CannotGive(Scope::CreditsRead))),
    ] {
        assert_eq!(managed.is_within(&own.iter().copied().collect()), expected, "{own:?}");
    }
}

#[test]
fn a_change_keeps_what_it_leaves_out() {
    let ips = |text: &str| Some(vec![text.to_owned()].try_into().unwrap());
    let before = ApiKey {
        name: Some("First".to_owned().try_into().unwrap()),
        expires_at: Some(after(60)),
        allowed_ips: ips("203.0.113.7").unwrap(),
        ..key(Mode::Live, &READ)
    };
    assert_eq!(before.clone().changed(ApiKeyChange::default()), before);
    let change = ApiKeyChange {
        name: Some("Second".to_owned().try_into().unwrap()),
        scopes: Some([Scope::CreditsConsume].into()),
        role: None,
        expires_at: Some(None),
        allowed_ips: ips("198.51.100.1"),
        rate_limit: Some(RateLimit::new(5, 60).ok()),
    };
    let changed = before.clone().changed(change.clone());
    let expected = ApiKey {
        name: change.name,
        scopes: [Scope::CreditsConsume].into(),
        expires_at: None,
        allowed_ips: change.allowed_ips.unwrap(),
        rate_limit: change.rate_limit.unwrap(),
        ..before
    };
    assert_eq!(changed, expected);
}

/// Without one, operators' keys could no longer be issued.
#[test]
fn a_lasting_owner_is_an_operators_key_without_an_end() {
    let secret = ApiKeySecret::for_operator([7; 34]);
    let owner = ApiKey::new(KeyId::new(now(), 7), None, BTreeSet::new(), &secret, now());
    let with = |role| ApiKey { role: Some(role), ..owner.clone() };
    for (key, expected) in [
        (owner.clone(), true),
        (with(OperatorRole::Owner), true),
        (with(OperatorRole::Money), false),
        (ApiKey { revoked_at: Some(now()), ..owner.clone() }, false),
        (ApiKey { expires_at: Some(after(60)), ..owner.clone() }, false),
        (ApiKey { allowed_ips: vec!["203.0.113.7".to_owned()].try_into().unwrap(), ..owner.clone() }, false),
        (key(Mode::Live, &READ), false),
    ] {
        assert_eq!(key.is_lasting_owner(), expected, "{key:?}");
    }
}
