//! Calls every route of the API once, in one scenario.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::key_routes::{
    invite_members, keep_to_budgets, manage_keys, manage_operators, sign_in_and_out,
    switch_off_budget_requests,
};
use crate::machine::ScripProcess;
use crate::project::Project;
use crate::route_caller::{Gateway, RouteCaller};

/// Calls every route: a customer consumes, holds, batches, refunds and buys credits; an operator opens an organisation,
/// grants credits, freezes it and revokes its key; another organisation changes its plan, makes a monitor and a webhook, and
/// moves its test clock by a month; the operator changes the catalogue and asks for a report.
pub(crate) fn check(project: &Project, url: &str, machine: &ScripProcess) -> Result<()> {
    let api = &Gateway::new(url);
    consume(api, &machine.api_key)?;
    hold(api, &machine.api_key)?;
    batch_and_refund(api, &machine.api_key)?;
    purchase(api, machine)?;
    operate(api, &machine.operator_key)?;
    manage_operators(api, &machine.operator_key)?;
    use_another_organisation(api, &machine.operator_key)?;
    change_catalogue(api, &machine.operator_key)?;
    api.called_every_route(project)
}

fn consume(api: &Gateway<'_>, key: &str) -> Result<()> {
    let customer = RouteCaller { api, key: Some(key) };
    let anonymous = RouteCaller { api, key: None };
    let refused = anonymous.get("/api/v3/credits/balance", 401)?;
    ensure!(refused.at("/error/code")? == "MISSING_API_KEY", "{}", refused.body);

    let before = customer.get("/api/v3/credits/balance", 200)?.number("/data/available")?;
    let body = json!({ "operation": "verification.biometric", "resourceId": "bio_1" });
    let debit = customer.post("/api/v3/credits/consume", "route-consume", &body)?;
    let again = customer.post("/api/v3/credits/consume", "route-consume", &body)?;
    ensure!(again.replayed && !debit.replayed, "Idempotent-Replayed is wrong");
    ensure!(debit.body.get("data") == again.body.get("data"), "a replay differs: {}", again.body);
    let now = customer.get("/api/v3/credits/balance", 200)?;
    let after = now.number("/data/available")?;
    ensure!(before.checked_sub(3) == Some(after), "a debit of 3 left {after} of {before}");
    let past = format!("/api/v3/credits/balance?at={}", now.at("/data/asOf/timestamp")?);
    let past = customer.get(&past, 200)?;
    ensure!(past.number("/data/available")? == after, "{}", past.body);

    let id = debit.at("/data/transactionId")?;
    let list = customer.get("/api/v3/credits/transactions?limit=2", 200)?;
    ensure!(list.at("/data/0/transactionId")? == id, "{}", list.body);
    let one = customer.get(&format!("/api/v3/credits/transactions/{id}"), 200)?;
    ensure!(one.number("/data/amount")? == 3, "{}", one.body);
    ensure!(one.body.pointer("/data/proof").is_some(), "{}", one.body);
    let audit = customer.get("/api/v3/credits/audit?limit=2", 200)?;
    ensure!(audit.body.pointer("/data/verified") == Some(&json!(true)), "{}", audit.body);
    customer.get("/api/v3/credits/purchases?status=pending", 200)?;
    let records = customer.get("/v2/credits?where_category=usage&populates[]=client", 200)?;
    ensure!(records.at("/data/0/transactionId")? == id, "{}", records.body);
    let record = format!("/v2/credits/{}", records.at("/data/0/id")?);
    ensure!(customer.get(&record, 200)?.number("/data/used")? == 3, "{}", records.body);
    export(&customer)?;
    customer.get("/api/v3/credits/lots?status=active", 200)?;
    let usage = customer.get("/api/v3/credits/usage?groupBy=operation", 200)?;
    ensure!(usage.at("/data/groups/0")? == "operation", "{}", usage.body);
    customer.get("/api/v3/credits/statements", 200)?;
    let early = customer.get("/api/v3/credits/statements/2000-01", 404)?;
    ensure!(early.at("/error/code")? == "NOT_FOUND", "{}", early.body);
    let forecast = customer.get("/api/v3/credits/usage/forecast", 200)?;
    ensure!(forecast.at("/data/status")? == "notEnoughData", "{}", forecast.body);
    Ok(())
}

