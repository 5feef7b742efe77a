//! Quotes: what a debit would cost, decided by the same rules.

use std::sync::Arc;

use axum::extract::State;
use domain::{Account, Amount, Attempt, BatchOutcome, Credits, Offer, PackageList, Posting, Refusal};
use scrip_http::{
    ApiError, App, BATCH_BYTES_MAX, Caller, Either, JsonBody, MoneyView, RefusalView, Reply, SourceShare, may,
};
use serde::Serialize;
use store::{Fault, Moment, Unsettled};
use utoipa::ToSchema;

use super::batch::{BatchRequest, Priced, check, priced, unpriced};
use super::request::ConsumeRequest;

/// The body of a consume, or that of a batch.
#[derive(ToSchema)]
#[schema(as = Wanted)]
#[serde(untagged)]
#[expect(dead_code, reason = "only the OpenAPI document uses it")]
enum QuoteRequest {
    One(Box<ConsumeRequest>),
    Many(BatchRequest),
}

/// What a request would cost now.
#[derive(Serialize, ToSchema)]
#[schema(as = Quote)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "amount": 3, "sources": [{ "source": "subscription", "lotId": "sub_2024-01", "amount": 3 }], "allowed": true,
    "priceVersion": 1, "balanceAfter": 397
}))]
struct QuoteView {
    /// The cost in credits; for a partial batch, what would be charged.
    amount: u64,
    /// The lots that would pay.
    sources: Vec<SourceShare>,
    /// Whether the whole request would be charged.
    allowed: bool,
    /// The version of the operation's price; null for a batch, whose items have one each.
    price_version: Option<u32>,
    /// Available credits after the charge, or now if nothing would be charged.
    balance_after: u64,
    /// The items of a batch, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<Vec<QuotedItem>>,
    /// The transaction that paid for the same operation, with `dedupe`.
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<String>,
    /// Why the request would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RefusalView>,
    /// How to get the missing credits, if credits are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    mend: Option<Mend>,
    /// Credits missing.
    #[serde(skip)]
    lacking: u64,
}

/// One item of a batch.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct QuotedItem {
    operation: String,
    /// The cost; null for an operation without a price.
    amount: Option<u64>,
    price_version: Option<u32>,
    /// Whether the item would be charged.
    allowed: bool,
    /// Why the item would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<RefusalView>,
}

/// A purchase that would bring the missing credits, if the organisation may make it now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Mend {
    /// purchase: this purchase is enough. none: no purchase that the organisation may make now is enough.
    action: &'static str,
    /// The number of missing credits.
    lacking: u64,
    /// The cheapest package that is enough; null if there is none that the organisation may buy now.
    package: Option<String>,
    /// The credits of the purchase; null without a purchase.
    credits: Option<u64>,
    /// The price of the purchase; null without a purchase.
    price: Option<MoneyView>,
    /// Why no purchase is enough: the limit of one payment, the daily spending limit, or nothing is on sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Quotes a consume or a batch: the cost now, the lots, the version of the price, and whether it would be charged; if not,
/// how to get the missing credits. The same rules decide as for the charge, and nothing is written.
#[utoipa::path(
    post,
    path = "/api/v3/credits/quote",
    tag = "credits",
    request_body = QuoteRequest,
    responses(
        (status = 200, body = QuoteView),
        (status = 413, description = "PAYLOAD_TOO_LARGE: more than 512 KiB"),
    ),
)]
pub(super) async fn quote(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    JsonBody(wanted): JsonBody<Either<ConsumeRequest, BatchRequest>, BATCH_BYTES_MAX>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let (account, mut quote) = match wanted {
        Either::One(one) => {
            super::check(&app, &caller, &one).await?;
            let (request, details) = one.priced(&catalogue.prices, moment.now)?;
            let rule = |account: &Account, attempt: &Attempt| domain::consume(account, &request, attempt);
            let account = app.ledger.projected_account(caller.account, moment, rule).await?;
            let mut quote = QuoteView::of(&account, moment, rule);
            quote.amount = request.amount.get();
            quote.price_version = details.price_version;
            if let Some(same) = one.same(&request)
                && let Some(paid) = app.ledger.paid_before(caller.account, same, moment).await?
            {
                let now = account.balance(moment.now).available().unwrap_or(Credits::MAX).get();
                quote = QuoteView {
                    duplicate_of: Some(paid.to_string()),
                    ..QuoteView::nothing(now, quote.price_version)
                };
            }
            (account, quote)
        }
        Either::Other(BatchRequest { items, mode }) => {
            check(&app, &caller, &items).await?;
            let priced = priced(&items, mode.unwrap_or_default(), &catalogue.prices, moment.now)?;
            let rule =
                |account: &Account, attempt: &Attempt| domain::batch(account, &priced.request, attempt);
            let account = app.ledger.projected_account(caller.account, moment, rule).await?;
            let quote = of_batch(&account, &priced, moment);
            (account, quote)
        }
    };
    if quote.lacking == 0 {
        return Reply::ok(&quote);
    }
    let lacking = quote.lacking(&account);
    let shortage = Shortage { packages: &catalogue.packages, lacking };
    let found = match affordable(&app, &account, shortage, moment).await {
        Ok(offer) => Ok(offer),
        Err(Unsettled::Refused(refusal)) => Err(refusal),
        Err(unsettled) => return Err(unsettled.into()),
    };
    quote.mend = Some(Mend::new(lacking, found));
    Reply::ok(&quote)
}

/// The credits that a request lacks, and the packages on sale.
struct Shortage<'a> {
    packages: &'a PackageList,
    lacking: u64,
}

