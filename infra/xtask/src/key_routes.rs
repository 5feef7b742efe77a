//! Calls the routes of API keys and of operators' keys.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::route_caller::{Gateway, RouteCaller};

/// An owner issues a key of support, changes, rolls and revokes it; finds, closes and reopens an organisation; and reads
/// what was done.
pub(crate) fn manage_operators(api: &Gateway<'_>, key: &str) -> Result<()> {
    const KEYS: &str = "/admin/v1/operator-keys";
    let owner = RouteCaller { api, key: Some(key) };
    let made = owner.post(KEYS, "route-operator-key", &json!({ "name": "Jo", "role": "support" }))?;
    let path = format!("{KEYS}/{}", made.at("/data/keyId")?);
    let changed = owner.patch(&path, &json!({ "role": "read" }))?;
    ensure!(changed.at("/data/role")? == "read", "{}", changed.body);
    let rolled = owner.post(&format!("{path}/roll"), "route-roll-operator", &json!({}))?;
    let reader = RouteCaller { api, key: Some(rolled.at("/data/key")?) };
    reader.get("/admin/v1/exchange-rates", 200)?;
    reader.get(KEYS, 403)?;
    owner.call("DELETE", &path, 200)?;
    let listed = owner.get(KEYS, 200)?;
    ensure!(listed.at("/data/0/status")? == "revoked", "{}", listed.body);
    let body = json!({ "name": "Altona Bank", "externalId": "route-altona" });
    let opened = owner.post("/admin/v1/organisations", "route-open-altona", &body)?;
    let organisation = format!("/admin/v1/organisations/{}", opened.at("/data/organisationId")?);
    for search in ["name=altona", "externalId=route-altona", "limit=1"] {
        let found = owner.get(&format!("/admin/v1/organisations?{search}"), 200)?;
        ensure!(found.at("/data/0/name")? == "Altona Bank", "{}", found.body);
    }
    owner.get(&format!("{organisation}/jobs?mode=live"), 200)?;
    export_organisation(&owner, &organisation)?;
    let why = json!({ "reason": "Left" });
    let closed = owner.post_for(200, &format!("{organisation}/close"), "route-close", &why)?;
    ensure!(closed.at("/data/status")? == "closed", "{}", closed.body);
    let open = owner.post_for(200, &format!("{organisation}/reopen"), "route-reopen", &why)?;
    ensure!(open.at("/data/status")? == "active", "{}", open.body);
    owner.call("DELETE", &path, 200)?;
    let log = owner.get("/admin/v1/audit-log", 200)?;
    ensure!(log.at("/data/0/method")? == "DELETE", "{}", log.body);
    Ok(())
}

/// An owner exports everything of an organisation.
fn export_organisation(owner: &RouteCaller<'_>, organisation: &str) -> Result<()> {
    let exports = format!("{organisation}/exports");
    let asked = owner.post_for(202, &exports, "route-export-all", &json!({ "reason": "Asked for" }))?;
    let one = owner.get(&format!("{exports}/{}", asked.at("/data/exportId")?), 200)?;
    ensure!(one.at("/data/fileName")?.ends_with(".jsonl.gz"), "{}", one.body);
    let listed = owner.get(&exports, 200)?;
    ensure!(listed.at("/data/0/exportId")? == asked.at("/data/exportId")?, "{}", listed.body);
    Ok(())
}

