//! Tests of money, packages and offers.

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
        service: None,
        withdrawn: false,
        effective_from: DateTime::UNIX_EPOCH,
    }
}

/// The seed's packages, unordered.
fn seed() -> PackageList {
    PackageList(vec![
        package("professional", 5_000, money(39_900, "GBP")),
        package("starter", 500, money(4_900, "GBP")),
        package("growth", 1_000, money(8_900, "GBP")),
    ])
}

#[test]
fn an_amount_is_priced_by_the_largest_package_below_it() {
    for (credits, pence) in [
        (1, 10),
        (499, 4_891),
        (500, 4_900),
        (600, 5_880),
        (999, 9_791),
        (1_000, 8_900),
        (1_200, 10_680),
        (4_999, 44_492),
        (5_000, 39_900),
        (12_345, 98_514),
        // The maximum of one payment.
        (12_531_327, 99_999_990),
        (12_531_328, 99_999_998),
    ] {
        let offer = seed().amount(amount(credits), Currency::GBP, at(NOW)).unwrap();
        assert_eq!((offer.price, offer.credits), (money(pence, "GBP"), amount(credits)), "{credits}");
        assert_eq!((offer.package, offer.version), (None, 1), "{credits}");
    }
    for credits in [12_531_329, Amount::MAX] {
        assert_eq!(
            seed().amount(amount(credits), Currency::GBP, at(NOW)),
            Err(Refusal::PriceLimit),
            "{credits}"
        );
    }
    assert_eq!(PackageList::default().amount(amount(1), Currency::GBP, at(NOW)), Err(Refusal::NothingOnSale));
}

