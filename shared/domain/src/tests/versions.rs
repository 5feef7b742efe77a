//! Tests of versions in the catalogue.

use proptest::prelude::*;

use super::*;

/// Days of the tables below, counted from a Monday.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn day(name: &str) -> DateTime<Utc> {
    let number = DAYS.iter().position(|known| *known == name).unwrap();
    at("2024-01-01T00:00:00Z") + chrono::Duration::days(i64::try_from(number).unwrap())
}

fn operation(name: &str) -> Operation {
    Operation::try_from(name.to_owned()).unwrap()
}

fn price(count: u64) -> PriceUpdate {
    PriceUpdate { credits: credits(count), category: Some(PriceCategory::Aml), monthly: None }
}

/// The price list after changes of one operation such as `mon: 2 from wed` or, immediately, `mon: 2`; and the
/// answer to the last: `v2 2 wed`.
fn changed(line: &str) -> (PriceList, String) {
    let (mut list, mut summary) = (PriceList::default(), String::new());
    for change in line.split(", ") {
        let words: Vec<_> = change.split([':', ' ']).filter(|word| !word.is_empty()).collect();
        let asked = words.get(3).map(|name| day(name));
        let when = EffectiveTime::new(asked, day(words[0]) + chrono::Duration::milliseconds(700));
        summary = match list.change(&operation("aml.pep"), price(words[1].parse().unwrap()), when) {
            Ok((next, listed)) => {
                list = next;
                let ListedPrice { price, .. } = listed;
                let since = DAYS.iter().find(|name| day(name) == price.effective_from).unwrap();
                format!("v{} {} {since}", price.version, price.credits.get())
            }
            Err(reason) => reason.to_string(),
        };
    }
    (list, summary)
}

/// changes => answer to the last; credits on each day of the week; the next price on Monday
#[test]
fn the_latest_version_that_has_begun_is_effective() {
    for (line, summary, week, next) in [
        ("mon: 1", "v1 1 mon", "1111111", "-"),
        ("mon: 1, tue: 2", "v2 2 tue", "1222222", "v2 2 tue"),
        ("mon: 1, mon: 2 from wed", "v2 2 wed", "1122222", "v2 2 wed"),
        // A repeated change has no effect, whenever it is sent and whatever came in between.
        ("mon: 1, tue: 1", "v1 1 mon", "1111111", "-"),
        ("mon: 1, mon: 2 from wed, mon: 2 from wed", "v2 2 wed", "1122222", "v2 2 wed"),
        ("mon: 1, mon: 2 from wed, fri: 2 from wed", "v2 2 wed", "1122222", "v2 2 wed"),
        ("mon: 1, mon: 2 from wed, mon: 3 from fri, mon: 2 from wed", "v2 2 wed", "1122333", "v2 2 wed"),
        ("mon: 1, mon: 2 from wed, tue: 1", "v1 1 mon", "1122222", "v2 2 wed"),
        // A change supersedes scheduled ones after it, so they can be taken back.
        ("mon: 1, mon: 2 from wed, mon: 3", "v3 3 mon", "3333333", "-"),
        ("mon: 1, mon: 2 from fri, mon: 3 from wed", "v3 3 wed", "1133333", "v3 3 wed"),
        ("mon: 1, mon: 2 from wed, mon: 1 from wed", "v3 1 wed", "1111111", "v3 1 wed"),
        ("mon: 1, mon: 2 from wed, mon: 1 from wed, mon: 2 from wed", "v4 2 wed", "1122222", "v4 2 wed"),
        // The same price from another day is another version.
        ("mon: 1, mon: 1 from wed", "v2 1 wed", "1111111", "v2 1 wed"),
        // The past is never changed.
        ("mon: 1, wed: 2 from tue", "must not be in the past", "1111111", "-"),
        (
            "mon: 1, mon: 2 from tue, wed: 3, fri: 5 from tue",
            "must not be in the past",
            "1233333",
            "v2 2 tue",
        ),
        // The first price can be in the future.
        ("mon: 4 from thu", "v1 4 thu", "---4444", "v1 4 thu"),
        ("mon: 4 from thu, tue: 2", "v2 2 tue", "-222222", "v2 2 tue"),
    ] {
        let (list, answer) = changed(line);
        assert!(answer.contains(summary), "{line}: {answer}");
        let name = Reference::try_from("aml.pep".to_owned()).unwrap();
        let charged = |name_of_day: &&str| match list.price(&name, day(name_of_day)) {
            Ok((_, price)) => price.credits.get().to_string(),
            Err(_) => "-".to_owned(),
        };
        assert_eq!(DAYS.iter().map(charged).collect::<String>(), week, "{line}");
        let listed = list.listed(day("mon"));
        let known = match listed.first() {
            Some(listed) => listed.next,
            // Nothing is effective yet: a scheduled first price is not listed.
            None => continue,
        };
        let known = known.map_or("-".to_owned(), |price| {
            let since = DAYS.iter().find(|name| day(name) == price.effective_from).unwrap();
            format!("v{} {} {since}", price.version, price.credits.get())
        });
        assert_eq!(known, next, "{line}");
    }
}

