//! Refunds of debits over HTTP.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, line_of, unique};

const NOW: &str = "2024-01-15T10:30:00Z";
const REFUND: &str = "/api/v3/credits/refund";

async fn debit(world: &World, org: &Org, body: Value) -> Value {
    world.consume(&org.key, &unique(), &body).await.created()
}

async fn refund(world: &World, org: &Org, debit: &Value, reason: &str, amount: Option<u64>) -> ApiAnswer {
    let body = json!({ "transactionId": debit["transactionId"], "reason": reason, "amount": amount });
    world.post(REFUND, &org.key, &unique(), &body).await
}

async fn receipt(world: &World, org: &Org, line: &Value) -> Value {
    let path = format!("/api/v3/credits/transactions/{}", line["transactionId"].as_str().unwrap());
    world.get(&path, &org.key).await.data()
}

async fn go_to(world: &World, now: &str) {
    world.post_plain("/_local/clock", &json!({ "now": now })).await.data();
}

/// The seed's table, row by row.
#[tokio::test]
async fn the_seeds_reasons_are_refunded_or_not() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let check = json!({ "operation": "verification.enhanced", "resourceId": "verif_1" });
    debit(&world, &org, check.clone()).await;
    for (reason, expected) in [
        ("technical_failure", "201"),
        ("duplicate_operation", "201"),
        ("canceled_verification", "201"),
        ("poor_quality_document", "422 REFUND_NOT_ELIGIBLE"),
        ("false_positive", "422 REFUND_NOT_ELIGIBLE"),
        ("cancelled_verification", "400 VALIDATION_ERROR"),
    ] {
        let paid = debit(&world, &org, check.clone()).await;
        let answer = refund(&world, &org, &paid, reason, None).await;
        if expected != "201" {
            assert_eq!(answer.failure(), expected, "{reason}");
            continue;
        }
        let back = answer.created();
        assert_eq!((&back["type"], &back["operation"]), (&json!("CREDIT"), &json!("credit.refund")));
        assert_eq!((&back["category"], &back["status"]), (&json!("purchase"), &json!("approved")));
        assert_eq!((&back["amount"], &back["sources"]), (&json!(2), &paid["sources"]), "{reason}");
        assert_eq!((&back["refundOf"], &back["reason"]), (&paid["transactionId"], &json!(reason)));
        let made = json!([{ "transactionId": back["transactionId"], "amount": 2, "reason": reason }]);
        assert_eq!(receipt(&world, &org, &paid).await["refunds"], made);
        let listed = world.transactions(&org.key, "limit=100").await;
        let listed = listed.iter().find(|line| line["transactionId"] == paid["transactionId"]).unwrap();
        assert_eq!(listed["refunds"], made);
    }
    let balance = world.balance(&org.key).await;
    assert_eq!((&balance["available"], &balance["usedCredits"]), (&json!(92), &json!(8)));
}

#[tokio::test]
async fn a_debit_is_refunded_in_parts_and_never_beyond() {
    let world = World::at(NOW).await;
    let org = world.open(8).await;
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 50 })).await;
    let paid = debit(&world, &org, json!({ "operation": "verification.standard", "quantity": 12 })).await;
    let first = refund(&world, &org, &paid, "technical_failure", Some(6)).await.created();
    // Credits return in reverse order: the purchased ones, then some of the month's.
    let sources: Vec<_> = first["sources"].as_array().unwrap().iter().map(|part| &part["amount"]).collect();
    assert_eq!(sources, [&json!(2), &json!(4)]);
    let more = refund(&world, &org, &paid, "technical_failure", Some(7)).await;
    assert_eq!(
        (more.failure().as_str(), &more.body["error"]["details"]["refundable"]),
        ("422 REFUND_NOT_ELIGIBLE", &json!(6))
    );
    let rest = refund(&world, &org, &paid, "canceled_verification", None).await.created();
    assert_eq!((&rest["amount"], &rest["balance"]["available"]), (&json!(6), &json!(58)));
    assert_eq!(
        refund(&world, &org, &paid, "technical_failure", None).await.failure(),
        "409 ALREADY_REFUNDED"
    );
    assert_eq!(receipt(&world, &org, &paid).await["refundable"], json!(0));
    assert_eq!(world.balance(&org.key).await["usedCredits"], json!(0));
}

