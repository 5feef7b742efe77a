//! Orders: their identity, and concurrent copies of one order.

use std::thread;

use super::*;

/// Two accounts may use the same transaction id: account and transaction together identify a charge.
#[tokio::test]
async fn one_transaction_id_in_two_modes_is_two_purchases() {
    let (provider, live) = (TestBackend::default().provider(Vec::new()), order(1, "card_xyz123"));
    let mut test = live.clone();
    test.purchase.account.mode = Mode::Test;
    test.method = Reference::try_from("card_declined".to_owned()).unwrap();
    assert_eq!(answer(provider.charge(&live).await.map(Some)), "succeeded");
    assert_eq!(answer(provider.charge(&test).await.map(Some)), "failed card_declined generic_decline");
    assert_ne!(id_of(&provider, &live).await, id_of(&provider, &test).await);
}

#[test]
fn concurrent_copies_make_one_charge_with_one_result() {
    const COPIES: usize = 16;
    for (method, silent) in
        [("card_xyz123", 0), ("card_declined", 0), ("card_authentication", 0), ("card_timeout_charged", 1)]
    {
        let (backend, wanted) = (TestBackend::default(), order(1, method));
        let provider = backend.provider(Vec::new());
        let charge = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(provider.charge(&wanted))
        };
        let answers: Vec<_> = thread::scope(|scope| {
            let copies: Vec<_> = (0..COPIES).map(|_| scope.spawn(charge)).collect();
            copies.into_iter().map(|copy| copy.join().unwrap()).collect()
        });
        let payments: Vec<_> = answers.iter().flatten().collect();
        assert_eq!(payments.len(), COPIES - silent, "{method}");
        assert!(payments.iter().all(|payment| *payment == payments[0]), "{method}");
        assert_eq!((backend.stored().len(), backend.sent().len()), (1, 1), "{method}");
    }
}