/// operation; category => answer
#[test]
fn operations_are_created_and_named() {
    let (list, _) = changed("mon: 1");
    for (name, category, expected) in [
        ("aml.pep", None, "v2"),
        ("aml.new", Some(PriceCategory::Aml), "v1"),
        ("aml.new", None, "is required, because no"),
        ("credit.grant", Some(PriceCategory::Other), "the ledger's own"),
        ("credit.mine", None, "the ledger's own"),
        ("ledger.fence", Some(PriceCategory::Other), "the ledger's own"),
        ("account.x", Some(PriceCategory::Other), "the ledger's own"),
        ("credits.x", Some(PriceCategory::Other), "v1"),
    ] {
        let wanted = PriceUpdate { credits: credits(7), category, monthly: None };
        let summary = match list.change(&operation(name), wanted, EffectiveTime::new(None, day("tue"))) {
            Ok((_, listed)) => format!("v{}", listed.price.version),
            Err(reason) => reason.to_string(),
        };
        assert!(summary.contains(expected), "{name}: {summary}");
    }
    // Category and period belong to the operation; they change without a new price.
    let wanted = PriceUpdate { credits: credits(1), category: Some(PriceCategory::Kyt), monthly: Some(true) };
    let (list, summary) =
        list.change(&operation("aml.pep"), wanted, EffectiveTime::new(None, day("tue"))).unwrap();
    assert_eq!((summary.price.version, summary.category, summary.monthly), (1, PriceCategory::Kyt, true));
    let wanted = PriceUpdate { category: None, monthly: None, ..wanted };
    let (_, summary) =
        list.change(&operation("aml.pep"), wanted, EffectiveTime::new(None, day("wed"))).unwrap();
    assert_eq!((summary.category, summary.monthly), (PriceCategory::Kyt, true));
}

#[test]
fn the_number_of_versions_is_limited() {
    let now = EffectiveTime::new(None, day("mon"));
    let mut list = PriceList::default();
    let set = |list: &PriceList, name: &str, count| list.change(&operation(name), price(count), now);
    for count in 0..u64::try_from(Price::VERSIONS_MAX).unwrap() {
        list = set(&list, "aml.pep", count).unwrap().0;
    }
    let full = set(&list, "aml.pep", Price::MAX);
    assert!(matches!(full, Err(BadUpdate::TooMany { max: Price::VERSIONS_MAX, .. })), "{full:?}");
    // Repeating the last change is not another version, and another operation has room.
    assert_eq!(set(&list, "aml.pep", 399).unwrap().0, list);
    for other in 1..10 {
        for count in 0..u64::try_from(Price::VERSIONS_MAX).unwrap() {
            list = set(&list, &format!("aml.{other}"), count).unwrap().0;
        }
    }
    let full = set(&list, "aml.more", 1);
    assert!(matches!(full, Err(BadUpdate::TooMany { max: PriceList::PRICES_MAX, .. })), "{full:?}");
    assert!(serde_json::to_string(&list).unwrap().len() < 400_000);
    let mut list = PriceList::default();
    for number in 0..PriceList::OPERATIONS_MAX {
        list = set(&list, &format!("aml.{number}"), 1).unwrap().0;
    }
    let full = set(&list, "aml.pep", 1);
    assert!(matches!(full, Err(BadUpdate::TooMany { max: PriceList::OPERATIONS_MAX, .. })), "{full:?}");
}

