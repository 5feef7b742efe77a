//! The state of the Stripe double, and how it answers requests.

use std::collections::{BTreeMap, VecDeque};

use axum::http::{HeaderMap, Method};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{StoredAnswer, StripeAnswer, StripeFault, StripeForm};

/// The double's state.
pub struct StripeState {
    /// The clock.
    pub now: DateTime<Utc>,
    /// Payment intents, oldest first.
    pub intents: Vec<Value>,
    /// The payments that were refunded in full.
    pub refunds: Vec<String>,
    /// Refunds, oldest first.
    pub parts: Vec<Value>,
    /// Disputes, oldest first.
    pub disputes: Vec<Value>,
    /// Events, oldest first.
    pub events: Vec<Value>,
    /// The requests so far, as `POST /v1/refunds`.
    pub calls: Vec<String>,
    /// The headers of the last request.
    pub headers: HeaderMap,
    /// The stored answers, by idempotency key.
    pub keys: BTreeMap<String, StoredAnswer>,
    /// The customer of each payment method, if it is attached.
    pub methods: BTreeMap<String, Option<String>>,
    pub(super) faults: VecDeque<(&'static str, StripeFault)>,
    pub(super) customers: usize,
}

impl StripeState {
    /// The state of a new account.
    pub(super) fn at(now: DateTime<Utc>) -> Self {
        Self {
            now,
            intents: Vec::new(),
            refunds: Vec::new(),
            parts: Vec::new(),
            disputes: Vec::new(),
            events: Vec::new(),
            calls: Vec::new(),
            headers: HeaderMap::new(),
            keys: BTreeMap::new(),
            methods: BTreeMap::new(),
            faults: VecDeque::new(),
            customers: 0,
        }
    }

    /// Adds a payment method, attached to a customer or not.
    pub fn method(&mut self, id: &str, customer: Option<&str>) {
        self.methods.insert(id.to_owned(), customer.map(str::to_owned));
    }

    /// Adds a payment that another client made.
    pub fn other(&mut self, customer: &str, created: DateTime<Utc>) {
        let id = format!("pi_{:05}", self.intents.len());
        self.intents.push(json!({
            "id": id, "object": "payment_intent", "amount": 100, "currency": "gbp", "status": "succeeded",
            "customer": customer, "metadata": {}, "created": created.timestamp(), "latest_charge": null,
        }));
    }

    /// Processes a request.
    pub(super) fn answer(&mut self, method: &Method, path: &str, form: &StripeForm) -> StripeAnswer {
        let path: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match (method.as_str(), &path[..]) {
            ("POST", ["customers"]) => {
                self.customers += 1;
                let id = format!("cus_{}", self.customers);
                (200, json!({ "id": id, "object": "customer", "name": form["name"] }))
            }
            ("POST", ["payment_methods", id, "attach"]) => self.attach(id, &form["customer"]),
            ("POST", ["payment_intents"]) => self.charge(form),
            ("GET", ["payment_intents"]) => self.list(form),
            ("GET", ["payment_intents", id]) => match self.intent(id) {
                Some(place) => (200, shown(&self.intents[place], form, "latest_charge")),
                None => missing(404, "intent"),
            },
            ("POST", ["payment_intents", id, "cancel"]) => match self.intent(id) {
                Some(place) => self.cancel(place, form),
                None => missing(404, "intent"),
            },
            ("POST", ["refunds"]) => self.refund(&form["payment_intent"], form),
            ("GET", ["refunds"]) => listed(&self.parts, form),
            ("GET", ["disputes"]) => listed(&self.disputes, form),
            ("GET", ["events"]) => listed(&self.events, form),
            _ => (404, problem("invalid_request_error", None, None)),
        }
    }

    fn intent(&self, id: &str) -> Option<usize> {
        self.intents.iter().position(|intent| intent["id"] == id)
    }

    fn attach(&mut self, id: &str, customer: &str) -> StripeAnswer {
        match self.methods.get_mut(id) {
            None => missing(404, "payment_method"),
            Some(Some(owner)) if owner != customer => (400, problem("invalid_request_error", None, None)),
            Some(_) if id.contains("attachDeclined") => {
                (402, problem("card_error", Some("card_declined"), None))
            }
            Some(owner) => {
                *owner = Some(customer.to_owned());
                (200, json!({ "id": id, "object": "payment_method", "customer": customer }))
            }
        }
    }