/// Exports transactions as a spreadsheet, for a credit.
fn export(customer: &RouteCaller<'_>) -> Result<()> {
    const EXPORT: &str = "/api/v3/credits/transactions/export";
    let refused = customer.get(&format!("{EXPORT}?format=pdf"), 400)?;
    ensure!(refused.body.pointer("/error/details/fields/format").is_some(), "{}", refused.body);
    let body = json!({ "format": "xlsx", "type": "DEBIT" });
    let made = customer.post(EXPORT, "route-export", &body)?;
    ensure!(made.at("/data/status")? == "ready", "{}", made.body);
    ensure!(made.number("/data/creditsCharged")? == 1, "{}", made.body);
    let id = made.at("/data/exportId")?;
    let list = customer.get("/api/v3/credits/transactions/exports", 200)?;
    ensure!(list.at("/data/0/exportId")? == id, "{}", list.body);
    let one = customer.get(&format!("/api/v3/credits/transactions/exports/{id}"), 200)?;
    ensure!(one.at("/data/url")?.contains(id), "{}", one.body);
    Ok(())
}

fn hold(api: &Gateway<'_>, key: &str) -> Result<()> {
    const HOLDS: &str = "/api/v3/credits/holds";
    let customer = RouteCaller { api, key: Some(key) };
    let hold = customer.post(HOLDS, "route-hold", &json!({ "operation": "verification.enhanced" }))?;
    let hold = format!("{HOLDS}/{}", hold.at("/data/holdId")?);
    let captured = customer.post(&format!("{hold}/capture"), "route-capture", &json!({ "amount": 1 }))?;
    ensure!(captured.number("/data/captured")? == 1, "{}", captured.body);
    let released = customer.post(&format!("{hold}/release"), "route-release", &json!({}))?;
    ensure!(released.at("/data/status")? == "released", "{}", released.body);
    let known = customer.get(&hold, 200)?;
    ensure!(known.body.get("data") == released.body.get("data"), "{}", known.body);
    Ok(())
}

fn batch_and_refund(api: &Gateway<'_>, key: &str) -> Result<()> {
    let customer = RouteCaller { api, key: Some(key) };
    let items = json!({ "items": [
        { "operation": "verification.standard", "settleBy": "2099-01-01T00:00:00Z" },
        { "operation": "aml.pep" },
    ] });
    let refused = customer.post_for(400, "/api/v3/credits/quote", "route-quote", &items)?;
    ensure!(refused.body.to_string().contains("items[0].settleBy"), "{}", refused.body);
    let later = customer.get("/api/v3/credits/balance", 200)?;
    let items = json!({ "items": [
        { "operation": "verification.standard", "settleBy": later.at("/data/nextRenewal")? },
        { "operation": "aml.pep" },
    ] });
    let quote = customer.post_for(200, "/api/v3/credits/quote", "route-quote", &items)?;
    ensure!(quote.number("/data/amount")? == 3, "{}", quote.body);
    let batch = customer.post("/api/v3/credits/consume/batch", "route-batch", &items)?;
    let left = batch.number("/data/balance/available")?;
    ensure!(quote.number("/data/balanceAfter")? == left, "{} and {}", quote.body, batch.body);
    let id = batch.at("/data/results/0/transaction/transactionId")?;
    let fail = format!("/api/v3/credits/transactions/{id}/fail");
    let failed = customer.post(&fail, "route-fail", &json!({}))?;
    ensure!(failed.at("/data/reason")? == "technical_failure", "{}", failed.body);
    let id = batch.at("/data/results/1/transaction/transactionId")?;
    let body = json!({ "transactionId": id, "reason": "canceled_verification", "amount": 1 });
    let refunded = customer.post("/api/v3/credits/refund", "route-refund", &body)?;
    ensure!(refunded.at("/data/refundOf")? == id, "{}", refunded.body);
    Ok(())
}