/// What the organisation may buy now to get the missing credits: the cheapest package that is enough, else exactly that
/// number of credits. Refused if it may buy neither.
async fn affordable(
    app: &App,
    account: &Account,
    shortage: Shortage<'_>,
    moment: Moment,
) -> Result<Offer, Unsettled> {
    let Shortage { packages, lacking } = shortage;
    let lacking = Amount::try_from(lacking).map_err(|_| Refusal::PriceLimit)?;
    let organisation = app.settings.organisation(account.id.org, moment.wall).await?;
    let organisation =
        organisation.ok_or_else(|| Fault::corrupt("an account", "its organisation is gone"))?;
    let today = app.ledger.spending_today(account.id, &organisation, moment).await?;
    let may_buy = |offer: Offer| -> Result<Offer, Refusal> {
        domain::may_buy(account, &offer)?;
        today.fits(offer.price)?;
        Ok(offer)
    };
    let package = packages.cheapest(lacking, today.currency, moment.now).map(may_buy);
    let amount = || packages.amount(lacking, today.currency, moment.now).and_then(may_buy);
    Ok(package.and_then(Result::ok).map_or_else(amount, Ok)?)
}

fn of_batch(account: &Account, priced: &Priced, moment: Moment) -> QuoteView {
    let Priced { request, items } = priced;
    let mut quote =
        QuoteView::of(account, moment, |account, attempt| domain::batch(account, request, attempt));
    let one_by_one = domain::Batch { atomic: false, ..request.clone() };
    let parts = decide(account, moment, |account, attempt| domain::batch(account, &one_by_one, attempt));
    let parts = parts.map(|posting| posting.entry.parts).unwrap_or_default();
    let of_item = |(place, item): (usize, &domain::BatchItem)| {
        let error = match parts.get(place) {
            Some(BatchOutcome::Short { required, available }) => {
                let (required, available) = (*required, *available);
                Some(Refusal::InsufficientCredits { required, available, passed_over: vec![] })
            }
            Some(BatchOutcome::Unpriced) => Some(unpriced(&item.operation)),
            Some(BatchOutcome::Taken(_)) | None => None,
        };
        QuotedItem {
            operation: item.operation.as_str().to_owned(),
            amount: item.amount.map(Credits::get),
            price_version: item.details.price_version,
            allowed: error.is_none() && quote.error.is_none(),
            error: error.map(RefusalView::quoted),
        }
    };
    let quoted: Vec<_> = items.iter().enumerate().map(of_item).collect();
    let charged = |item: &domain::BatchItem, quoted: &QuotedItem| {
        item.amount.filter(|_| request.atomic || quoted.allowed)
    };
    let charged = items.iter().zip(&quoted).filter_map(|(item, quoted)| charged(item, quoted));
    quote.amount = charged.map(Credits::get).fold(0, u64::saturating_add);
    quote.allowed = quoted.iter().all(|item| item.allowed);
    quote.items = Some(quoted);
    let all_or_none =
        domain::Batch { atomic: true, items: request.items.iter().flatten().cloned().map(Some).collect() };
    let whole = decide(account, moment, |account, attempt| domain::batch(account, &all_or_none, attempt));
    quote.lacking = whole.err().as_ref().map_or(0, lacking);
    quote
}

fn decide(
    account: &Account,
    moment: Moment,
    decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal>,
) -> Result<Posting, Refusal> {
    decide(account, &Attempt::imagined(account, moment.now))
}

impl QuoteView {
    fn nothing(available: u64, price_version: Option<u32>) -> Self {
        Self {
            amount: 0,
            sources: vec![],
            allowed: true,
            price_version,
            balance_after: available,
            items: None,
            duplicate_of: None,
            error: None,
            mend: None,
            lacking: 0,
        }
    }

    fn of(
        account: &Account,
        moment: Moment,
        rule: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal>,
    ) -> Self {
        let available =
            |account: &Account| account.balance(moment.now).available().unwrap_or(Credits::MAX).get();
        match decide(account, moment, rule) {
            Ok(posting) => {
                let after = account.clone().apply(&posting);
                let sources = posting.entry.moves.iter().map(SourceShare::from).collect();
                let after = after.as_ref().map_or_else(|| available(account), available);
                Self { sources, ..Self::nothing(after, None) }
            }
            Err(refusal) => {
                let lacking = lacking(&refusal);
                let nothing = Self::nothing(available(account), None);
                Self { allowed: false, error: Some(RefusalView::quoted(refusal)), lacking, ..nothing }
            }
        }
    }

    /// Credits to buy: the missing ones, and the debt that a purchase settles first.
    fn lacking(&self, account: &Account) -> u64 {
        let owed = account.post_paid.outstanding.less(account.post_paid.limit).unwrap_or_default();
        self.lacking.saturating_add(owed.get())
    }
}

impl Mend {
    fn new(lacking: u64, found: Result<Offer, Refusal>) -> Self {
        match found {
            Ok(offer) => Self {
                action: "purchase",
                lacking,
                package: offer.package.map(|package| package.0),
                credits: Some(u64::from(offer.credits)),
                price: Some(offer.price.into()),
                reason: None,
            },
            Err(refusal) => Self {
                action: "none",
                lacking,
                package: None,
                credits: None,
                price: None,
                reason: Some(refusal.to_string()),
            },
        }
    }
}

/// The credits that a refused request lacks.
fn lacking(refusal: &Refusal) -> u64 {
    if let Refusal::InsufficientCredits { required, available, .. } = refusal {
        required.less(*available).unwrap_or_default().get()
    } else {
        0
    }
}