    fn charge(&mut self, form: &StripeForm) -> StripeAnswer {
        let (method, amount): (_, u64) = (&form["payment_method"], form["amount"].parse().unwrap());
        let off_session = form.get("off_session").is_some_and(|value| value == "true");
        match self.methods.get(method) {
            None => return missing(400, "payment_method"),
            Some(owner) if owner.as_ref() != form.get("customer") => {
                return (400, problem("invalid_request_error", None, Some("payment_method")));
            }
            Some(_) if amount < 30 => {
                return (400, problem("invalid_request_error", Some("amount_too_small"), Some("amount")));
            }
            Some(_) => (),
        }
        let id = format!("pi_{:05}", self.intents.len());
        let mut intent = json!({
            "id": id, "object": "payment_intent", "amount": amount, "currency": form["currency"],
            "customer": form.get("customer"), "description": form.get("description"), "created": self.now.timestamp(),
            "metadata": { "account": form["metadata[account]"], "transaction": form["metadata[transaction]"] },
            "last_payment_error": null, "next_action": null, "latest_charge": null,
        });
        let needs_action = method.contains("authenticationRequired");
        let cannot_act = off_session || form.contains_key("error_on_requires_action");
        let declined = match method.split_once("chargeDeclined") {
            Some((_, "InsufficientFunds")) => Some(("card_declined", Some("insufficient_funds"))),
            Some((_, "ExpiredCard")) => Some(("expired_card", None)),
            Some(_) => Some(("card_declined", Some("generic_decline"))),
            None if needs_action && cannot_act => {
                Some(("authentication_required", Some("authentication_required")))
            }
            None => None,
        };
        let outcome = match declined {
            Some((code, decline_code)) => {
                fail(&mut intent, code, decline_code);
                let mut error = intent["last_payment_error"].clone();
                error["payment_intent"] = intent.clone();
                (402, json!({ "error": error }))
            }
            None if needs_action => {
                let url = format!("https://hooks.stripe.com/3d_secure_2/{id}");
                intent["status"] = "requires_action".into();
                intent["next_action"] = json!({ "type": "redirect_to_url",
                    "redirect_to_url": { "url": url, "return_url": form["return_url"] } });
                (200, shown(&intent, form, "latest_charge"))
            }
            None => {
                succeed(&mut intent);
                (200, shown(&intent, form, "latest_charge"))
            }
        };
        self.intents.push(intent);
        outcome
    }

    fn list(&self, form: &StripeForm) -> StripeAnswer {
        let limit: usize = form["limit"].parse().unwrap();
        let bound = |name: &str| form.get(name).map(|bound| bound.parse::<i64>().unwrap());
        let (since, until) = (bound("created[gte]"), bound("created[lte]"));
        let fits = |intent: &&Value| {
            let created = intent["created"].as_i64().unwrap();
            since.is_none_or(|since| created >= since)
                && until.is_none_or(|until| created <= until)
                && form.get("customer").is_none_or(|customer| intent["customer"] == *customer)
        };
        let newest: Vec<&Value> = self.intents.iter().rev().filter(fits).collect();
        let after = form.get("starting_after");
        let start = after.and_then(|after| newest.iter().position(|intent| intent["id"] == *after));
        let rest = &newest[start.map_or(0, |place| place + 1)..];
        let data: Vec<Value> =
            rest.iter().take(limit).map(|intent| shown(intent, form, "data.latest_charge")).collect();
        (200, json!({ "object": "list", "has_more": rest.len() > limit, "data": data }))
    }

    fn cancel(&mut self, place: usize, form: &StripeForm) -> StripeAnswer {
        let intent = &mut self.intents[place];
        if ["succeeded", "processing", "canceled"].contains(&intent["status"].as_str().unwrap()) {
            let mut error = problem("invalid_request_error", Some("payment_intent_unexpected_state"), None);
            error["error"]["payment_intent"] = intent.clone();
            return (400, error);
        }
        intent["status"] = "canceled".into();
        intent["next_action"] = Value::Null;
        (200, shown(intent, form, "latest_charge"))
    }

