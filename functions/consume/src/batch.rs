//! Batches: up to 100 operations charged together.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::{BATCH_MAX, BatchItem, BatchOutcome, ClaimKey, Details, PriceList, Reference, Refusal};
use scrip_http::{
    ApiError, App, BATCH_BYTES_MAX, BalanceView, Caller, Distinct, IdempotencyHeader, Idempotent,
    RefusalView, Reply, SentBefore, TransactionView, may,
};
use serde::{Deserialize, Serialize};
use store::{Claim, Settled};
use utoipa::ToSchema;

use super::request::ConsumeRequest;

/// The maximum stored size of a batch's items in bytes: below DynamoDB's limit for an item. They are stored until all
/// rows are written.
const KEPT_BYTES_MAX: usize = 300_000;

/// Operations to charge together.
#[derive(Deserialize, ToSchema)]
#[schema(as = Batch)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "items": [{ "operation": "verification.standard", "resourceId": "verif_1" }, { "operation": "aml.pep", "resourceId": "verif_1" }],
    "mode": "atomic"
}))]
pub(super) struct BatchRequest {
    /// 1 to 100 requests, each as for a single consume, without `dedupe`.
    #[schema(min_items = 1, max_items = 100)]
    pub(super) items: Vec<ConsumeRequest>,
    /// atomic (default): all items are charged, or none. partial: each item is charged or refused by itself, in order.
    pub(super) mode: Option<BatchMode>,
}

impl Distinct for BatchRequest {
    const FIELD: &'static str = "items";
}

/// What happens if an item of a batch cannot be charged.
#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum BatchMode {
    /// No item is charged.
    #[default]
    Atomic,
    /// The other items are charged.
    Partial,
}

/// The result of each item, in order, and the balance after all of them.
#[derive(Serialize, ToSchema)]
struct Batched {
    results: Vec<BatchResult>,
    balance: BalanceView,
}

/// The result of one item.
#[derive(Serialize, ToSchema)]
struct BatchResult {
    /// approved or refused.
    status: &'static str,
    /// The item's transaction, if it was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<TransactionView>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RefusalView>,
}

/// A batch for the decision, and its items for the details.
pub(super) struct Priced {
    pub(super) request: domain::Batch,
    pub(super) items: Vec<BatchItem>,
}

/// Charges up to 100 operations at once under one Idempotency-Key, with one transaction for each charged item. A partial
/// batch is answered 201 also if items are refused.
#[utoipa::path(
    post,
    path = "/api/v3/credits/consume/batch",
    tag = "credits",
    params(IdempotencyHeader),
    request_body = BatchRequest,
    responses(
        (status = 201, body = Batched),
        (status = 402, description = "INSUFFICIENT_CREDITS, for an atomic batch: `details` has `required`, the price of all items, and `available`, the credits that the items could use, including the rest of the post-paid limit; nothing was charged"),
        (status = 403, description = "BUDGET_EXCEEDED: a budget has no room, `details` says which; PLAN_LIMIT_REACHED: this month's debits would exceed the safety limit of an unlimited plan; ORGANISATION_FROZEN"),
        (status = 413, description = "PAYLOAD_TOO_LARGE: more than 512 KiB"),
    ),
)]
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    caller: Caller<may::Spend>,
    intent: Idempotent<BatchRequest, BATCH_BYTES_MAX>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let BatchRequest { mut items, mode } = intent.body;
    for (place, item) in items.iter_mut().enumerate() {
        item.member_id = caller.counts_to(item.member_id.take(), &format!("items[{place}]."))?;
    }
    let mode = mode.unwrap_or_default();
    let checked = check(&app, &caller, &items).await;
    let sent = SentBefore { key: &intent.key, fingerprint: &intent.fingerprint };
    caller.unless_replayed(&app, sent, checked).await?;
    let asked = items;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let Priced { request, items } = priced(&asked, mode, &catalogue.prices, moment.now)?;
    let details = Details { items, ..caller.details() };
    if mode == BatchMode::Partial {
        // Items are refused one by one, so the account must be current.
        app.ledger.current(caller.account, moment).await?;
    }
    let key = ClaimKey::Caller(intent.key);
    let claim = Claim { key: &key, fingerprint: &intent.fingerprint, details: &details };
    let decide =
        |account: &domain::Account, attempt: &domain::Attempt| domain::batch(account, &request, attempt);
    let settled = app.ledger.spend(caller.account, claim, moment, decide).await?;
    Reply::created(&results(&settled, &asked), settled.replayed)
}

/// Checks the number of items, each item, and that their members are known where that is required.
pub(super) async fn check<S>(
    app: &App,
    caller: &Caller<S>,
    items: &[ConsumeRequest],
) -> Result<(), ApiError> {
    check_items(items, caller.call.moment.now)?;
    let members = items.iter().enumerate();
    let members =
        members.flat_map(|(place, item)| item.member(&format!("items[{place}].")).collect::<Vec<_>>());
    caller.knows_members(app, members).await
}

fn check_items(items: &[ConsumeRequest], now: DateTime<Utc>) -> Result<(), ApiError> {
    if !(1..=BATCH_MAX).contains(&items.len()) {
        return Err(ApiError::field("items", format!("must be 1 to {BATCH_MAX} items")));
    }
    items.iter().enumerate().try_for_each(|(place, item)| {
        if item.dedupe.is_some() {
            let problem = "is not supported in a batch; send this item by itself";
            return Err(ApiError::field(format!("items[{place}].dedupe"), problem));
        }
        item.check(&format!("items[{place}]."), now)
    })
}

/// The prices of the items. In a partial batch an item without a price is refused by itself.
pub(super) fn priced(
    asked: &[ConsumeRequest],
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
        items.push(BatchItem { operation: item.operation.clone(), amount, details });
        request.items.push(wanted);
    }
    let kept = serde_json::to_string(&items).map_or(usize::MAX, |text| text.len());
    if kept > KEPT_BYTES_MAX {
        let problem = format!(
            "the items have {kept} bytes of names and metadata, more than {KEPT_BYTES_MAX}; send fewer items at once"
        );
        return Err(ApiError::field("items", problem));
    }
    Ok(Priced { request, items })
}

fn results(settled: &Settled, asked: &[ConsumeRequest]) -> Batched {
    let lines = || std::iter::once(&settled.receipt).chain(&settled.more);
    let mut charged = lines();
    let result = |(part, item): (&BatchOutcome, &ConsumeRequest)| match part {
        BatchOutcome::Taken(_) => BatchResult {
            status: "approved",
            transaction: charged.next().map(TransactionView::from),
            error: None,
        },
        BatchOutcome::Short { required, available } => {
            let (required, available) = (*required, *available);
            refused(Refusal::InsufficientCredits { required, available, passed_over: vec![] })
        }
        BatchOutcome::Unpriced => refused(unpriced(&item.operation)),
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
    BatchResult { status: "refused", transaction: None, error: Some(RefusalView::item(refusal)) }
}
