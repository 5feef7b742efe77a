//! What holds of the simulated company whatever is done to it, by whom and in what order.

mod changes;
mod events;
mod memory;
mod orders;

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use domain::{AccountId, Currency, Mode, Money, Reference};

const URL: &str = "http://127.0.0.1:3000/_local/payments";

const SECRET: &str = "whsec_own";

/// What a company keeps and tells, and whether it can keep anything now.
#[derive(Clone, Default)]
struct Desk {
    kept: Arc<Mutex<Vec<Charge>>>,
    told: Arc<Mutex<Vec<Notice>>>,
    full: Arc<AtomicBool>,
}

impl Desk {
    /// A company that keeps and tells here, and comes after one that has kept `earlier`.
    fn company(&self, earlier: Vec<Charge>) -> Simulated {
        let (kept, full) = (self.kept.clone(), self.full.clone());
        let journal: Journal = Box::new(move |charge| {
            if full.load(Ordering::SeqCst) {
                return Err(std::io::Error::other("the disk is full"));
            }
            kept.lock().unwrap().push(charge.clone());
            Ok(())
        });
        let memory = Memory::Remembering { earlier, journal: Some(journal) };
        Simulated::new(memory, URL.to_owned(), Some(self.voice(SECRET)))
    }

    fn voice(&self, secret: &str) -> Voice {
        let told = self.told.clone();
        Voice {
            secret: secret.into(),
            listener: Box::new(move |notice| told.lock().unwrap().push(notice)),
            now: Box::new(now),
        }
    }

    fn kept(&self) -> Vec<Charge> {
        self.kept.lock().unwrap().clone()
    }

    fn told(&self) -> Vec<Notice> {
        self.told.lock().unwrap().clone()
    }
}

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn pounds(pence: u64) -> Money {
    Money::new(pence, Currency::GBP).unwrap()
}

/// The order of purchase `number`.
fn order(number: u32, method: &str) -> Order {
    let account = AccountId { org: OrgId::new(now(), 1), mode: Mode::Live };
    Order {
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

/// The id of the payment that an order has led to.
async fn id_of(company: &Simulated, order: &Order) -> PaymentId {
    company.find(order).await.unwrap().unwrap().id.unwrap()
}

fn standing(standing: &Standing) -> String {
    match standing {
        Standing::Succeeded => "succeeded".to_owned(),
        Standing::Processing => "processing".to_owned(),
        Standing::Action(_) => "action".to_owned(),
        Standing::Failed(decline) => {
            format!("failed {} {}", decline.reason, decline.decline_code.as_deref().unwrap_or("-"))
        }
        Standing::Cancelled => "cancelled".to_owned(),
        Standing::Refunded => "refunded".to_owned(),
    }
}

/// What a call was answered, in words.
fn answer(answer: Result<Option<Payment>, Silence>) -> String {
    match answer {
        Ok(Some(payment)) => standing(&payment.standing),
        Ok(None) => "none".to_owned(),
        Err(_) => "silence".to_owned(),
    }
}
