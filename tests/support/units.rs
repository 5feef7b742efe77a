//! A meter of DynamoDB requests and units.

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::operation::{
    delete_item::{DeleteItemInput, DeleteItemOutput},
    get_item::{GetItemInput, GetItemOutput},
    put_item::{PutItemInput, PutItemOutput},
    query::{QueryInput, QueryOutput},
    transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
    update_item::{UpdateItemInput, UpdateItemOutput},
};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// The requests of a ledger to its table, and their units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    /// Requests.
    pub requests: u64,
    /// Read units.
    pub read: f64,
    /// Write units; at least one for a write whose condition fails.
    pub written: f64,
}

/// Counts the requests of one ledger to its table.
#[derive(Clone, Debug, Default)]
pub struct UnitMeter(Arc<Mutex<Units>>);

impl UnitMeter {
    /// The requests since the last call of this.
    pub fn take(&self) -> Units {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[dyn_dispatch_hint]
impl Intercept for UnitMeter {
    fn name(&self) -> &'static str {
        "UnitMeter"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (input, wanted) = (context.input_mut(), Some(ReturnConsumedCapacity::Total));
        if let Some(input) = input.downcast_mut::<GetItemInput>() {
            input.return_consumed_capacity = wanted;
        } else if let Some(input) = input.downcast_mut::<QueryInput>() {
            input.return_consumed_capacity = wanted;
        } else if let Some(input) = input.downcast_mut::<PutItemInput>() {
            input.return_consumed_capacity = wanted;
        } else if let Some(input) = input.downcast_mut::<UpdateItemInput>() {
            input.return_consumed_capacity = wanted;
        } else if let Some(input) = input.downcast_mut::<DeleteItemInput>() {
            input.return_consumed_capacity = wanted;
        } else if let Some(input) = input.downcast_mut::<TransactWriteItemsInput>() {
            input.return_consumed_capacity = wanted;
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.lock().unwrap().requests += 1;
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let cost = |cost: Option<&ConsumedCapacity>| cost.and_then(ConsumedCapacity::capacity_units).unwrap();
        let mut units = self.0.lock().unwrap();
        match context.output_or_error() {
            Ok(output) => {
                if let Some(output) = output.downcast_ref::<GetItemOutput>() {
                    units.read += cost(output.consumed_capacity());
                } else if let Some(output) = output.downcast_ref::<QueryOutput>() {
                    units.read += cost(output.consumed_capacity());
                } else if let Some(output) = output.downcast_ref::<PutItemOutput>() {
                    units.written += cost(output.consumed_capacity());
                } else if let Some(output) = output.downcast_ref::<UpdateItemOutput>() {
                    units.written += cost(output.consumed_capacity());
                } else if let Some(output) = output.downcast_ref::<DeleteItemOutput>() {
                    units.written += cost(output.consumed_capacity());
                } else if let Some(output) = output.downcast_ref::<TransactWriteItemsOutput>() {
                    units.written +=
                        output.consumed_capacity().iter().map(|table| cost(Some(table))).sum::<f64>();
                } else {
                    panic!("an unknown request: {output:?}");
                }
            }
            Err(_) => units.written += 1.0,
        }
        Ok(())
    }
}