fn purchase(api: &Gateway<'_>, machine: &ScripProcess) -> Result<()> {
    let customer = RouteCaller { api, key: Some(&machine.test_key) };
    let body = json!({ "package": "starter", "paymentMethod": "card_xyz123" });
    let bought = customer.post("/api/v3/credits/purchase", "route-purchase", &body)?;
    let again = customer.post("/api/v3/credits/purchase", "route-purchase", &body)?;
    ensure!(bought.at("/data/status")? == "approved", "{}", bought.body);
    ensure!(again.replayed && bought.body.get("data") == again.body.get("data"), "{}", again.body);
    let live = RouteCaller { api, key: Some(&machine.api_key) };
    let refused = live.post_for(402, "/api/v3/credits/purchase", "route-purchase", &body)?;
    ensure!(refused.at("/error/details/reason")? == "payments_not_configured", "{}", refused.body);

    let body = json!({ "enabled": true, "threshold": 1, "amount": 500, "paymentMethod": "card_xyz123" });
    customer.put("/api/v3/credits/auto-recharge", &body)?;
    let set = customer.get("/api/v3/credits/auto-recharge", 200)?;
    ensure!(set.at("/data/state/status")? == "ready", "{}", set.body);

    let anonymous = RouteCaller { api, key: None };
    let forged =
        anonymous.post_for(400, "/api/v3/payments/events", "route-event", &json!({ "id": "evt_1" }))?;
    ensure!(forged.at("/error/code")? == "VALIDATION_ERROR", "{}", forged.body);
    Ok(())
}

fn operate(api: &Gateway<'_>, key: &str) -> Result<()> {
    let operator = RouteCaller { api, key: Some(key) };
    let body = json!({ "name": "Cirrus Checks", "plan": "professional" });
    let opened = operator.post("/admin/v1/organisations", "route-open", &body)?;
    let organisation = format!("/admin/v1/organisations/{}", opened.at("/data/organisationId")?);
    let issued = operator.post(&format!("{organisation}/keys"), "route-key", &json!({ "mode": "live" }))?;
    let body = json!({ "source": "bonus", "amount": 25 });
    operator.post(&format!("{organisation}/grants"), "route-grant", &body)?;

    let customer = RouteCaller { api, key: Some(issued.at("/data/key")?) };
    let balance = customer.get("/api/v3/credits/balance", 200)?;
    ensure!(balance.number("/data/bonusCredits")? == 25, "{}", balance.body);

    let known = operator.get(&organisation, 200)?;
    ensure!(known.at("/data/ledgers/live/state")? == "ok", "{}", known.body);
    let body = json!({ "reason": "To see that there is nothing to repair" });
    operator.post_for(409, &format!("{organisation}/repair"), "route-repair", &body)?;

    let body = json!({ "amount": -5, "reason": "Given twice" });
    let adjusted = operator.post(&format!("{organisation}/adjustments"), "route-adjust", &body)?;
    ensure!(adjusted.number("/data/balance/bonusCredits")? == 25, "{}", adjusted.body);
    let terms = operator.put(&format!("{organisation}/post-paid"), &json!({ "limit": 100 }))?;
    ensure!(terms.number("/data/postPaid/limit")? == 100, "{}", terms.body);
    let keys = operator.get(&format!("{organisation}/keys"), 200)?;
    ensure!(keys.at("/data/0/keyId")? == issued.at("/data/keyId")?, "{}", keys.body);
    let per_day = json!({ "perDay": { "amount": 50_000, "currency": "GBP" } });
    operator.put(&format!("{organisation}/spending-limit"), &per_day)?;
    operator.patch(&organisation, &json!({ "selfServicePlans": true }))?;
    let limit = json!({ "limit": 2_000_000_000_000_000_u64 });
    let limit = operator.put(&format!("{organisation}/plan-limit"), &limit)?;
    ensure!(limit.number("/data/limit")? == 2_000_000_000_000_000, "{}", limit.body);
    let body = json!({ "reason": "A stolen card" });
    operator.post_for(200, &format!("{organisation}/freeze"), "route-freeze", &body)?;
    let debit = json!({ "operation": "verification.biometric" });
    let stopped = customer.post_for(403, "/api/v3/credits/consume", "route-frozen", &debit)?;
    ensure!(stopped.at("/error/code")? == "ORGANISATION_FROZEN", "{}", stopped.body);
    operator.post_for(200, &format!("{organisation}/unfreeze"), "route-unfreeze", &body)?;
    let debit = customer.post("/api/v3/credits/consume", "route-frozen", &debit)?;
    let id = debit.at("/data/transactionId")?;
    let body = json!({ "transactionId": id, "reason": "false_positive", "note": "Goodwill" });
    let refunded = operator.post(&format!("{organisation}/refunds"), "route-operator-refund", &body)?;
    ensure!(refunded.at("/data/description")? == "Goodwill", "{}", refunded.body);
    operator.call("DELETE", &format!("{organisation}/keys/{}", issued.at("/data/keyId")?), 200)?;
    let body = json!({ "plan": "enterprise" });
    let moved = operator.put(&format!("{organisation}/subscription"), &body)?;
    ensure!(moved.at("/data/plan")? == "enterprise", "{}", moved.body);
    Ok(())
}

