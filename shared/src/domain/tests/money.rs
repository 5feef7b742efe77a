use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;

fn amount(count: u64) -> Amount {
    Amount::try_from(count).unwrap()
}

fn currency(code: &str) -> Currency {
    Currency::try_from(code.to_owned()).unwrap()
}

fn money(minor: u64, code: &str) -> Money {
    Money::new(minor, currency(code)).unwrap()
}

fn package(name: &str, count: u64, price: Money) -> Package {
    Package {
        package: PackageId(name.to_owned()),
        version: 1,
        name: name.to_owned(),
        credits: amount(count),
        price,
        withdrawn: false,
        effective_from: DateTime::UNIX_EPOCH,
    }
}

/// The seed's packages, in no order.
fn seed() -> PackageList {
    PackageList(vec![
        package("professional", 5_000, money(39_900, "GBP")),
        package("starter", 500, money(4_900, "GBP")),
        package("growth", 1_000, money(8_900, "GBP")),
    ])
}

#[test]
fn a_number_of_credits_costs_what_they_cost_in_the_largest_package_below() {
    for (credits, pence) in [
        (1, 10),
        (499, 4_890),
        (500, 4_900),
        (600, 5_880),
        (999, 9_790),
        (1_000, 8_900),
        (1_200, 10_680),
        (4_999, 44_491),
        (5_000, 39_900),
        (12_345, 98_513),
        // The most that one payment may be.
        (12_531_327, 99_999_989),
        (12_531_328, 99_999_997),
    ] {
        let offer = seed().amount(amount(credits), at(NOW)).unwrap();
        assert_eq!((offer.price, offer.credits), (money(pence, "GBP"), amount(credits)), "{credits}");
        assert_eq!((offer.package, offer.version), (None, 1), "{credits}");
    }
    for credits in [12_531_329, Amount::MAX] {
        assert_eq!(seed().amount(amount(credits), at(NOW)), Err(Refusal::PriceLimit), "{credits}");
    }
    assert_eq!(PackageList::default().amount(amount(1), at(NOW)), Err(Refusal::NothingOnSale));
}

#[test]
fn a_package_costs_its_price() {
    let name = |text: &str| Reference::try_from(text.to_owned()).unwrap();
    let offer = seed().whole(&name("growth"), at(NOW)).unwrap();
    let expected = Offer {
        credits: amount(1_000),
        price: money(8_900, "GBP"),
        package: Some(PackageId("growth".into())),
        version: 1,
    };
    assert_eq!(offer, expected);
    for unknown in ["Growth", "growth ", "huge"] {
        let told = seed().whole(&name(unknown), at(NOW));
        assert_eq!(told, Err(Refusal::UnknownPackage(name(unknown))));
    }
}

/// package; smallest => per credit, saving in per cent
#[test]
fn savings_are_computed() {
    for (credits, price, each, saving) in [
        (500, money(4_900, "GBP"), "0.098", "0"),
        (1_000, money(8_900, "GBP"), "0.089", "9.2"),
        (5_000, money(39_900, "GBP"), "0.0798", "18.6"),
        (1_000, money(9_800, "GBP"), "0.098", "0"),
        // Dearer is no saving, and pounds don't compare with euros.
        (1_000, money(9_900, "GBP"), "0.099", "0"),
        (1_000, money(8_900, "EUR"), "0.089", "0"),
        (1_000_000_000_000, money(1, "GBP"), "0", "100"),
        (3, money(1, "GBP"), "0.003333", "96.6"),
        // Yen have no minor unit, dinars have three decimals.
        (500, money(9_000, "JPY"), "18", "0"),
        (1_000, money(89_000, "KWD"), "0.089", "0"),
    ] {
        let sold = package("sold", credits, price);
        assert_eq!(sold.price.per_credit(sold.credits).to_string(), each, "{credits} for {price:?}");
        let starter = package("starter", 500, money(4_900, "GBP"));
        assert_eq!(sold.saving(&starter).to_string(), saving, "{credits} for {price:?}");
    }
}