#[test]
fn omitted_fields_of_a_package_keep_their_values() {
    let (id, name) = (PackageId("mini".into()), Reference::try_from("Mini".to_owned()).unwrap());
    let (ten, price) = (Amount::try_from(10).unwrap(), Money::new(100, Currency::GBP).unwrap());
    let when = |asked: Option<&str>| EffectiveTime::new(asked.map(day), day("mon"));
    let list = PackageList::default();
    let part = PackageUpdate { credits: Some(ten), ..PackageUpdate::default() };
    assert_eq!(list.change(&id, &part, when(None)), Err(BadUpdate::Incomplete(vec!["name", "price"])));
    let whole = PackageUpdate {
        name: Some(name),
        credits: Some(ten),
        price: Some(price),
        ..PackageUpdate::default()
    };
    let (list, first) = list.change(&id, &whole, when(Some("tue"))).unwrap();
    assert_eq!((first.version, first.withdrawn, first.effective_from), (1, false, day("tue")));
    // On Monday there is no item of that name whose fields could be kept.
    assert!(matches!(list.change(&id, &part, when(None)), Err(BadUpdate::Incomplete(_))));
    let gone = PackageUpdate { withdrawn: Some(true), ..PackageUpdate::default() };
    let (list, second) = list.change(&id, &gone, when(Some("thu"))).unwrap();
    assert_eq!(second, Package { version: 2, withdrawn: true, effective_from: day("thu"), ..first.clone() });
    let (list, third) = list
        .change(&id, &PackageUpdate { withdrawn: Some(false), ..gone.clone() }, when(Some("sat")))
        .unwrap();
    assert_eq!(list.change(&id, &gone, when(Some("thu"))).unwrap(), (list.clone(), second));
    for (name, expected) in
        [("mon", None), ("tue", Some(1)), ("wed", Some(1)), ("thu", None), ("sat", Some(3))]
    {
        assert_eq!(list.on_sale(day(name)).first().map(|package| package.version), expected, "{name}");
    }
    assert_eq!(third.name, "Mini");
    let mut full = list;
    for count in 4..=u64::try_from(Package::VERSIONS_MAX).unwrap() {
        let more = PackageUpdate { credits: Amount::try_from(count).ok(), ..PackageUpdate::default() };
        full = full.change(&id, &more, when(Some("sat"))).unwrap().0;
    }
    let more = full.change(&id, &whole, when(Some("sun")));
    assert!(matches!(more, Err(BadUpdate::TooMany { max: Package::VERSIONS_MAX, .. })), "{more:?}");
}

#[test]
fn omitted_fields_of_a_plan_keep_their_values_and_old_plans_are_read() {
    let stored = r#"[{"plan": "free", "name": "Free", "price": 0, "currency": "GBP", "allowance": 100,
        "apiAccess": false, "maxUsers": 1, "effectiveFrom": "1970-01-01T00:00:00Z"}]"#;
    let list: PlanList = serde_json::from_str(stored).unwrap();
    let id = PlanId("free".into());
    let open = PlanUpdate { api_access: Some(true), max_users: Some(None), ..PlanUpdate::default() };
    let when = EffectiveTime::new(Some(day("wed")), day("mon"));
    let (list, version) = list.change(&id, &open, when).unwrap();
    assert_eq!((version.version, version.api_access, version.max_users), (2, true, None));
    assert_eq!((version.name.as_str(), version.fee.amount()), ("Free", 0));
    assert_eq!(version.allowance, Allowance::Monthly(credits(100)));
    for (name, expected) in [("mon", 1), ("tue", 1), ("wed", 2), ("sun", 2)] {
        assert_eq!(list.plan(&id, day(name)).unwrap().version, expected, "{name}");
        assert_eq!(list.offered(day(name)).len(), 1, "{name}");
    }
    let again: PlanList = serde_json::from_str(&serde_json::to_string(&list).unwrap()).unwrap();
    assert_eq!(again, list);
    let unknown = list.change(&PlanId("gold".into()), &open, when);
    assert_eq!(unknown, Err(BadUpdate::Incomplete(vec!["name", "price", "allowance"])));
    assert!(
        PlanFee::new(Money::MAX, Currency::GBP).is_ok()
            && PlanFee::new(Money::MAX + 1, Currency::GBP).is_err()
    );
}