/// Uses an organisation of its own, whose plan and test clock can be changed.
fn use_another_organisation(api: &Gateway<'_>, key: &str) -> Result<()> {
    let operator = RouteCaller { api, key: Some(key) };
    let body = json!({ "name": "Nimbus Identity", "plan": "professional", "selfServicePlans": true });
    let opened = operator.post("/admin/v1/organisations", "route-open-another", &body)?;
    let organisation = format!("/admin/v1/organisations/{}", opened.at("/data/organisationId")?);
    let issue = |mode: &str| {
        let name = format!("route-key-{mode}");
        let scopes = [
            "credits:read",
            "credits:consume",
            "credits:purchase",
            "credits:refund",
            "settings:write",
            "team:write",
        ];
        operator.post(&format!("{organisation}/keys"), &name, &json!({ "mode": mode, "scopes": scopes }))
    };
    let (live, test) = (issue("live")?, issue("test")?);
    sign_in_and_out(api, live.at("/data/key")?, key)?;
    let live = RouteCaller { api, key: Some(live.at("/data/key")?) };
    let test = RouteCaller { api, key: Some(test.at("/data/key")?) };
    change_plan(&live, &test)?;
    manage_keys(api, &live)?;
    keep_to_budgets(&live)?;
    invite_members(api, &live)?;
    switch_off_budget_requests(&live)?;
    monitor(&test)?;
    webhooks(&test)?;
    let body = json!({ "source": "bonus", "amount": 25, "expiresInDays": 1, "mode": "test" });
    operator.post(&format!("{organisation}/grants"), "route-grant-for-a-day", &body)?;
    refund_purchase(&operator, &organisation, &test)?;
    pass_a_month(&live, &test)
}

/// The operator refunds the money of a purchase.
fn refund_purchase(operator: &RouteCaller<'_>, organisation: &str, customer: &RouteCaller<'_>) -> Result<()> {
    let body = json!({ "package": "starter", "paymentMethod": "card_xyz123" });
    let bought = customer.post("/api/v3/credits/purchase", "route-purchase-to-refund", &body)?;
    let purchase = bought.at("/data/transactionId")?;
    let path = format!("{organisation}/purchases/{purchase}/refund");
    let body = json!({ "reason": "Ordered twice", "mode": "test" });
    let refunded = operator.post(&path, "route-refund-purchase", &body)?;
    ensure!(refunded.at("/data/transactionId")? == purchase, "{}", refunded.body);
    Ok(())
}

