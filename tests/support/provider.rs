//! Faults of the payment provider: a connection on which one chosen call fails, or calls take long.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::OrgId;
use scrip_payments::{
    ChargeOrder, CustomerId, EventRejected, MoneyRefund, NoAnswer, Payment, PaymentId, Provider,
    ProviderEvent, RefundAnswer, Reversals, Simulated,
};
use tokio::sync::Barrier;
use tokio::time::sleep;

use crate::{Faults, TestProcess, WriteFault};

/// How a call of the payment provider fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// The request is lost.
    RequestLost,
    /// The call is made and its answer is lost.
    AnswerLost,
    /// The process dies before the call.
    CrashBefore,
    /// The process dies after the call.
    CrashAfter,
}

/// A fault and its place: the n-th write or the n-th call of the payment provider, counted from 0.
#[derive(Clone, Copy, Debug)]
pub enum FaultAt {
    /// A write.
    Write(usize, WriteFault),
    /// A call of the provider.
    Call(usize, CallFault),
}

impl FaultAt {
    /// Every fault at each of `writes` writes and `calls` calls.
    pub fn all(writes: usize, calls: usize) -> Vec<Self> {
        const CALLS: [CallFault; 4] =
            [CallFault::RequestLost, CallFault::AnswerLost, CallFault::CrashBefore, CallFault::CrashAfter];
        let writes = (0..writes).flat_map(|number| WriteFault::EACH.map(|kind| Self::Write(number, kind)));
        let calls = (0..calls).flat_map(|number| CALLS.map(|fault| Self::Call(number, fault)));
        writes.chain(calls).collect()
    }
}

/// A call of the provider, by its name in the `Provider` trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProviderCall {
    /// `create_customer`
    CreateCustomer,
    /// `charge`
    Charge,
    /// `find`
    Find,
    /// `cancel`
    Cancel,
    /// `refund`
    Refund,
    /// All others.
    Other,
}

/// Which part of a call takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// The request arrives late: a caller that gives up has not made the call.
    Request(Duration),
    /// The answer arrives late: a caller that gives up has made the call.
    Answer(Duration),
}

/// How long calls take, by the runtime's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallTimes {
    /// For every call but [`ProviderCall::CreateCustomer`], before it is made.
    pub(crate) every: Duration,
    late: BTreeMap<ProviderCall, Late>,
}

impl TestProcess {
    /// From now on exactly these calls of the provider are late.
    pub fn delay_calls(&self, late: &[(ProviderCall, Late)]) {
        self.latency.lock().unwrap().late = late.iter().copied().collect();
    }
}

/// The number of calls so far, and the call that is to fail.
pub(crate) type CallScript = (usize, Option<(usize, CallFault)>);

/// The simulated payment provider behind a connection on which one chosen call fails.
pub struct FlakyProvider {
    pub(crate) inner: Simulated,
    pub(crate) faults: Faults,
    pub(crate) script: Arc<Mutex<CallScript>>,
    pub(crate) meeting: Arc<Mutex<Option<Meeting>>>,
    pub(crate) latency: Arc<Mutex<CallTimes>>,
}

/// Delays each lookup of an order until a number of them wait, and counts those that went on.
#[derive(Clone)]
pub(crate) struct Meeting {
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) met: Arc<AtomicUsize>,
}

impl FlakyProvider {
    /// The fault of the next call.
    fn befalls(&self) -> Option<CallFault> {
        if self.faults.is_dead() {
            return Some(CallFault::CrashBefore);
        }
        let mut script = self.script.lock().unwrap();
        let number = script.0;
        script.0 = script.0.checked_add(1).unwrap();
        script.1.filter(|(wanted, _)| *wanted == number).map(|(_, fault)| fault)
    }

    /// Makes a call at its pace.
    async fn timed<T>(&self, of: ProviderCall, call: impl Future<Output = T> + Send) -> T {
        let late = self.latency.lock().unwrap().late.get(&of).copied();
        match late {
            None => call.await,
            Some(Late::Request(time)) => {
                sleep(time).await;
                call.await
            }
            Some(Late::Answer(time)) => {
                let answer = call.await;
                sleep(time).await;
                answer
            }
        }
    }

    async fn call<T>(
        &self,
        of: ProviderCall,
        call: impl Future<Output = Result<T, NoAnswer>> + Send,
    ) -> Result<T, NoAnswer> {
        let latency = self.latency.lock().unwrap().every;
        if !latency.is_zero() {
            sleep(latency).await;
        }
        self.timed(of, self.fallible(call)).await
    }

    async fn fallible<T>(
        &self,
        call: impl Future<Output = Result<T, NoAnswer>> + Send,
    ) -> Result<T, NoAnswer> {
        let lost = || NoAnswer("the connection was cut".to_owned());
        let fault = self.befalls();
        match fault {
            None => call.await,
            Some(CallFault::RequestLost) => Err(lost()),
            Some(CallFault::CrashBefore) => {
                self.faults.kill();
                Err(lost())
            }
            Some(CallFault::AnswerLost | CallFault::CrashAfter) => {
                call.await.ok();
                if fault == Some(CallFault::CrashAfter) {
                    self.faults.kill();
                }
                Err(lost())
            }
        }
    }
}

#[async_trait]
impl Provider for FlakyProvider {
    async fn create_customer(&self, org: OrgId, name: &str) -> Result<Option<CustomerId>, NoAnswer> {
        self.timed(ProviderCall::CreateCustomer, self.inner.create_customer(org, name)).await
    }

    async fn charge(&self, order: &ChargeOrder) -> Result<Payment, NoAnswer> {
        self.call(ProviderCall::Charge, self.inner.charge(order)).await
    }

    async fn find(&self, order: &ChargeOrder) -> Result<Option<Payment>, NoAnswer> {
        let meeting = self.meeting.lock().unwrap().clone();
        if let Some(Meeting { barrier, met }) = meeting {
            barrier.wait().await;
            met.fetch_add(1, Ordering::Relaxed);
        }
        self.call(ProviderCall::Find, self.inner.find(order)).await
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, NoAnswer> {
        self.call(ProviderCall::Other, self.inner.payment(id)).await
    }

    async fn cancel(&self, id: &PaymentId) -> Result<Payment, NoAnswer> {
        self.call(ProviderCall::Cancel, self.inner.cancel(id)).await
    }

    async fn refund(&self, id: &PaymentId) -> Result<(), NoAnswer> {
        self.call(ProviderCall::Refund, self.inner.refund(id)).await
    }

    async fn refund_part(&self, id: &PaymentId, refund: &MoneyRefund) -> Result<RefundAnswer, NoAnswer> {
        self.call(ProviderCall::Other, self.inner.refund_part(id, refund)).await
    }

    async fn reversals(&self, id: &PaymentId) -> Result<Option<Reversals>, NoAnswer> {
        self.call(ProviderCall::Other, self.inner.reversals(id)).await
    }

    async fn events_since(&self, since: DateTime<Utc>) -> Result<Vec<ProviderEvent>, NoAnswer> {
        self.call(ProviderCall::Other, self.inner.events_since(since)).await
    }

    async fn event(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<ProviderEvent>, EventRejected> {
        self.inner.event(signature, body, now).await
    }
}