#[tokio::test]
async fn a_repeated_refund_is_the_same_and_its_key_serves_no_other() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let paid = debit(&world, &org, json!({ "operation": "aml.pep" })).await;
    let other = debit(&world, &org, json!({ "operation": "aml.pep" })).await;
    let body =
        |paid: &Value| json!({ "transactionId": paid["transactionId"], "reason": "technical_failure" });
    let first = world.post(REFUND, &org.key, "same", &body(&paid)).await;
    let again = world.post(REFUND, &org.key, "same", &body(&paid)).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(first.created(), again.created());
    assert_eq!(
        world.post(REFUND, &org.key, "same", &body(&other)).await.failure(),
        "422 IDEMPOTENCY_KEY_REUSED"
    );
    // A refusal does not use up the key.
    let refused = json!({ "transactionId": other["transactionId"], "reason": "false_positive" });
    assert_eq!(world.post(REFUND, &org.key, "free", &refused).await.failure(), "422 REFUND_NOT_ELIGIBLE");
    world.post(REFUND, &org.key, "free", &body(&other)).await.created();
}

/// A transaction that cannot be refunded is refused with its type.
#[tokio::test]
async fn only_debits_can_be_refunded() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let paid = debit(&world, &org, json!({ "operation": "aml.pep" })).await;
    let back = refund(&world, &org, &paid, "technical_failure", None).await.created();
    let free = debit(&world, &org, json!({ "operation": "applicants.import" })).await;
    let hold = json!({ "operation": "aml.pep" });
    let hold = world.post("/api/v3/credits/holds", &org.key, &unique(), &hold).await.created();
    let held = json!({ "transactionId": hold["transactionIds"][0] });
    let granted = world.grant(&org.id, &json!({ "source": "bonus", "amount": 5 })).await;
    for (line, words) in [
        (&back, "spent no credits"),
        (&free, "cost nothing"),
        (&held, "is a hold"),
        (&granted, "spent no credits"),
    ] {
        let answer = refund(&world, &org, line, "technical_failure", None).await;
        assert_eq!(answer.failure(), "422 REFUND_NOT_ELIGIBLE", "{words}");
        assert!(answer.body["error"]["message"].as_str().unwrap().contains(words), "{:?}", answer.body);
    }
    let other = world.open(100).await;
    for id in [paid["transactionId"].as_str().unwrap(), "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "txn_1"] {
        let answer = refund(&world, &other, &json!({ "transactionId": id }), "technical_failure", None).await;
        assert_eq!(answer.failure(), "404 NOT_FOUND", "{id}");
    }
}

#[tokio::test]
async fn a_duplicate_needs_an_earlier_twin_that_stands() {
    let world = World::at(NOW).await;
    let org = world.open(1_000).await;
    let check = |resource: &str| json!({ "operation": "aml.pep", "resourceId": resource });
    let first = debit(&world, &org, check("a")).await;
    let other = debit(&world, &org, check("b")).await;
    let unnamed = debit(&world, &org, json!({ "operation": "aml.pep" })).await;
    let second = debit(&world, &org, check("a")).await;
    let third = debit(&world, &org, check("a")).await;
    for line in [&first, &other, &unnamed] {
        let answer = refund(&world, &org, line, "duplicate_operation", None).await;
        assert_eq!(answer.failure(), "422 REFUND_NOT_ELIGIBLE");
    }
    let named = async |line: &Value, twin: &Value| {
        let body = json!({ "transactionId": line["transactionId"], "reason": "duplicate_operation", "duplicateOf": twin["transactionId"] });
        world.post(REFUND, &org.key, &unique(), &body).await
    };
    assert_eq!(named(&second, &third).await.failure(), "422 REFUND_NOT_ELIGIBLE");
    assert_eq!(named(&second, &other).await.failure(), "422 REFUND_NOT_ELIGIBLE");
    let answer = named(&third, &first).await.created();
    assert_eq!(answer["duplicateOf"], first["transactionId"]);
    // The first charge is refunded for another reason, so the second is the one that paid.
    refund(&world, &org, &first, "technical_failure", None).await.created();
    assert_eq!(
        refund(&world, &org, &second, "duplicate_operation", None).await.failure(),
        "422 REFUND_NOT_ELIGIBLE"
    );
}