/// Changes only between plans with API access, because the others refuse these keys.
fn change_plan(live: &RouteCaller<'_>, test: &RouteCaller<'_>) -> Result<()> {
    const SUBSCRIPTION: &str = "/api/v3/subscription";
    let previewed = live.put(&format!("{SUBSCRIPTION}?preview=true"), &json!({ "plan": "basic" }))?;
    ensure!(previewed.number("/data/allowance")? == 1_000, "{}", previewed.body);
    let known = live.get(SUBSCRIPTION, 200)?;
    ensure!(known.at("/data/plan")? == "professional", "{}", known.body);
    for plan in ["enterprise", "professional"] {
        let changed = live.put(SUBSCRIPTION, &json!({ "plan": plan }))?;
        ensure!(changed.body.pointer("/data/changed") == Some(&json!(true)), "{}", changed.body);
        let changed = test.get(SUBSCRIPTION, 200)?;
        ensure!(
            changed.at("/data/plan")? == plan,
            "the test ledger's plan has not changed: {}",
            changed.body
        );
    }
    Ok(())
}

fn monitor(customer: &RouteCaller<'_>) -> Result<()> {
    const MONITORS: &str = "/api/v3/monitors";
    let body = json!({ "operation": "aml.monitoring", "resourceId": "applicant_42" });
    let made = customer.post(MONITORS, "route-monitor", &body)?;
    let again = customer.post(MONITORS, "route-monitor", &body)?;
    ensure!(again.replayed && made.body.get("data") == again.body.get("data"), "{}", again.body);
    let id = made.at("/data/monitorId")?;
    let list = customer.get(MONITORS, 200)?;
    ensure!(list.at("/data/0/monitorId")? == id, "{}", list.body);
    let one = customer.get(&format!("{MONITORS}/{id}"), 200)?;
    ensure!(one.at("/data/status")? == "active", "{}", one.body);
    let deleted = customer.call("DELETE", &format!("{MONITORS}/{id}"), 200)?;
    ensure!(deleted.at("/data/status")? == "deleted", "{}", deleted.body);
    Ok(())
}

/// Nothing answers at the webhook's address, so its test delivery fails.
fn webhooks(customer: &RouteCaller<'_>) -> Result<()> {
    const WEBHOOKS: &str = "/api/v3/webhooks";
    for closed in
        ["https://169.254.169.254/latest/meta-data", "https://127.0.0.1:3000/", "http://hooks.example.com/"]
    {
        let refused = customer.post_for(400, WEBHOOKS, "route-webhook-closed", &json!({ "url": closed }))?;
        ensure!(refused.body.pointer("/error/details/fields/url").is_some(), "{closed}: {}", refused.body);
    }
    let body = json!({ "url": "https://hooks.example.com/scrip", "events": ["credits.expiring"] });
    let made = customer.post(WEBHOOKS, "route-webhook", &body)?;
    let secret = made.at("/data/secret")?;
    let again = customer.post(WEBHOOKS, "route-webhook", &body)?;
    ensure!(again.replayed && again.body.pointer("/data/secret") == Some(&Value::Null), "{}", again.body);
    let one = format!("{WEBHOOKS}/{}", made.at("/data/webhookId")?);
    let rotated = customer.post_for(200, &format!("{one}/rotate-secret"), "route-rotate", &json!({}))?;
    ensure!(rotated.at("/data/secret")? != secret, "the secret is the same");
    let tested = customer.post_for(
        200,
        &format!("{one}/test"),
        "route-test",
        &json!({ "event": "credits.low_balance" }),
    )?;
    ensure!(tested.at("/data/status")? == "failed", "{}", tested.body);
    ensure!(!tested.at("/data/attempts/0/error")?.is_empty(), "{}", tested.body);
    let list = customer.get(&format!("{one}/deliveries"), 200)?;
    let delivery = format!("{one}/deliveries/{}", list.at("/data/0/deliveryId")?);
    let known = customer.get(&delivery, 200)?;
    ensure!(known.at("/data/event")? == "credits.low_balance", "{}", known.body);
    let replayed = customer.post_for(200, &format!("{delivery}/replay"), "route-replay", &json!({}))?;
    ensure!(replayed.at("/data/eventId")? == known.at("/data/eventId")?, "{}", replayed.body);
    let nothing = customer.post_for(
        400,
        &format!("{one}/replay"),
        "route-replay-range",
        &json!({ "after": 0, "through": 99 }),
    )?;
    ensure!(nothing.body.pointer("/error/details/fields/through").is_some(), "{}", nothing.body);
    let paused = customer.patch(&one, &json!({ "status": "PAUSED" }))?;
    ensure!(paused.at("/data/status")? == "PAUSED", "{}", paused.body);
    let known = customer.get(&one, 200)?;
    ensure!(known.at("/data/pausedReason")? == "owner", "{}", known.body);
    let deleted = customer.call("DELETE", &one, 200)?;
    ensure!(deleted.body.pointer("/data/deleted") == Some(&json!(true)), "{}", deleted.body);
    let none = customer.get(WEBHOOKS, 200)?;
    ensure!(none.body.get("data") == Some(&json!([])), "{}", none.body);
    Ok(())
}

