//! Counts the requests and request units that each route uses in the database (`GET /_local/capacity`).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::operation::{
    delete_item::{DeleteItemInput, DeleteItemOutput},
    get_item::{GetItemInput, GetItemOutput},
    put_item::{PutItemInput, PutItemOutput},
    query::{QueryInput, QueryOutput},
    transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
    update_item::{UpdateItemInput, UpdateItemOutput},
};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextRef, Input, Output,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use serde::Serialize;

tokio::task_local! {
    /// The route that the present task answers.
    pub(crate) static ROUTE: String;
}

/// The counts of all routes. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter {
    counts: Arc<Mutex<BTreeMap<String, RouteCapacity>>>,
    /// How many calls there were since the machine started.
    calls: Arc<AtomicU64>,
}

/// What one route has used.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RouteCapacity {
    /// Calls of the route.
    pub(crate) calls: u64,
    /// Requests to the database, including retries.
    pub(crate) requests: u64,
    /// Read request units: 4 KB each, half for a read that may be stale.
    pub(crate) read_units: f64,
    /// Write request units: 1 KB each.
    pub(crate) write_units: f64,
    /// The write units of writes whose condition failed. Their number differs between runs where two writes race.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) vain_write_units: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(units: &f64) -> bool {
    *units == 0.0
}

impl Meter {
    pub(crate) fn counts(&self) -> BTreeMap<String, RouteCapacity> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reset(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn calls(&self) -> Arc<AtomicU64> {
        self.calls.clone()
    }

    pub(crate) fn called(&self, route: &str) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.add(route, |count| count.calls = count.calls.saturating_add(1));
    }

    fn add(&self, route: &str, change: impl FnOnce(&mut RouteCapacity)) {
        change(
            self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(route.to_owned()).or_default(),
        );
    }

    /// Adds to what the present route has used, or to the settings' own count: how often they are read depends on the time
    /// that passes, and not on the route.
    fn add_here(&self, config: &ConfigBag, change: impl FnOnce(&mut RouteCapacity)) {
        if config.load::<AboutSettings>().is_some() {
            return self.add("settings", change);
        }
        let route = ROUTE.try_with(Clone::clone).unwrap_or_else(|_| "background".to_owned());
        self.add(&route, change);
    }
}

#[dyn_dispatch_hint]
impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if is_about_settings(context.input()) {
            config.interceptor_state().store_put(AboutSettings);
        }
        request_units(context.input_mut());
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.add_here(config, |count| count.requests = count.requests.saturating_add(1));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (read, written, in_vain) = match context.output_or_error() {
            Ok(output) => {
                let (read, written) = units(output);
                (read, written, 0.0)
            }
            // A write whose condition fails costs as much as if it had landed: at least one unit. DynamoDB does not say
            // how much.
            Err(error) => match error.as_operation_error() {
                Some(error) if format!("{error:?}").contains("ConditionalCheckFailed") => (0.0, 1.0, 1.0),
                Some(_) | None => (0.0, 0.0, 0.0),
            },
        };
        #[expect(
            clippy::float_arithmetic,
            reason = "request units come in halves, which f64 adds without error"
        )]
        self.add_here(config, |count| {
            count.read_units += read;
            count.write_units += written;
            count.vain_write_units += in_vain;
        });
        Ok(())
    }
}

/// Marks a request for which [`is_about_settings`] holds.
#[derive(Debug)]
struct AboutSettings;

impl Storable for AboutSettings {
    type Storer = StoreReplace<Self>;
}

/// Whether a request asks which settings have changed (at most once in five seconds), writes when a key was last used (once
/// a day), or takes requests of a limit.
fn is_about_settings(input: &Input) -> bool {
    let partition =
        |item: Option<&HashMap<String, AttributeValue>>| match item.and_then(|item| item.get("pk")) {
            Some(AttributeValue::S(partition)) => {
                partition == "CHANGES" || ["USED#", "RATE#"].iter().any(|begin| partition.starts_with(begin))
            }
            Some(_) | None => false,
        };
    let read = input.downcast_ref::<GetItemInput>().map(|get| partition(get.key()));
    let written = input.downcast_ref::<PutItemInput>().map(|put| partition(put.item()));
    let counted = input.downcast_ref::<UpdateItemInput>().map(|update| partition(update.key()));
    read.or(written).or(counted).unwrap_or_default()
}

/// Makes a request return its cost, whatever its operation.
fn request_units(input: &mut Input) {
    let wanted = Some(ReturnConsumedCapacity::Total);
    if let Some(input) = input.downcast_mut::<GetItemInput>() {
        input.return_consumed_capacity = wanted;
    } else if let Some(input) = input.downcast_mut::<PutItemInput>() {
        input.return_consumed_capacity = wanted;
    } else if let Some(input) = input.downcast_mut::<UpdateItemInput>() {
        input.return_consumed_capacity = wanted;
    } else if let Some(input) = input.downcast_mut::<DeleteItemInput>() {
        input.return_consumed_capacity = wanted;
    } else if let Some(input) = input.downcast_mut::<QueryInput>() {
        input.return_consumed_capacity = wanted;
    } else if let Some(input) = input.downcast_mut::<TransactWriteItemsInput>() {
        input.return_consumed_capacity = wanted;
    }
}

/// The read and write units that an answer reports.
fn units(output: &Output) -> (f64, f64) {
    let of = |cost: Option<&ConsumedCapacity>| cost.and_then(ConsumedCapacity::capacity_units).unwrap_or(0.0);
    if let Some(output) = output.downcast_ref::<GetItemOutput>() {
        (of(output.consumed_capacity()), 0.0)
    } else if let Some(output) = output.downcast_ref::<QueryOutput>() {
        (of(output.consumed_capacity()), 0.0)
    } else if let Some(output) = output.downcast_ref::<PutItemOutput>() {
        (0.0, of(output.consumed_capacity()))
    } else if let Some(output) = output.downcast_ref::<UpdateItemOutput>() {
        (0.0, of(output.consumed_capacity()))
    } else if let Some(output) = output.downcast_ref::<DeleteItemOutput>() {
        (0.0, of(output.consumed_capacity()))
    } else if let Some(output) = output.downcast_ref::<TransactWriteItemsOutput>() {
        (0.0, output.consumed_capacity().iter().map(|cost| of(Some(cost))).sum())
    } else {
        (0.0, 0.0)
    }
}