#[test]
fn money_rates_and_currencies_are_checked_once_at_the_door() {
    let reads = |text: &str| serde_json::from_str::<Money>(text).is_ok();
    assert!(reads(r#"{"amount": 1, "currency": "GBP"}"#));
    assert!(reads(r#"{"amount": 99999999, "currency": "JPY"}"#));
    for wrong in [
        r#"{"amount": 0, "currency": "GBP"}"#,
        r#"{"amount": 100000000, "currency": "GBP"}"#,
        r#"{"amount": -1, "currency": "GBP"}"#,
        r#"{"amount": 1.5, "currency": "GBP"}"#,
        r#"{"amount": "1", "currency": "GBP"}"#,
        r#"{"amount": 1, "currency": "gbp"}"#,
        r#"{"amount": 1, "currency": "POUNDS"}"#,
        r#"{"amount": 1, "currency": "AAA"}"#,
        r#"{"amount": 1}"#,
        r#"{"amount": 1, "currency": "GBP", "tax": 0}"#,
    ] {
        assert!(!reads(wrong), "{wrong}");
    }
    let rate = |text: &str| Rate::try_from(text.parse::<Decimal>().unwrap()).is_ok();
    assert!(rate("1.17") && rate("0.000001") && rate("1000000") && rate("1.1000000000"));
    assert!(!rate("0") && !rate("-1") && !rate("0.0000001") && !rate("1000000.000001"));
    // A rate comes back from the table as it went there.
    for text in ["1.17", "0.000001", "999999.999999", "1000000", "123456.789012"] {
        let rate = Rate::try_from(text.parse::<Decimal>().unwrap()).unwrap();
        let stored = serde_json::to_string(&rate).unwrap();
        assert_eq!(serde_json::from_str::<Rate>(&stored).unwrap(), rate, "{text} as {stored}");
    }
}

#[test]
fn a_rate_says_nothing_about_the_way_back() {
    let (gbp, eur) = (currency("GBP"), currency("EUR"));
    let rate = Rate::try_from("1.17".parse::<Decimal>().unwrap()).unwrap();
    let rates = RateList::default().change(gbp, eur, rate).unwrap();
    assert_eq!(rates.rate(gbp, eur), Some(rate));
    assert_eq!((rates.rate(eur, gbp), rates.rate(eur, eur)), (None, Some(Rate::ONE)));
    assert_eq!(rates.change(gbp, gbp, rate), Err(BadChange::SameCurrency));
    assert_eq!(rates.iter().collect::<Vec<_>>(), [("GBP", "EUR", rate)]);
}

/// Packages of which a larger one never costs more per credit.
fn fair() -> impl Strategy<Value = PackageList> {
    let steps = proptest::collection::vec((1u64..2_000, 0u64..100), 1..6);
    (10u64..200, steps).prop_map(|(tenths, steps)| {
        let mut packages = Vec::new();
        let (mut credits, mut tenths) = (0, tenths);
        for (number, (more, less)) in (0..).zip(steps) {
            credits += more * 10;
            tenths = tenths.saturating_sub(less).max(1);
            let name = format!("p{number}");
            packages.push(package(&name, credits, money(credits / 10 * tenths, "GBP")));
        }
        PackageList(packages)
    })
}

proptest! {
    /// Whoever buys more at once pays no more for each, but for the rounding of each price to a whole
    /// minor unit, which is at most half of one.
    #[test]
    fn more_credits_at_once_never_cost_more_each(list in fair(), one in 1u64..30_000, more in 1u64..30_000) {
        let price = |credits: u64| list.amount(amount(credits), at(NOW)).unwrap().price.amount();
        let other = one + more;
        prop_assert!(
            2 * price(other) * one <= 2 * price(one) * other + one + other,
            "{one} for {}, {other} for {}", price(one), price(other)
        );
    }

    /// A price in proportion is the exact one to the nearest minor unit, and never nothing.
    #[test]
    fn a_price_in_proportion_is_off_by_half_a_minor_unit_at_most(
        minor in 1u64..=Money::MAX, credits in 1u64..=1_000_000, wanted in 1u64..=1_000_000,
    ) {
        let told = money(minor, "GBP").in_proportion(amount(wanted), amount(credits));
        let (exact, credits) = (u128::from(minor) * u128::from(wanted), u128::from(credits));
        let nearest = ((2 * exact + credits) / (2 * credits)).max(1);
        let expected = u64::try_from(nearest).ok().and_then(|nearest| Money::new(nearest, currency("GBP")).ok());
        prop_assert_eq!(told.ok(), expected);
    }
}
