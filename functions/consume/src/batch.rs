use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::{BATCH_MAX, ClaimKey, Details, Item, Part, PriceList, Reference, Refusal};
use scrip_http::{
    ApiError, App, BATCH_BYTES_MAX, Balance, Caller, Distinct, Intent, Refused, Reply, Transaction, may,
};
use serde::{Deserialize, Serialize};
use store::{Claim, Settled};
use utoipa::ToSchema;

use super::asked::Consume;

/// Bytes that the items of a batch may have when they are kept until all lines are written: what the
/// database takes in one piece, with room to spare.
const KEPT_BYTES_MAX: usize = 300_000;

/// Operations that are charged together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "items": [{ "operation": "verification.standard", "resourceId": "verif_1" }, { "operation": "aml.pep", "resourceId": "verif_1" }],
    "mode": "atomic"
}))]
pub(super) struct Batch {
    /// 1 to 100 requests, each as for a consume of its own, without `dedupe`.
    #[schema(min_items = 1, max_items = 100)]
    pub(super) items: Vec<Consume>,
    /// atomic (when left out): all are charged or none. partial: each is charged or refused by itself, in
    /// order.
    pub(super) mode: Option<BatchMode>,
}

impl Distinct for Batch {
    const FIELD: &'static str = "items";
}

/// What becomes of a batch of which an item can't be paid.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum BatchMode {
    /// Nothing is charged.
    #[default]
    Atomic,
    /// The others are charged.
    Partial,
}

/// What became of each item, in order, and the balance after all of them.
#[derive(Serialize, ToSchema)]
struct Batched {
    results: Vec<BatchResult>,
    balance: Balance,
}

/// What became of one item.
#[derive(Serialize, ToSchema)]
struct BatchResult {
    /// approved or refused.
    status: &'static str,
    /// The item's own line of the ledger, if it was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<Transaction>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refused>,
}

/// A batch as it is decided, and as it is told.
pub(super) struct Priced {
    pub(super) request: domain::Batch,
    pub(super) items: Vec<Item>,
}

/// Charges up to 100 operations at once, under one Idempotency-Key: one change of the account, and one line
/// of the ledger for each item. Of a partial batch the answer is 201 also where items are refused.
#[utoipa::path(
    post,
    path = "/api/v3/credits/consume/batch",
    tag = "credits",
    params(("Idempotency-Key" = String, Header, description = "Your name for this request, 1 to 255 visible ASCII characters")),
    request_body = Batch,
    responses(
        (status = 201, body = Batched),
        (status = 402, description = "INSUFFICIENT_CREDITS, for an atomic batch: `details` has `required`, the price of all items, and `available`, the credits that they could use, with what is left of the post-paid limit; nothing was charged"),
        (status = 403, description = "PLAN_LIMIT_REACHED: this month's debits would pass the safety limit of an unlimited plan; ORGANISATION_FROZEN"),
        (status = 413, description = "PAYLOAD_TOO_LARGE: over 512 KiB"),
    ),
)]
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    caller: Caller<may::Consume>,
    intent: Intent<Batch, BATCH_BYTES_MAX>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let Batch { items, mode } = intent.body;
    let mode = mode.unwrap_or_default();
    if let Err(problem) = check(&items, moment.now) {
        super::replays(&app, &caller, (&intent.key, &intent.fingerprint), problem).await?;
    }
    let asked = items;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let Priced { request, items } = priced(&asked, mode, &catalogue.prices, moment.now)?;
    let details = Details {
        items,
        key_id: Some(caller.key),
        request_id: Some(caller.call.id.to_string()),
        ..Details::default()
    };
    if mode == BatchMode::Partial {
        // Items are refused one by one, on an account that is known as it is.
        app.ledger.current(caller.account, moment).await?;
    }
    let key = ClaimKey::Caller(intent.key);
    let claim = Claim { key: &key, fingerprint: &intent.fingerprint, details: &details };
    let decide = |account: &domain::Account, head: &domain::Head| domain::batch(account, &request, head);
    let settled = app.ledger.spend(caller.account, claim, moment, decide).await?;
    Reply::created(&told(&settled, &asked), settled.replayed)
}

/// Whether there are as many items as there may be, and each reads as a request.
pub(super) fn check(items: &[Consume], now: DateTime<Utc>) -> Result<(), ApiError> {
    if !(1..=BATCH_MAX).contains(&items.len()) {
        return Err(ApiError::field("items", format!("must be 1 to {BATCH_MAX} items")));
    }
    items.iter().enumerate().try_for_each(|(place, item)| {
        if item.dedupe.is_some() {
            let problem = "a batch does not look for what was charged before; send this item by itself";
            return Err(ApiError::field(format!("items[{place}].dedupe"), problem));
        }
        item.check(&format!("items[{place}]."), now)
    })
}

/// What the items cost. One without a price is told by its result, unless all of them or none are charged.
pub(super) fn priced(
    asked: &[Consume],
    mode: BatchMode,
    prices: &PriceList,
    now: DateTime<Utc>,
) -> Result<Priced, ApiError> {
    let mut request = domain::Batch { items: vec![], atomic: mode == BatchMode::Atomic };
    let mut items = Vec::new();
    for item in asked {
        let (wanted, details) = match item.priced(prices, now) {
            Ok((wanted, details)) => (Some(wanted), details),
            Err(refusal) if mode == BatchMode::Atomic => return Err(refusal.into()),
            Err(_) => (None, item.details()),
        };
        let amount = wanted.as_ref().map(|wanted| wanted.amount);
        items.push(Item { operation: item.operation.clone(), amount, details });
        request.items.push(wanted);
    }
    let kept = serde_json::to_string(&items).map_or(usize::MAX, |text| text.len());
    if kept > KEPT_BYTES_MAX {
        let problem = format!(
            "the items have {kept} bytes of names and metadata, at most {KEPT_BYTES_MAX} go together; send fewer at once"
        );
        return Err(ApiError::field("items", problem));
    }
    Ok(Priced { request, items })
}

fn told(settled: &Settled, asked: &[Consume]) -> Batched {
    let lines = || std::iter::once(&settled.receipt).chain(&settled.more);
    let mut charged = lines();
    let result = |(part, item): (&Part, &Consume)| match part {
        Part::Taken(_) => BatchResult {
            status: "approved",
            transaction: charged.next().map(Transaction::from),
            error: None,
        },
        Part::Short { required, available } => {
            refused(Refusal::InsufficientCredits { required: *required, available: *available })
        }
        Part::Unpriced => refused(unpriced(&item.operation)),
    };
    let results = settled.receipt.entry.parts.iter().zip(asked).map(result).collect();
    let last = lines().next_back().unwrap_or(&settled.receipt);
    Batched { results, balance: last.into() }
}

/// Why an item without a price is refused.
pub(super) fn unpriced(operation: &Reference) -> Refusal {
    Refusal::UnknownOperation(operation.clone())
}

fn refused(refusal: Refusal) -> BatchResult {
    BatchResult { status: "refused", transaction: None, error: Some(Refused::item(refusal)) }
}