/// Moves the test clock to the next month: the account is renewed, and an expiry notice is emitted.
fn pass_a_month(live: &RouteCaller<'_>, test: &RouteCaller<'_>) -> Result<()> {
    const CLOCK: &str = "/api/v3/test-clock";
    test.put("/api/v3/credits/alerts", &json!({ "expiryNoticeDays": 14 }))?;
    let alerts = test.get("/api/v3/credits/alerts", 200)?;
    ensure!(alerts.number("/data/expiryNoticeDays")? == 14, "{}", alerts.body);

    let before = test.get("/api/v3/credits/balance", 200)?;
    let turn = before.at("/data/nextRenewal")?;
    live.post_for(403, CLOCK, "route-clock", &json!({ "now": turn }))?;
    let moved = test.post_for(200, CLOCK, "route-clock", &json!({ "now": turn }))?;
    ensure!(moved.body.pointer("/data/arrived") == Some(&json!(true)), "{}", moved.body);
    let clock = test.get(CLOCK, 200)?;
    ensure!(clock.at("/data/now")? == turn, "{}", clock.body);
    let after = test.get("/api/v3/credits/balance", 200)?;
    ensure!(after.at("/data/nextRenewal")? != turn, "the month has not turned: {}", after.body);
    let events = test.get("/api/v3/events", 200)?;
    ensure!(events.body.to_string().contains("credits.expiring"), "{}", events.body);
    Ok(())
}

fn change_catalogue(api: &Gateway<'_>, key: &str) -> Result<()> {
    let operator = RouteCaller { api, key: Some(key) };
    let anonymous = RouteCaller { api, key: None };
    let packages = anonymous.get("/api/v3/credits/packages", 200)?;
    ensure!(packages.at("/data/0/package")? == "starter", "{}", packages.body);
    let plans = anonymous.get("/api/v3/plans", 200)?;
    ensure!(plans.at("/data/0/plan")? == "free", "{}", plans.body);
    let pricing = anonymous.get("/api/v3/pricing", 200)?;
    ensure!(pricing.number("/data/0/priceVersion")? == 1, "{}", pricing.body);

    for (path, body) in [
        ("pricing/verification.enhanced", json!({ "credits": 3 })),
        ("packages/growth", json!({ "price": { "amount": 8800, "currency": "GBP" } })),
        ("plans/basic", json!({ "maxUsers": 4 })),
    ] {
        let set = operator.put(&format!("/admin/v1/{path}"), &body)?;
        ensure!(set.number("/data/priceVersion")? == 2, "{}", set.body);
    }
    operator.put("/admin/v1/exchange-rates/GBP/EUR", &json!({ "rate": 1.17 }))?;
    let rates = operator.get("/admin/v1/exchange-rates", 200)?;
    ensure!(rates.body.pointer("/data/0/rate") == Some(&json!(1.17)), "{}", rates.body);
    let early = operator.get("/admin/v1/reports/roll-forward?month=2999-01", 400)?;
    ensure!(early.body.pointer("/error/details/fields/month").is_some(), "{}", early.body);
    Ok(())
}