#[test]
fn a_package_costs_its_price() {
    let name = |text: &str| Reference::try_from(text.to_owned()).unwrap();
    let offer = seed().whole(&name("growth"), Currency::GBP, at(NOW)).unwrap();
    let expected = Offer {
        credits: amount(1_000),
        price: money(8_900, "GBP"),
        service: None,
        package: Some(PackageId("growth".into())),
        version: 1,
    };
    assert_eq!(offer, expected);
    for unknown in ["Growth", "growth ", "huge"] {
        let summary = seed().whole(&name(unknown), Currency::GBP, at(NOW));
        assert_eq!(summary, Err(Refusal::UnknownPackage(name(unknown))));
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
        // A higher price is no saving, and pounds are not compared with euros.
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
fn money_rates_and_currencies_are_validated_when_parsed() {
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
    // A rate is stored and read unchanged.
    for text in ["1.17", "0.000001", "999999.999999", "1000000", "123456.789012"] {
        let rate = Rate::try_from(text.parse::<Decimal>().unwrap()).unwrap();
        let stored = serde_json::to_string(&rate).unwrap();
        assert_eq!(serde_json::from_str::<Rate>(&stored).unwrap(), rate, "{text} as {stored}");
    }
}

#[test]
fn a_rate_does_not_imply_the_inverse_rate() {
    let (gbp, eur) = (currency("GBP"), currency("EUR"));
    let rate = Rate::try_from("1.17".parse::<Decimal>().unwrap()).unwrap();
    let rates = ExchangeRateList::default().change(gbp, eur, rate).unwrap();
    assert_eq!(rates.rate(gbp, eur), Some(rate));
    assert_eq!((rates.rate(eur, gbp), rates.rate(eur, eur)), (None, Some(Rate::ONE)));
    assert_eq!(rates.change(gbp, gbp, rate), Err(BadUpdate::SameCurrency));
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
    /// More credits at once never cost more per credit, except for the rounding up to a whole minor unit.
    #[test]
    fn larger_purchases_never_cost_more_per_credit(list in fair(), one in 1u64..30_000, more in 1u64..30_000) {
        let price = |credits: u64| list.amount(amount(credits), Currency::GBP, at(NOW)).unwrap().price.amount();
        let other = one + more;
        prop_assert!(
            price(other) * one < price(one) * other + one,
            "{one} for {}, {other} for {}", price(one), price(other)
        );
    }

    /// Two smaller purchases never cost less than one.
    #[test]
    fn splitting_a_purchase_is_never_cheaper(list in fair(), one in 1u64..30_000, other in 1u64..30_000) {
        let price = |credits: u64| list.amount(amount(credits), Currency::GBP, at(NOW)).unwrap().price.amount();
        prop_assert!(price(one) + price(other) >= price(one + other));
    }

    /// A price in proportion is the exact one, rounded up to a whole minor unit.
    #[test]
    fn a_price_in_proportion_is_rounded_up(
        minor in 1u64..=Money::MAX, credits in 1u64..=1_000_000, wanted in 1u64..=1_000_000,
    ) {
        let summary = money(minor, "GBP").in_proportion(amount(wanted), amount(credits));
        let (exact, credits) = (u128::from(minor) * u128::from(wanted), u128::from(credits));
        let up = exact / credits + u128::from(exact % credits > 0);
        let expected = u64::try_from(up).ok().and_then(|up| Money::new(up, currency("GBP")).ok());
        prop_assert_eq!(summary.ok(), expected);
    }
}

/// At £100 a million, 149 credits cost £0.02, and not £0.01 like 100.
#[test]
fn a_fraction_of_a_minor_unit_is_rounded_up() {
    let list = PackageList(vec![package("million", 1_000_000, money(10_000, "GBP"))]);
    for (credits, pence) in [(1, 1), (100, 1), (101, 2), (149, 2), (200, 2), (201, 3)] {
        let offer = list.amount(amount(credits), Currency::GBP, at(NOW)).unwrap();
        assert_eq!(offer.price.amount(), pence, "{credits}");
    }
}

/// packages as (credits, price), by name; wanted => price
#[test]
fn only_packages_in_the_organisations_currency_count() {
    let list = PackageList(vec![
        package("zulu", 500, money(4_900, "GBP")),
        package("alpha", 500, money(4_000, "GBP")),
        package("mike", 500, money(4_500, "GBP")),
        package("dollars", 499, money(6_200, "USD")),
        package("yen", 1, money(20, "JPY")),
    ]);
    let price = |credits, code: &str| {
        let offer = list.amount(amount(credits), currency(code), at(NOW))?;
        assert_eq!(offer.price.currency(), currency(code));
        Ok(offer.price.amount())
    };
    assert_eq!((price(499, "GBP"), price(500, "GBP"), price(1, "GBP")), (Ok(3_992), Ok(4_000), Ok(8)));
    assert_eq!((price(499, "USD"), price(499, "JPY")), (Ok(6_200), Ok(9_980)));
    assert_eq!(price(499, "EUR"), Err(Refusal::NothingOnSale));
    let named = |name: &str| Reference::try_from(name.to_owned()).unwrap();
    assert!(list.whole(&named("dollars"), currency("USD"), at(NOW)).is_ok());
    let (sold_in, pays_in) = (currency("USD"), Currency::GBP);
    let refused = Refusal::OtherCurrency { package: named("dollars"), sold_in, pays_in };
    assert_eq!(list.whole(&named("dollars"), pays_in, at(NOW)), Err(refused));
    let cheapest = list.cheapest(amount(300), Currency::GBP, at(NOW)).unwrap();
    assert_eq!(cheapest.package, Some(PackageId("alpha".into())));
    let listed: Vec<_> =
        list.on_sale_in(Currency::GBP, at(NOW)).into_iter().map(|sold| &sold.name[..]).collect();
    assert_eq!(listed, ["alpha", "mike", "zulu"]);
}

#[test]
fn metals_and_test_codes_are_not_payment_currencies() {
    let is_one = |code: &str| Currency::try_from(code.to_owned()).is_ok();
    for code in ["XXX", "XTS", "XAU", "XAG", "XPT", "XPD", "XDR", "XBA", "XUA", "XSU", "CLF", "CHE", "USN"] {
        assert!(!is_one(code), "{code}");
    }
    for code in ["GBP", "USD", "JPY", "KWD", "XAF", "XOF", "XPF", "XCD", "CLP", "CHF"] {
        assert!(is_one(code), "{code}");
    }
}

/// limit, price => the most that may already be spent
#[test]
fn a_price_must_fit_the_daily_spending_limit() {
    let limit = SpendingLimit::new(money(5_000, "GBP"));
    assert_eq!(limit.room_for(money(4_900, "GBP")), Some(100));
    assert_eq!(limit.room_for(money(5_000, "GBP")), Some(0));
    assert_eq!((limit.room_for(money(5_001, "GBP")), limit.room_for(money(1, "USD"))), (None, None));
    assert_eq!(SpendingLimit::of(currency("JPY")).per_day(), money(500_000, "JPY"));
}
