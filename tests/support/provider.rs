use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::OrgId;
use scrip_payments::{
    CustomerId, Event, MoneyRefund, Order, Payment, PaymentId, Provider, RefundAnswer, Refused, Reversals,
    Silence, Simulated,
};
use tokio::sync::Barrier;

use crate::{Faults, Kind};

/// What befalls a call of the payment company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankFault {
    /// It does not arrive.
    RequestLost,
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// The process dies before it.
    CrashBefore,
    /// The process dies after it.
    CrashAfter,
}

/// Where something goes wrong: the n-th write or the n-th call of the payment company, counted from 0.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A write.
    Write(usize, Kind),
    /// A call of the payment company.
    Call(usize, BankFault),
}

impl Fault {
    /// Everything that can go wrong in so many writes and calls.
    pub fn all(writes: usize, calls: usize) -> Vec<Self> {
        const KINDS: [Kind; 6] = [
            Kind::CrashBefore,
            Kind::CrashAfter,
            Kind::AnswerLost,
            Kind::RequestLost,
            Kind::Throttled,
            Kind::ServerError,
        ];
        const CALLS: [BankFault; 4] =
            [BankFault::RequestLost, BankFault::AnswerLost, BankFault::CrashBefore, BankFault::CrashAfter];
        let writes = (0..writes).flat_map(|number| KINDS.map(|kind| Self::Write(number, kind)));
        let calls = (0..calls).flat_map(|number| CALLS.map(|fault| Self::Call(number, fault)));
        writes.chain(calls).collect()
    }
}

/// How many calls there were, and which of them is to go wrong.
pub(crate) type Script = (usize, Option<(usize, BankFault)>);

/// The simulated payment company at the end of a wire on which one call can be made to go wrong.
pub struct Bank {
    pub(crate) inner: Simulated,
    pub(crate) faults: Faults,
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) meeting: Arc<Mutex<Option<Meeting>>>,
}

/// Holds back each question for an order until a number of them wait, and counts those that went on.
#[derive(Clone)]
pub(crate) struct Meeting {
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) met: Arc<AtomicUsize>,
}

impl Bank {
    /// What befalls the next call.
    fn befalls(&self) -> Option<BankFault> {
        if self.faults.is_dead() {
            return Some(BankFault::CrashBefore);
        }
        let mut script = self.script.lock().unwrap();
        let number = script.0;
        script.0 = script.0.checked_add(1).unwrap();
        script.1.filter(|(wanted, _)| *wanted == number).map(|(_, fault)| fault)
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, Silence>> + Send) -> Result<T, Silence> {
        let lost = || Silence("the wire was cut".to_owned());
        let fault = self.befalls();
        match fault {
            None => call.await,
            Some(BankFault::RequestLost) => Err(lost()),
            Some(BankFault::CrashBefore) => {
                self.faults.kill();
                Err(lost())
            }
            Some(BankFault::AnswerLost | BankFault::CrashAfter) => {
                call.await.ok();
                if fault == Some(BankFault::CrashAfter) {
                    self.faults.kill();
                }
                Err(lost())
            }
        }
    }
}

#[async_trait]
impl Provider for Bank {
    async fn enrol(&self, org: OrgId, name: &str) -> Result<Option<CustomerId>, Silence> {
        self.inner.enrol(org, name).await
    }

    async fn charge(&self, order: &Order) -> Result<Payment, Silence> {
        self.call(self.inner.charge(order)).await
    }

    async fn find(&self, order: &Order) -> Result<Option<Payment>, Silence> {
        let meeting = self.meeting.lock().unwrap().clone();
        if let Some(Meeting { barrier, met }) = meeting {
            barrier.wait().await;
            met.fetch_add(1, Ordering::Relaxed);
        }
        self.call(self.inner.find(order)).await
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, Silence> {
        self.call(self.inner.payment(id)).await
    }

    async fn cancel(&self, id: &PaymentId) -> Result<Payment, Silence> {
        self.call(self.inner.cancel(id)).await
    }

    async fn refund(&self, id: &PaymentId) -> Result<(), Silence> {
        self.call(self.inner.refund(id)).await
    }

    async fn refund_part(&self, id: &PaymentId, refund: &MoneyRefund) -> Result<RefundAnswer, Silence> {
        self.call(self.inner.refund_part(id, refund)).await
    }

    async fn reversals(&self, id: &PaymentId) -> Result<Option<Reversals>, Silence> {
        self.call(self.inner.reversals(id)).await
    }

    async fn events_since(&self, since: DateTime<Utc>) -> Result<Vec<Event>, Silence> {
        self.call(self.inner.events_since(since)).await
    }

    async fn event(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<Event>, Refused> {
        self.inner.event(signature, body, now).await
    }
}
