//! The journal of the simulated provider.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A journal in memory, with a switch that makes it fail.
fn journal() -> (Arc<Mutex<Vec<SimulatedCharge>>>, Arc<AtomicBool>, Journal) {
    let (lines, broken) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
    let (kept, fails) = (lines.clone(), broken.clone());
    let journal: Journal = Box::new(move |charge: &SimulatedCharge| {
        if fails.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("the disk is full"));
        }
        kept.lock().unwrap().push(charge.clone());
        Ok(())
    });
    (lines, broken, journal)
}

#[tokio::test]
async fn stored_charges_are_known_after_a_restart() {
    let (lines, _, kept) = journal();
    let memory = ChargeMemory::Complete { earlier: Vec::new(), journal: Some(kept) };
    let provider = Simulated::new(memory, URL.to_owned(), None);
    let methods = ["card_visa", "card_declined", "card_timeout_charged", "card_authentication", "card_mc"];
    for (number, method) in (1u128..).zip(methods) {
        provider.charge(&order(method, number)).await.ok();
    }
    let id = |number| EntryId::new(now(), number);
    provider.authenticate(id(4)).unwrap();
    provider.dispute(id(1), DisputeAction::Open).unwrap();
    let refunded = provider.find(&order("card_mc", 5)).await.unwrap().unwrap().id.unwrap();
    provider.refund(&refunded).await.unwrap();
    let earlier = lines.lock().unwrap().clone();
    assert_eq!(earlier.len(), 8, "one line per change");
    let text = serde_json::to_string(&earlier).unwrap();
    let earlier: Vec<SimulatedCharge> = serde_json::from_str(&text).unwrap();
    let (more, _, kept) = journal();
    let memory = ChargeMemory::Complete { earlier, journal: Some(kept) };
    let again = Simulated::new(memory, URL.to_owned(), None);
    assert_eq!(again.charges(), provider.charges());
    for (number, method) in (1u128..).zip(methods) {
        let order = order(method, number);
        let paid = again.charge(&order).await.unwrap();
        assert_eq!(provider.find(&order).await.unwrap(), Some(paid), "{method}");
    }
    assert_eq!(*more.lock().unwrap(), [], "nothing was charged again");
}

/// A slow charge is finished although its process ended.
#[tokio::test]
async fn a_charge_in_progress_is_finished_after_a_restart() {
    let (lines, _, kept) = journal();
    let memory = ChargeMemory::Complete { earlier: Vec::new(), journal: Some(kept) };
    let provider = Simulated::new(memory, URL.to_owned(), None);
    let order = order("card_slow", 1);
    let sent = tokio::spawn({
        let (provider, order) = (provider.clone(), order.clone());
        async move { provider.charge(&order).await }
    });
    while lines.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    sent.abort();
    let earlier = lines.lock().unwrap().clone();
    assert_eq!(earlier.last().unwrap().state, ChargeState::Processing);
    let again = Simulated::new(ChargeMemory::Complete { earlier, journal: None }, URL.to_owned(), None);
    assert_eq!(found(&again.find(&order).await.unwrap()), "succeeded");
}

#[tokio::test]
async fn a_change_that_cannot_be_stored_is_not_made() {
    let (lines, broken, kept) = journal();
    let memory = ChargeMemory::Complete { earlier: Vec::new(), journal: Some(kept) };
    let provider = Simulated::new(memory, URL.to_owned(), None);
    broken.store(true, Ordering::Relaxed);
    provider.charge(&order("card_visa", 1)).await.unwrap_err();
    assert_eq!(provider.find(&order("card_visa", 1)).await.unwrap(), None);
    broken.store(false, Ordering::Relaxed);
    let id = provider.charge(&order("card_visa", 1)).await.unwrap().id.unwrap();
    broken.store(true, Ordering::Relaxed);
    provider.refund(&id).await.unwrap_err();
    let disputed = provider.dispute(EntryId::new(now(), 1), DisputeAction::Open);
    assert!(matches!(disputed, Err(ChargeChangeError::Silent(_))), "{disputed:?}");
    assert_eq!(*lines.lock().unwrap(), provider.charges());
}
