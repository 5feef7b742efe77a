//! Properties of the simulated provider for any order of changes.

mod changes;
mod events;
mod memory;
mod orders;

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::*;
use crate::PurchaseId;
use domain::{AccountId, Currency, Mode, Money, Reference};

const URL: &str = "http://127.0.0.1:3000/_local/payments";

const SECRET: &str = "whsec_own";

/// The journal and the events of a provider, with a switch that makes the journal fail.
#[derive(Clone, Default)]
struct TestBackend {
    stored: Arc<Mutex<Vec<SimulatedCharge>>>,
    sent: Arc<Mutex<Vec<SignedEvent>>>,
    full: Arc<AtomicBool>,
}

impl TestBackend {
    /// A provider that uses this journal and these events, with the charges of an earlier process.
    fn provider(&self, earlier: Vec<SimulatedCharge>) -> Simulated {
        let (stored, full) = (self.stored.clone(), self.full.clone());
        let journal: Journal = Box::new(move |charge| {
            if full.load(Ordering::SeqCst) {
                return Err(std::io::Error::other("the disk is full"));
            }
            stored.lock().unwrap().push(charge.clone());
            Ok(())
        });
        let memory = ChargeMemory::Complete { earlier, journal: Some(journal) };
        Simulated::new(memory, URL.to_owned(), Some(self.sender(SECRET)))
    }

    fn sender(&self, secret: &str) -> EventSender {
        let sent = self.sent.clone();
        EventSender {
            secret: secret.into(),
            listener: Box::new(move |notice| sent.lock().unwrap().push(notice)),
            now: Box::new(now),
        }
    }

    fn stored(&self) -> Vec<SimulatedCharge> {
        self.stored.lock().unwrap().clone()
    }

    fn sent(&self) -> Vec<SignedEvent> {
        self.sent.lock().unwrap().clone()
    }
}

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn pounds(pence: u64) -> Money {
    Money::new(pence, Currency::GBP).unwrap()
}

/// The order for purchase `number`.
fn order(number: u32, method: &str) -> ChargeOrder {
    let account = AccountId { org: OrgId::new(now(), 1), mode: Mode::Live };
    ChargeOrder {
        purchase: PurchaseId { account, transaction: EntryId::new(now(), number.into()) },
        customer: None,
        method: Reference::try_from(method.to_owned()).unwrap(),
        price: pounds(4900),
        description: "100 credits".to_owned(),
        off_session: false,
        made_at: now(),
        payment: None,
    }
}

/// The id of an order's payment.
async fn id_of(provider: &Simulated, order: &ChargeOrder) -> PaymentId {
    provider.find(order).await.unwrap().unwrap().id.unwrap()
}

fn status(status: &PaymentStatus) -> String {
    match status {
        PaymentStatus::Succeeded => "succeeded".to_owned(),
        PaymentStatus::Processing => "processing".to_owned(),
        PaymentStatus::Action(_) => "action".to_owned(),
        PaymentStatus::Failed(decline) => {
            format!("failed {} {}", decline.reason, decline.decline_code.as_deref().unwrap_or("-"))
        }
        PaymentStatus::Cancelled => "cancelled".to_owned(),
        PaymentStatus::Refunded => "refunded".to_owned(),
    }
}

/// The result of a call as text.
fn answer(answer: Result<Option<Payment>, NoAnswer>) -> String {
    match answer {
        Ok(Some(payment)) => status(&payment.status),
        Ok(None) => "none".to_owned(),
        Err(_) => "no_answer".to_owned(),
    }
}