/// Credits that have ended return as bonus credits without an end; credits of a service stay with it.
#[tokio::test]
async fn ended_credits_return_as_bonus_credits() {
    let world = World::at(NOW).await;
    let org = world.open(5).await;
    let scoped =
        json!({ "source": "bonus", "amount": 3, "service": "api", "expiresAt": "2024-03-01T00:00:00Z" });
    world.grant(&org.id, &scoped).await;
    let ending = json!({ "source": "bonus", "amount": 4, "expiresAt": "2024-02-10T00:00:00Z" });
    world.grant(&org.id, &ending).await;
    let body = json!({ "operation": "verification.standard", "quantity": 12, "service": "api" });
    let paid = debit(&world, &org, body).await;
    go_to(&world, "2024-02-15T00:00:00Z").await;
    let back = refund(&world, &org, &paid, "technical_failure", None).await.created();
    let answer: Vec<_> = back["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["source"].as_str().unwrap(), part["amount"].as_u64().unwrap()))
        .collect();
    assert_eq!(answer, [("bonus", 9), ("bonus", 3)]);
    let balance = &back["balance"];
    assert_eq!(
        (&balance["subscriptionCredits"], &balance["bonusCredits"], &balance["usedCredits"]),
        (&json!(5), &json!(12), &json!(0))
    );
    // Credits of one service keep their end; the others last 31 days.
    assert_eq!(balance["expiring"].as_array().unwrap().len(), 2);
    assert_eq!(balance["expiring"][1]["expiresAt"], json!("2024-03-17T00:00:00Z"));
    assert_eq!(
        (&balance["expiring"][0]["amount"], &balance["expiring"][0]["expiresAt"]),
        (&json!(3), &json!("2024-03-01T00:00:00Z"))
    );
    let other = json!({ "operation": "verification.standard", "quantity": 15 });
    let answer = world.consume(&org.key, &unique(), &other).await;
    assert_eq!(
        answer.body["error"]["details"]["available"],
        json!(14),
        "credits of a service pay for it alone"
    );
}

/// Rule 4: a refund after a downgrade never leaves more than the plan's allowance.
#[tokio::test]
async fn a_refund_never_refills_beyond_the_plan() {
    let world = World::at(NOW).await;
    let org = world.open(5_000).await;
    let paid = debit(&world, &org, json!({ "operation": "verification.standard", "quantity": 1_300 })).await;
    // The other demo plans have no API access.
    let plan = json!({ "name": "Small", "price": { "amount": 0, "currency": "GBP" }, "allowance": 1_000, "apiAccess": true, "maxUsers": 1 });
    world.put("/admin/v1/plans/small", world.operator(), &plan).await.data();
    world.put("/api/v3/subscription", &org.key, &json!({ "plan": "small" })).await.data();
    for (amount, left, expired) in [(200, 0, json!(200)), (300, 200, json!(100)), (800, 1_000, Value::Null)] {
        let back = refund(&world, &org, &paid, "technical_failure", Some(amount)).await.created();
        assert_eq!(back["balance"]["subscriptionCredits"], json!(left), "{amount}");
        assert_eq!(back["expired"], expired, "{amount}");
    }
    assert_eq!(world.balance(&org.key).await["usedCredits"], json!(0));
}

#[tokio::test]
async fn a_refund_of_credits_on_account_lowers_the_debt() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let terms = format!("/admin/v1/organisations/{}/post-paid", org.id);
    world.put(&terms, world.operator(), &json!({ "limit": 100 })).await.data();
    let paid = debit(&world, &org, json!({ "operation": "verification.standard", "quantity": 30 })).await;
    assert_eq!(paid["status"], json!("postPaid"));
    let back = refund(&world, &org, &paid, "technical_failure", Some(10)).await.created();
    assert_eq!(back["balance"]["postPaid"], json!({ "limit": 100, "outstanding": 20 }));
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 15 })).await;
    let back = refund(&world, &org, &paid, "technical_failure", None).await.created();
    assert_eq!(back["balance"]["postPaid"], json!({ "limit": 100, "outstanding": 0 }));
    assert_eq!(back["balance"]["purchasedCredits"], json!(15), "what a purchase had settled is purchased");
}

