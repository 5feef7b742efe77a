use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::{Answer, Call};
use crate::machine::Machine;

/// Calls every route once, as one story: spend, look, open an organisation, give it credits, revoke
/// its key, see what is sold, change it.
pub(crate) fn check(url: &str, machine: &Machine) -> Result<()> {
    spend(url, &machine.api_key)?;
    operate(url, &machine.operator_key)?;
    sell(url, &machine.operator_key)
}

fn spend(url: &str, key: &str) -> Result<()> {
    let customer = Caller { url, key: Some(key) };
    let anybody = Caller { url, key: None };
    let refused = anybody.get("/api/v3/credits/balance", 401)?;
    ensure!(refused.at("/error/code")? == "MISSING_API_KEY", "{}", refused.body);

    let before = customer.get("/api/v3/credits/balance", 200)?.number("/data/available")?;
    let body = json!({ "operation": "verification.biometric", "resourceId": "bio_1" });
    let debit = customer.post("/api/v3/credits/consume", "route-consume", &body)?;
    let again = customer.post("/api/v3/credits/consume", "route-consume", &body)?;
    ensure!(again.replayed && !debit.replayed, "Idempotent-Replayed is wrong");
    ensure!(debit.body.get("data") == again.body.get("data"), "a replay differs: {}", again.body);
    let after = customer.get("/api/v3/credits/balance", 200)?.number("/data/available")?;
    ensure!(before.checked_sub(3) == Some(after), "3 were to be taken from {before}, and {after} are left");

    let id = debit.at("/data/transactionId")?;
    let list = customer.get("/api/v3/credits/transactions?limit=2", 200)?;
    ensure!(list.at("/data/0/transactionId")? == id, "{}", list.body);
    let one = customer.get(&format!("/api/v3/credits/transactions/{id}"), 200)?;
    ensure!(one.number("/data/amount")? == 3, "{}", one.body);
    Ok(())
}

fn operate(url: &str, key: &str) -> Result<()> {
    let operator = Caller { url, key: Some(key) };
    let body = json!({ "name": "Cirrus Checks", "plan": "professional" });
    let opened = operator.post("/admin/v1/organisations", "route-open", &body)?;
    let organisation = format!("/admin/v1/organisations/{}", opened.at("/data/organisationId")?);
    let issued = operator.post(&format!("{organisation}/keys"), "route-key", &json!({ "mode": "live" }))?;
    let body = json!({ "source": "bonus", "amount": 25 });
    operator.post(&format!("{organisation}/grants"), "route-grant", &body)?;

    let customer = Caller { url, key: Some(issued.at("/data/key")?) };
    let balance = customer.get("/api/v3/credits/balance", 200)?;
    ensure!(balance.number("/data/bonusCredits")? == 25, "{}", balance.body);
    operator.call("DELETE", &format!("{organisation}/keys/{}", issued.at("/data/keyId")?), 200)?;
    Ok(())
}

fn sell(url: &str, key: &str) -> Result<()> {
    let operator = Caller { url, key: Some(key) };
    let anybody = Caller { url, key: None };
    let packages = anybody.get("/api/v3/credits/packages", 200)?;
    ensure!(packages.at("/data/0/package")? == "starter", "{}", packages.body);
    let plans = anybody.get("/api/v3/plans", 200)?;
    ensure!(plans.at("/data/0/plan")? == "free", "{}", plans.body);
    let pricing = anybody.get("/api/v3/pricing", 200)?;
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
    Ok(())
}

struct Caller<'a> {
    url: &'a str,
    key: Option<&'a str>,
}

impl Caller<'_> {
    fn get(&self, path: &str, status: u16) -> Result<Answer> {
        self.call("GET", path, status)
    }

    fn call(&self, method: &str, path: &str, status: u16) -> Result<Answer> {
        self.send(Call { method, url: format!("{}{path}", self.url), headers: vec![], body: None }, status)
    }

    fn post(&self, path: &str, idempotency_key: &str, body: &Value) -> Result<Answer> {
        let headers = vec![("Idempotency-Key", idempotency_key.to_owned())];
        let url = format!("{}{path}", self.url);
        self.send(Call { method: "POST", url, headers, body: Some(body.clone()) }, 201)
    }

    fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        let url = format!("{}{path}", self.url);
        self.send(Call { method: "PUT", url, headers: vec![], body: Some(body.clone()) }, 200)
    }

    fn send(&self, mut call: Call<'_>, status: u16) -> Result<Answer> {
        let told = format!("{} {}", call.method, call.url);
        call.headers.extend(self.key.map(|key| ("Authorization", format!("Bearer {key}"))));
        let answer = call.send()?;
        ensure!(answer.status == status, "{told}: {} {}", answer.status, answer.body);
        println!("    {status} {told}");
        Ok(answer)
    }
}

impl Answer {
    fn at(&self, place: &str) -> Result<&str> {
        self.body.pointer(place).and_then(Value::as_str).with_context(|| format!("no {place}: {}", self.body))
    }

    fn number(&self, place: &str) -> Result<u64> {
        self.body.pointer(place).and_then(Value::as_u64).with_context(|| format!("no {place}: {}", self.body))
    }
}
