//! What parts of a lot cost.

use proptest::prelude::*;

use super::*;

fn price(minor: u64, amount: u64) -> LotPrice {
    LotPrice { cost: Cost { minor, currency: Currency::GBP }, amount: Credits::try_from(amount).unwrap() }
}

#[test]
fn the_largest_remainders_are_rounded_up() {
    for (minor, amount, credits, expected) in [
        (4_900, 500, vec![1, 2, 3], vec![10, 19, 29]),
        (100, 3, vec![1, 1, 1], vec![34, 33, 33]),
        (100, 3, vec![1, 1], vec![33, 33]),
        (100, 3, vec![2, -1], vec![67, -34]),
        (0, 10, vec![3, 4], vec![0, 0]),
        (100, 3, vec![], vec![]),
    ] {
        assert_eq!(price(minor, amount).share_out(&credits), expected, "{minor} for {amount}: {credits:?}");
    }
}

proptest! {
    #[test]
    fn parts_add_up_and_are_within_one_of_the_exact_cost(
        minor in 0..99_999_999_u64,
        amount in 1..1_000_000_u64,
        credits in prop::collection::vec(-1_000_000..1_000_000_i64, 0..20),
    ) {
        let parts = price(minor, amount).share_out(&credits);
        let exact = |credits: i64| i128::from(minor) * i128::from(credits);
        let (amount, all) = (i128::from(amount), credits.iter().sum::<i64>());
        prop_assert_eq!(parts.iter().map(|part| i128::from(*part)).sum::<i128>(), exact(all).div_euclid(amount));
        for (part, credits) in parts.iter().zip(credits) {
            let off = i128::from(*part) * amount - exact(credits);
            prop_assert!(-amount < off && off < amount, "{} for {}", part, credits);
        }
    }
}