/// A member is invited, joins, gets another role and is removed; another invitation is withdrawn.
pub(crate) fn invite_members(api: &Gateway<'_>, customer: &RouteCaller<'_>) -> Result<()> {
    const INVITATIONS: &str = "/api/v3/invitations";
    const MEMBERS: &str = "/api/v3/members";
    let limit = json!({ "credits": 5, "period": "day" });
    let body = json!({ "email": "route@example.com", "role": "viewer", "limit": limit });
    let invited = customer.post(INVITATIONS, "route-invite", &body)?;
    let anonymous = RouteCaller { api, key: None };
    let token = json!({ "token": invited.at("/data/token")?, "name": "Jo" });
    let joined = anonymous.post(&format!("{INVITATIONS}/accept"), "route-accept", &token)?;
    let member = format!("{MEMBERS}/{}", joined.at("/data/memberId")?);
    let changed = customer.patch(&member, &json!({ "role": "member" }))?;
    ensure!(changed.at("/data/role")? == "member", "{}", changed.body);
    ensure!(customer.get(&member, 200)?.at("/data/name")? == "Jo");
    let seats = customer.get(&format!("{MEMBERS}/seats"), 200)?;
    ensure!(seats.number("/data/used")? >= 1, "{}", seats.body);
    customer.call("DELETE", &member, 200)?;
    let body = json!({ "email": "other@example.com", "role": "viewer" });
    let other = customer.post(INVITATIONS, "route-invite-other", &body)?;
    customer.call("DELETE", &format!("{INVITATIONS}/{}", other.at("/data/invitationId")?), 200)?;
    for list in [INVITATIONS, MEMBERS] {
        customer.get(list, 200)?;
    }
    Ok(())
}

/// A member's budget refuses a debit, the member asks for more, and the request succeeds.
pub(crate) fn keep_to_budgets(customer: &RouteCaller<'_>) -> Result<()> {
    const BUDGETS: &str = "/api/v3/credits/budgets";
    const REQUESTS: &str = "/api/v3/budget-requests";
    let team = customer.post(
        "/api/v3/teams",
        "route-team",
        &json!({ "name": "Onboarding", "members": ["budgeted"] }),
    )?;
    let team = format!("/api/v3/teams/{}", team.at("/data/teamId")?);
    ensure!(customer.get(&team, 200)?.at("/data/name")? == "Onboarding");
    let body = json!({ "scope": "member", "id": "budgeted", "limit": 1, "period": "day" });
    let budget = customer.post(BUDGETS, "route-budget", &body)?;
    let (id, path) = (budget.at("/data/budgetId")?, format!("{BUDGETS}/{}", budget.at("/data/budgetId")?));
    let debit = json!({ "operation": "aml.basic", "quantity": 2, "memberId": "budgeted" });
    let refused = customer.post_for(403, "/api/v3/credits/consume", "route-over-budget", &debit)?;
    ensure!(refused.at("/error/code")? == "BUDGET_EXCEEDED", "{}", refused.body);
    for (name, answer) in [("route-ask", "decline"), ("route-ask-again", "approve")] {
        let asked = customer.post(REQUESTS, name, &json!({ "budgetId": id, "amount": 1 }))?;
        let request = format!("{REQUESTS}/{}", asked.at("/data/requestId")?);
        customer.post_for(200, &format!("{request}/{answer}"), &format!("{name}-answer"), &json!({}))?;
        customer.get(&request, 200)?;
    }
    customer.post("/api/v3/credits/consume", "route-over-budget", &debit)?;
    let changed = customer.patch(&path, &json!({ "limit": 3 }))?;
    ensure!(changed.number("/data/used")? == 2, "{}", changed.body);
    for list in [BUDGETS, REQUESTS, "/api/v3/teams", &path] {
        customer.get(list, 200)?;
    }
    customer.patch(&team, &json!({ "members": [] }))?;
    customer.call("DELETE", &path, 200)?;
    customer.call("DELETE", &team, 200)?;
    Ok(())
}

