use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A journal in memory that can be out of order.
fn journal() -> (Arc<Mutex<Vec<Charge>>>, Arc<AtomicBool>, Journal) {
    let (lines, broken) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let (kept, fails) = (lines.clone(), broken.clone());
    let journal: Journal = Box::new(move |charge: &Charge| {
        if fails.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("the disk is full"));
        }
        kept.lock().unwrap().push(charge.clone());
        Ok(())
    });
    (lines, broken, journal)
}

#[tokio::test]
async fn what_was_kept_is_known_after_a_restart() {
    let (lines, _, kept) = journal();
    let memory = Memory::Remembering { earlier: Vec::new(), journal: Some(kept) };
    let company = Simulated::new(memory, URL.to_owned(), None);
    let methods = ["card_visa", "card_declined", "card_timeout_charged", "card_authentication", "card_mc"];
    for (number, method) in (1u128..).zip(methods) {
        company.charge(&order(method, number)).await.ok();
    }
    let id = |number| EntryId::new(now(), number);
    company.authenticate(id(4)).unwrap();
    company.dispute(id(1), DisputeAction::Open).unwrap();
    let refunded = company.find(&order("card_mc", 5)).await.unwrap().unwrap().id.unwrap();
    company.refund(&refunded).await.unwrap();
    let earlier = lines.lock().unwrap().clone();
    assert_eq!(earlier.len(), 8, "one line a change");
    let text = serde_json::to_string(&earlier).unwrap();
    let earlier: Vec<Charge> = serde_json::from_str(&text).unwrap();
    let (more, _, kept) = journal();
    let memory = Memory::Remembering { earlier, journal: Some(kept) };
    let again = Simulated::new(memory, URL.to_owned(), None);
    assert_eq!(again.charges(), company.charges());
    for (number, method) in (1u128..).zip(methods) {
        let order = order(method, number);
        let paid = again.charge(&order).await.unwrap();
        assert_eq!(company.find(&order).await.unwrap(), Some(paid), "{method}");
    }
    assert_eq!(*more.lock().unwrap(), [], "nothing was charged again");
}

/// A process that ends while a slow charge is made: the company goes on.
#[tokio::test]
async fn a_charge_that_was_being_made_is_made_when_the_company_is_asked_again() {
    let (lines, _, kept) = journal();
    let memory = Memory::Remembering { earlier: Vec::new(), journal: Some(kept) };
    let company = Simulated::new(memory, URL.to_owned(), None);
    let order = order("card_slow", 1);
    let sent = tokio::spawn({
        let (company, order) = (company.clone(), order.clone());
        async move { company.charge(&order).await }
    });
    while lines.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    sent.abort();
    let earlier = lines.lock().unwrap().clone();
    assert_eq!(earlier.last().unwrap().state, State::Processing);
    let again = Simulated::new(Memory::Remembering { earlier, journal: None }, URL.to_owned(), None);
    assert_eq!(found(&again.find(&order).await.unwrap()), "succeeded");
}

#[tokio::test]
async fn what_can_not_be_kept_is_not_done() {
    let (lines, broken, kept) = journal();
    let memory = Memory::Remembering { earlier: Vec::new(), journal: Some(kept) };
    let company = Simulated::new(memory, URL.to_owned(), None);
    broken.store(true, Ordering::Relaxed);
    company.charge(&order("card_visa", 1)).await.unwrap_err();
    assert_eq!(company.find(&order("card_visa", 1)).await.unwrap(), None);
    broken.store(false, Ordering::Relaxed);
    let id = company.charge(&order("card_visa", 1)).await.unwrap().id.unwrap();
    broken.store(true, Ordering::Relaxed);
    company.refund(&id).await.unwrap_err();
    let disputed = company.dispute(EntryId::new(now(), 1), DisputeAction::Open);
    assert!(matches!(disputed, Err(Undone::Silent(_))), "{disputed:?}");
    assert_eq!(*lines.lock().unwrap(), company.charges());
}