    fn refund(&mut self, id: &str, form: &StripeForm) -> StripeAnswer {
        let Some(place) = self.intent(id) else { return missing(404, "payment_intent") };
        let refunded = self.refunded(id);
        let intent = &mut self.intents[place];
        let total = intent["amount"].as_u64().unwrap();
        if intent["latest_charge"]["refunded"] == true {
            return (400, problem("invalid_request_error", Some("charge_already_refunded"), None));
        }
        if intent["status"] != "succeeded" {
            return (400, problem("invalid_request_error", None, None));
        }
        if self
            .disputes
            .iter()
            .any(|dispute| dispute["payment_intent"] == *id && dispute["status"] == "needs_response")
        {
            return (400, problem("invalid_request_error", Some("charge_disputed"), None));
        }
        let amount = form.get("amount").map_or(total - refunded, |amount| amount.parse().unwrap());
        if amount == 0 || total - refunded < amount {
            return (400, problem("invalid_request_error", None, Some("amount")));
        }
        intent["latest_charge"]["refunded"] = (refunded + amount == total).into();
        if refunded + amount == total {
            self.refunds.push(id.to_owned());
        }
        let refund = json!({
            "id": format!("re_{}", self.parts.len()), "object": "refund", "payment_intent": id, "amount": amount,
            "status": "succeeded", "failure_reason": null, "metadata": { "refund": form.get("metadata[refund]") },
            "created": self.now.timestamp(),
        });
        self.emit("refund.created", &refund);
        self.parts.push(refund.clone());
        (200, refund)
    }

    /// Fails a refund, as when the customer's bank returns it.
    pub fn fail_refund(&mut self, place: usize) {
        self.parts[place]["status"] = "failed".into();
        self.parts[place]["failure_reason"] = "lost_or_stolen_card".into();
        let refund = self.parts[place].clone();
        self.emit("refund.failed", &refund);
    }

    /// Opens a dispute about a part of a payment, or closes it.
    pub fn dispute(&mut self, id: &str, amount: u64, status: &str) {
        let name = format!("dp_{id}");
        self.disputes.retain(|dispute| dispute["id"] != name);
        let dispute = json!({
            "id": name, "object": "dispute", "payment_intent": id, "amount": amount, "currency": "gbp",
            "status": status, "created": self.now.timestamp(),
        });
        let is_open = status == "needs_response";
        self.emit(if is_open { "charge.dispute.created" } else { "charge.dispute.closed" }, &dispute);
        self.disputes.push(dispute);
    }

    fn emit(&mut self, kind: &str, object: &Value) {
        self.events.push(json!({
            "id": format!("evt_{}", self.events.len()), "object": "event", "type": kind, "created": self.now.timestamp(),
            "data": { "object": object },
        }));
    }

    fn refunded(&self, id: &str) -> u64 {
        let ours = self
            .parts
            .iter()
            .filter(|refund| refund["payment_intent"] == *id && refund["status"] != "failed");
        ours.map(|refund| refund["amount"].as_u64().unwrap()).sum()
    }
}

/// A page of a list, newest first.
fn listed(all: &[Value], form: &StripeForm) -> StripeAnswer {
    let limit: usize = form["limit"].parse().unwrap();
    let since = form.get("created[gte]").map(|since| since.parse::<i64>().unwrap());
    let fits = |one: &&Value| {
        form.get("payment_intent").is_none_or(|id| one["payment_intent"] == *id)
            && since.is_none_or(|since| one["created"].as_i64().unwrap() >= since)
    };
    let newest: Vec<&Value> = all.iter().rev().filter(fits).collect();
    let after = form.get("starting_after");
    let start = after.and_then(|after| newest.iter().position(|one| one["id"] == *after));
    let rest = &newest[start.map_or(0, |place| place + 1)..];
    let data: Vec<&Value> = rest.iter().take(limit).copied().collect();
    (200, json!({ "object": "list", "has_more": rest.len() > limit, "data": data }))
}

pub(super) fn succeed(intent: &mut Value) {
    let charge = intent["id"].as_str().unwrap().replace("pi_", "ch_");
    let url = format!("https://pay.stripe.com/receipts/{charge}");
    intent["status"] = "succeeded".into();
    intent["latest_charge"] =
        json!({ "id": charge, "object": "charge", "receipt_url": url, "refunded": false });
}

pub(super) fn fail(intent: &mut Value, code: &str, decline_code: Option<&str>) {
    intent["status"] = "requires_payment_method".into();
    intent["last_payment_error"] =
        json!({ "type": "card_error", "code": code, "decline_code": decline_code, "message": "No." });
}

/// A payment as it is shown: with its charge only if `expand[]` asks for it.
fn shown(intent: &Value, form: &StripeForm, expanded: &str) -> Value {
    let mut intent = intent.clone();
    if form.get("expand[]").is_none_or(|expand| expand != expanded) {
        intent["latest_charge"] = intent["latest_charge"]["id"].clone();
    }
    intent
}

fn missing(status: u16, param: &str) -> StripeAnswer {
    (status, problem("invalid_request_error", Some("resource_missing"), Some(param)))
}

pub(super) fn problem(kind: &str, code: Option<&str>, param: Option<&str>) -> Value {
    json!({ "error": { "type": kind, "code": code, "param": param, "message": "Words for people." } })
}