/// changes of a monthly price; after which day, up to which => whether it was reduced
#[test]
fn a_monthly_price_is_reduced_when_a_lower_one_begins() {
    for (line, since, until, expected) in [
        ("mon: 3, wed: 2", "tue", "wed", true),
        ("mon: 3, wed: 2", "mon", "sun", true),
        ("mon: 3, wed: 2", "wed", "sun", false),
        ("mon: 3, wed: 2", "mon", "tue", false),
        ("mon: 3, mon: 2 from wed", "tue", "wed", true),
        ("mon: 3, wed: 4", "mon", "sun", false),
        ("mon: 3, tue: 9, wed: 4", "mon", "sun", true),
        ("mon: 3, tue: 3 from wed", "mon", "sun", false),
        // The first price is not a reduction.
        ("tue: 3", "mon", "sun", false),
        // A scheduled price that was taken back never began.
        ("mon: 3, mon: 1 from wed, tue: 4", "mon", "sun", false),
    ] {
        let mut list = PriceList::default();
        for change in line.split(", ") {
            let words: Vec<_> = change.split([':', ' ']).filter(|word| !word.is_empty()).collect();
            let when = EffectiveTime::new(words.get(3).map(|name| day(name)), day(words[0]));
            let wanted = PriceUpdate { monthly: Some(true), ..price(words[1].parse().unwrap()) };
            list = list.change(&operation("aml.monitoring"), wanted, when).unwrap().0;
        }
        assert_eq!(list.monthly_fell(day(since), day(until)), expected, "{line}: {since} {until}");
        // An operation that is charged per use does not wake monitors.
        assert!(!changed(line).0.monthly_fell(day(since), day(until)), "{line}");
    }
}

proptest! {
    /// For any changes and schedules: what was effective before a change stays so, the requested version is
    /// effective from then on, versions have no gaps, and written versions never change.
    #[test]
    fn history_is_never_rewritten(steps in proptest::collection::vec((0i64..3, -2i64..6, 0u64..4), 1..40)) {
        let name = Reference::try_from("aml.pep".to_owned()).unwrap();
        let charged = |list: &PriceList, when| list.price(&name, when).ok().map(|(_, price)| price);
        let mut list = PriceList::default();
        let mut now = day("mon");
        for (pass, ahead, count) in steps {
            now += chrono::Duration::hours(pass);
            let from = now + chrono::Duration::hours(ahead);
            let when = EffectiveTime::new((ahead != 0).then_some(from), now);
            let Ok((changed, summary)) = list.change(&operation("aml.pep"), price(count), when) else {
                prop_assert!(ahead < 0);
                continue;
            };
            prop_assert_eq!(summary.price.credits, credits(count));
            prop_assert_eq!(charged(&changed, from), Some(summary.price));
            for hours in 0..200 {
                let before = day("mon") + chrono::Duration::hours(hours);
                if before < from {
                    prop_assert_eq!(charged(&changed, before), charged(&list, before));
                }
            }
            // A repeated request has the same answer and no effect.
            let again = changed.change(&operation("aml.pep"), price(count), when).unwrap();
            prop_assert_eq!((&again.0, &again.1.price), (&changed, &summary.price));
            list = changed;
        }
        let stored = serde_json::to_value(&list).unwrap();
        let numbers: Vec<_> =
            stored["aml.pep"]["prices"].as_array().into_iter().flatten().map(|price| price["v"].as_u64()).collect();
        prop_assert!(numbers.iter().copied().eq((1..).take(numbers.len()).map(Some)));
    }
}