/// The organisation takes no more requests for larger budgets, and requires known members.
pub(crate) fn switch_off_budget_requests(customer: &RouteCaller<'_>) -> Result<()> {
    const SWITCHES: &str = "/api/v3/organization-settings";
    let changed =
        customer.patch(SWITCHES, &json!({ "budgetRequests": false, "requireKnownMembers": true }))?;
    ensure!(customer.get(SWITCHES, 200)?.body.get("data") == changed.body.get("data"), "{}", changed.body);
    // Functions that know the organisation notice it within five seconds.
    std::thread::sleep(Duration::from_secs(6));
    let body = json!({ "budgetId": "budget_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "amount": 1 });
    let refused = customer.post_for(403, "/api/v3/budget-requests", "route-switched-off", &body)?;
    ensure!(refused.at("/error/code")? == "INSUFFICIENT_PERMISSIONS", "{}", refused.body);
    let debit = json!({ "operation": "aml.basic", "memberId": "unknown" });
    let refused = customer.post_for(400, "/api/v3/credits/consume", "route-unknown-member", &debit)?;
    ensure!(refused.body.pointer("/error/details/fields/memberId").is_some(), "{}", refused.body);
    customer.patch(SWITCHES, &json!({ "budgetRequests": true, "requireKnownMembers": false }))?;
    Ok(())
}

/// The organisation issues a key of its own, and gives it a new secret.
pub(crate) fn manage_keys(api: &Gateway<'_>, customer: &RouteCaller<'_>) -> Result<()> {
    const KEYS: &str = "/api/v3/api-keys";
    let body = json!({ "mode": "live", "name": "Reports", "scopes": ["credits:read"] });
    let made = customer.post(KEYS, "route-own-key", &body)?;
    let key = format!("{KEYS}/{}", made.at("/data/keyId")?);
    let changed = customer.patch(&key, &json!({ "allowedIps": ["127.0.0.1", "198.51.100.7"] }))?;
    ensure!(changed.at("/data/name")? == "Reports", "{}", changed.body);
    let rolled = customer.post(&format!("{key}/roll"), "route-roll", &json!({ "graceSeconds": 60 }))?;
    for secret in [made.at("/data/key")?, rolled.at("/data/key")?] {
        RouteCaller { api, key: Some(secret) }.get("/api/v3/credits/balance", 200)?;
    }
    ensure!(customer.get(&key, 200)?.at("/data/status")? == "active", "{}", rolled.body);
    // It is not paused, so nothing is resumed.
    let resumed = customer.post_for(200, &format!("{key}/resume"), "route-resume", &json!({}))?;
    ensure!(resumed.body.pointer("/data/pausedAt") == Some(&json!(null)), "{}", resumed.body);
    customer.call("DELETE", &key, 200)?;
    let listed = customer.get(KEYS, 200)?;
    ensure!(listed.at("/data/0/status")? == "revoked", "{}", listed.body);
    Ok(())
}

/// A person signs in with a key, makes a link, signs in with it, and signs out everywhere: for an organisation and as an
/// operator.
pub(crate) fn sign_in_and_out(api: &Gateway<'_>, key: &str, operator: &str) -> Result<()> {
    let anonymous = RouteCaller { api, key: None };
    for (base, key) in [("/api/v3", key), ("/admin/v1", operator)] {
        let sessions = format!("{base}/sessions");
        let sign_in = |body: &serde_json::Value| anonymous.post(&sessions, "route-sign-in", body);
        let first = sign_in(&json!({ "key": key }))?;
        let current = anonymous.call_in(&first, "GET", &format!("{sessions}/current"), 200)?;
        ensure!(current.at("/data/csrfToken")? == first.at("/data/csrfToken")?, "{}", current.body);
        let link = anonymous.call_in(&first, "POST", &format!("{base}/sign-in-links"), 201)?;
        let second = sign_in(&json!({ "link": link.at("/data/token")? }))?;
        let id = first.at("/data/sessionId")?;
        anonymous.call_in(&second, "DELETE", &format!("{sessions}/{id}"), 200)?;
        anonymous.call_in(&first, "GET", &sessions, 401)?;
        let third = sign_in(&json!({ "key": key }))?;
        anonymous.call_in(&third, "DELETE", &format!("{sessions}/current"), 200)?;
        let left = anonymous.call_in(&second, "GET", &sessions, 200)?;
        ensure!(left.body.pointer("/data/1").is_none(), "{}", left.body);
        anonymous.call_in(&second, "DELETE", &sessions, 200)?;
        anonymous.call_in(&second, "GET", &sessions, 401)?;
    }
    // This machine sends no mail.
    let body = json!({ "email": "route@example.com" });
    anonymous.post_for(409, "/api/v3/sign-in-mails", "route-mail", &body)?;
    Ok(())
}
