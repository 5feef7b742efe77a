//! The request for a debit.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{self, Details, Metadata, PriceList, Quantity, Reference, Refusal, SETTLE_DAYS_MAX, Service};
use scrip_http::{ApiError, Instant, timestamp};
use serde::Deserialize;
use store::DedupeKey;
use utoipa::ToSchema;

/// The operation to charge, and what it was for.
#[derive(Clone, Deserialize, ToSchema)]
#[schema(as = Consume)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "operation": "verification.standard", "resourceId": "verif_xyz789" }))]
pub(super) struct ConsumeRequest {
    /// An operation of the price list.
    #[schema(value_type = String)]
    pub(super) operation: Reference,
    /// The number of operations, 1 to 1,000,000; 1 if left out.
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 1_000_000)]
    pub(super) quantity: Option<Quantity>,
    /// Your name for the resource.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(super) resource_id: Option<Reference>,
    /// Your name for the customer.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(super) customer_id: Option<Reference>,
    /// Your name for the member of staff; the id of a member (`mem_…`) where your organisation requires known members.
    #[schema(value_type = Option<String>, max_length = 255)]
    pub(super) member_id: Option<Reference>,
    /// The service that was used: smartcheck, smartaccess, smartenroll, api or biometric. Credits reserved for it are spent
    /// first.
    #[schema(value_type = Option<String>)]
    pub(super) service: Option<Service>,
    /// Your own key and value pairs: at most 20, keys of 40 characters, values of 500 in one or several lines, 2 KB in all.
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub(super) metadata: Option<Metadata>,
    /// Until when you may report that the operation failed (`…/transactions/{id}/fail`) and get a refund at once: a time
    /// within the next 31 days.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) settle_by: Option<Instant>,
    /// Charges a repeated operation only once.
    pub(super) dedupe: Option<Dedupe>,
}

/// The same operation on the same `resourceId` for the same `customerId` (or none) is charged once within the window. Both
/// names are compared in Unicode's form NFC. Only requests with `dedupe` are compared, and a charge that was fully
/// refunded is ignored.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "a JSON object, {\"windowSeconds\": 1 to 2592000}"
)]
pub(super) struct Dedupe {
    /// The window in seconds after the charge, 1 to 2,592,000 (30 days).
    #[schema(minimum = 1, maximum = 2_592_000)]
    window_seconds: u32,
}

impl Dedupe {
    /// The longest window in seconds (seed: "isWithin30Days").
    const SECONDS_MAX: u32 = 30 * 86_400;
}

impl ConsumeRequest {
    /// Checks its fields against each other; `path` is its place in the body.
    pub(super) fn check(&self, path: &str, now: DateTime<Utc>) -> Result<(), ApiError> {
        let field = |name: &str, problem: String| ApiError::field(format!("{path}{name}"), problem);
        if let Some(Instant(end)) = self.settle_by {
            let last = now.checked_add_signed(TimeDelta::days(SETTLE_DAYS_MAX)).unwrap_or(now);
            if end <= now || last < end {
                let (now, last) = (timestamp::text(&now), timestamp::text(&last));
                return Err(field("settleBy", format!("must lie after {now} and no later than {last}")));
            }
        }
        if let Some(Dedupe { window_seconds }) = self.dedupe {
            if !(1..=Dedupe::SECONDS_MAX).contains(&window_seconds) {
                let problem = format!("must be a whole number from 1 to {}", Dedupe::SECONDS_MAX);
                return Err(field("dedupe.windowSeconds", problem));
            }
            if self.resource_id.is_none() {
                return Err(field("resourceId", "is required with dedupe, which compares it".to_owned()));
            }
        }
        Ok(())
    }

    /// Its member, with the path of the field; `path` is the request's place in the body.
    pub(super) fn member(&self, path: &str) -> impl Iterator<Item = (String, &Reference)> {
        self.member_id.iter().map(move |member| (format!("{path}memberId"), member))
    }

    /// The price, and the details of the transaction without the caller's.
    pub(super) fn priced(
        &self,
        prices: &PriceList,
        now: DateTime<Utc>,
    ) -> Result<(domain::Consume, Details), Refusal> {
        let quantity = self.quantity.unwrap_or(Quantity::ONE);
        let (operation, price) = prices.price(&self.operation, now)?;
        let request = domain::Consume::priced(operation, price, quantity, self.service)?;
        let category = prices.category(&request.operation);
        Ok((request, Details { price_version: Some(price.version), category, ..self.details() }))
    }

    pub(super) fn details(&self) -> Details {
        Details {
            quantity: Some(self.quantity.unwrap_or(Quantity::ONE)),
            resource_id: self.resource_id.clone(),
            customer_id: self.customer_id.clone(),
            member_id: self.member_id.clone(),
            service: self.service,
            settle_by: self.settle_by.map(|Instant(end)| end),
            metadata: self.metadata.clone().unwrap_or_default(),
            ..Details::default()
        }
    }

    /// What `dedupe` compares, if the request has it.
    pub(super) fn same<'a>(&'a self, request: &'a domain::Consume) -> Option<DedupeKey<'a>> {
        Some(DedupeKey {
            operation: &request.operation,
            resource: self.resource_id.as_ref()?,
            customer: self.customer_id.as_ref(),
            window_seconds: self.dedupe?.window_seconds,
        })
    }
}