#[tokio::test]
async fn a_failure_reported_in_time_is_refunded_at_once() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let path = |line: &Value| {
        format!("/api/v3/credits/transactions/{}/fail", line["transactionId"].as_str().unwrap())
    };
    let body = json!({ "operation": "aml.pep", "settleBy": "2024-01-15T11:00:00Z" });
    let (paid, late) = (debit(&world, &org, body.clone()).await, debit(&world, &org, body).await);
    let without = debit(&world, &org, json!({ "operation": "aml.pep" })).await;
    assert_eq!(paid["settleBy"], json!("2024-01-15T11:00:00Z"));
    let keys = format!("/admin/v1/organisations/{}/keys", org.id);
    let issue = async |scopes: Value| {
        let body = json!({ "mode": "live", "scopes": scopes });
        world.post(&keys, world.operator(), &unique(), &body).await.created()["key"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let consumes = issue(json!(["credits:consume"])).await;
    let reads = issue(json!(["credits:read"])).await;
    let bare = |key: &str, path: &str| {
        world.request(http::Method::POST, path, key).header("Idempotency-Key", unique())
    };
    assert_eq!(tests::send(bare(&reads, &path(&paid))).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let back = tests::send(bare(&consumes, &path(&paid))).await.created();
    assert_eq!((&back["reason"], &back["amount"]), (&json!("technical_failure"), &json!(2)));
    assert_eq!(tests::send(bare(&consumes, &path(&paid))).await.failure(), "409 ALREADY_REFUNDED");
    let refused = json!({ "transactionId": late["transactionId"], "reason": "technical_failure" });
    assert_eq!(
        world.post(REFUND, &consumes, &unique(), &refused).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    assert_eq!(tests::send(bare(&org.key, &path(&without))).await.failure(), "422 REFUND_NOT_ELIGIBLE");
    let body = json!({ "operation": "aml.pep", "settleBy": "2024-01-15T11:00:00Z" });
    let first = world.consume(&org.key, "late", &body).await.created();
    go_to(&world, "2024-01-15T11:00:00Z").await;
    assert_eq!(world.consume(&org.key, "late", &body).await.created(), first);
    assert_eq!(tests::send(bare(&org.key, &path(&late))).await.failure(), "422 REFUND_NOT_ELIGIBLE");
    for wrong in ["2024-01-15T11:00:00Z", "2024-02-15T11:00:01Z", "tomorrow"] {
        let body = json!({ "operation": "aml.pep", "settleBy": wrong });
        let answer = world.consume(&org.key, &unique(), &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{wrong}");
        assert!(answer.body["error"]["details"]["fields"]["settleBy"].is_string(), "{:?}", answer.body);
    }
}

/// An operator may refund for any reason with a note, but never more than was debited.
#[tokio::test]
async fn an_operator_overrides_a_refusal_with_a_note() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let paid = debit(&world, &org, json!({ "operation": "verification.biometric" })).await;
    let path = format!("/admin/v1/organisations/{}/refunds", org.id);
    let body = |more: Value| {
        let mut body = json!({ "transactionId": paid["transactionId"], "reason": "poor_quality_document" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let post = async |body: Value| world.post(&path, world.operator(), &unique(), &body).await;
    assert_eq!(post(body(json!({}))).await.failure(), "400 VALIDATION_ERROR", "without a note");
    let back = post(body(json!({ "note": "Goodwill", "amount": 2 }))).await.created();
    assert_eq!((&back["description"], &back["amount"]), (&json!("Goodwill"), &json!(2)));
    assert!(back["superAdmin"].as_str().unwrap().starts_with("key_"));
    let more = post(body(json!({ "note": "More", "amount": 2 }))).await;
    assert_eq!(
        (more.failure().as_str(), &more.body["error"]["details"]["refundable"]),
        ("422 REFUND_NOT_ELIGIBLE", &json!(1))
    );
    assert_eq!(
        world.post(&path, &org.key, &unique(), &body(json!({ "note": "x" }))).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    let answer = receipt(&world, &org, &back).await;
    assert_eq!(line_of(&answer)["refundOf"], paid["transactionId"]);
    assert_eq!((&answer["keyId"], &answer["refundable"]), (&Value::Null, &Value::Null));
}

/// If the last of several equal charges was refunded, an earlier one counts as the paid one.
#[tokio::test]
async fn an_earlier_charge_pays_where_a_later_one_was_refunded() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let once = async |window: u32| {
        let body =
            json!({ "operation": "aml.pep", "resourceId": "a", "dedupe": { "windowSeconds": window } });
        world.consume(&org.key, &unique(), &body).await
    };
    let first = once(100).await.created();
    go_to(&world, "2024-01-15T10:30:50Z").await;
    let second = once(10).await.created();
    refund(&world, &org, &second, "technical_failure", None).await.created();
    let answer = once(1_000).await;
    assert_eq!((answer.status, &answer.data()["transactionId"]), (200, &first["transactionId"]));
    let body = json!({ "operation": "kyt.wallet", "resourceId": "w" });
    let hold = world.post("/api/v3/credits/holds", &org.key, &unique(), &body).await.created();
    let path = format!("/api/v3/credits/holds/{}/capture", hold["holdId"].as_str().unwrap());
    for _ in 0..2 {
        world.post(&path, &org.key, &unique(), &json!({ "amount": 1 })).await.created();
    }
    let part = world.transactions(&org.key, "operation=kyt.wallet").await[0].clone();
    assert_eq!(part["sources"], json!([{ "source": "subscription", "lotId": "sub_2024-01", "amount": 1 }]));
    let answer = refund(&world, &org, &part, "duplicate_operation", None).await;
    assert_eq!(answer.failure(), "422 REFUND_NOT_ELIGIBLE");
}
