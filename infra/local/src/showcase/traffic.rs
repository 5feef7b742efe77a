//! The debits of the showcase: when they are made, for what, and for whom.

use chrono::{DateTime, Datelike, Duration, Timelike, Utc};
use fastrand::Rng;

use crate::scale::{ShowcaseScale, share};

/// How many API keys the debits are made with.
pub(super) const KEYS: usize = 3;

/// The number of customers.
const CUSTOMERS: u64 = 25;

/// How many customers were there from the beginning. The others come one after the other in the first 40 % of the time.
const FIRST_CUSTOMERS: u64 = 8;

/// The members of staff, and how often each of them works with the API.
const MEMBERS: [Weighted; 4] = [
    Weighted { name: "mem_amira", weight: 5 },
    Weighted { name: "mem_jonas", weight: 3 },
    Weighted { name: "mem_priya", weight: 2 },
    Weighted { name: "mem_tomas", weight: 1 },
];

/// The key of the product's own servers, of batch imports, and of the staff's back office.
const PRODUCTION: usize = 0;
const IMPORTS: usize = 1;
const BACK_OFFICE: usize = 2;

/// How much traffic an hour of the day has, in UTC.
const HOURS: [u64; 24] =
    [2, 1, 1, 1, 2, 4, 9, 20, 42, 60, 66, 62, 48, 56, 64, 62, 52, 38, 22, 14, 10, 7, 5, 3];

/// How much traffic a weekday has, from Monday on.
const WEEKDAYS: [u64; 7] = [100, 112, 116, 108, 92, 30, 22];

/// The traffic of the last day, in per cent of the first day's.
const GROWTH: u64 = 240;

/// Where bursts are, in thousandths of the time: an import of a customer's whole list.
const BURSTS: [u64; 5] = [180, 370, 560, 740, 910];

/// How much more traffic the hour of a burst has.
const BURST: u64 = 9;

/// Whose lists are imported in bursts.
const IMPORTER: u64 = 3;

/// A name, and how often it is drawn.
#[derive(Clone, Copy, Default)]
struct Weighted {
    name: &'static str,
    weight: u64,
}

/// An operation, and how often it is called.
#[derive(Clone, Copy, Default)]
struct Called {
    operation: &'static str,
    resource: &'static str,
    weight: u64,
}

const OPERATIONS: [Called; 13] = [
    Called { operation: "verification.standard", resource: "verif", weight: 33 },
    Called { operation: "verification.document", resource: "doc", weight: 17 },
    Called { operation: "verification.enhanced", resource: "verif", weight: 8 },
    Called { operation: "verification.biometric", resource: "bio", weight: 4 },
    Called { operation: "aml.sanctions", resource: "aml", weight: 13 },
    Called { operation: "aml.basic", resource: "aml", weight: 7 },
    Called { operation: "aml.pep", resource: "aml", weight: 5 },
    Called { operation: "aml.adverse_media", resource: "aml", weight: 2 },
    Called { operation: "deepfake.image", resource: "media", weight: 4 },
    Called { operation: "deepfake.video", resource: "media", weight: 1 },
    Called { operation: "kyt.wallet", resource: "wallet", weight: 3 },
    Called { operation: "export.pdf", resource: "report", weight: 2 },
    Called { operation: "applicants.import", resource: "import", weight: 1 },
];

/// What is called in a burst.
const BURST_OPERATIONS: [Called; 2] = [
    Called { operation: "aml.sanctions", resource: "aml", weight: 3 },
    Called { operation: "verification.document", resource: "doc", weight: 1 },
];

/// A debit to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedDebit {
    pub(super) at: DateTime<Utc>,
    pub(super) operation: &'static str,
    pub(super) quantity: u64,
    pub(super) resource: String,
    pub(super) customer: Option<String>,
    pub(super) member: Option<&'static str>,
    /// The place of its API key.
    pub(super) key: usize,
}

/// An hour of the history.
#[derive(Clone, Copy)]
struct Hour {
    start: DateTime<Utc>,
    /// The weights of all hours through this one.
    through: u64,
    is_burst: bool,
    /// How much of the time has passed, in thousandths.
    passed: u64,
}

/// The debits of a history that begins at `from`, by rising times. The same numbers of `random` make the same debits.
pub(super) fn debits(from: DateTime<Utc>, scale: ShowcaseScale, random: &mut Rng) -> Vec<PlannedDebit> {
    let hours = hours(from, scale.days);
    let total = hours.last().map_or(1, |hour| hour.through).max(1);
    let mut times: Vec<_> = (0..scale.transactions)
        .filter_map(|_| {
            let drawn = random.u64(0..total);
            let hour = *hours.get(hours.partition_point(|hour| hour.through <= drawn))?;
            let after = Duration::milliseconds(random.i64(0..3_600_000));
            Some((hour.start.checked_add_signed(after)?, hour))
        })
        .collect();
    times.sort_by_key(|(at, _)| *at);
    times.into_iter().map(|(at, hour)| debit(at, hour, random)).collect()
}

fn hours(from: DateTime<Utc>, days: u32) -> Vec<Hour> {
    let count = u64::from(days).saturating_mul(24);
    let mut bursts: Vec<u64> = BURSTS.iter().filter_map(|burst| share(count, *burst)).collect();
    bursts.reverse();
    let (mut hours, mut through) = (Vec::new(), 0_u64);
    for (number, start) in (0..count).zip(starts(from)) {
        let passed = number.saturating_mul(1000).checked_div(count).unwrap_or(0);
        let working = start.weekday().number_from_monday() <= 5 && (9..17).contains(&start.hour());
        // A burst waits for the next working hour.
        let is_burst = working && bursts.pop_if(|burst| *burst <= number).is_some();
        let weight = weight(start, passed).saturating_mul(if is_burst { BURST } else { 1 });
        through = through.saturating_add(weight);
        hours.push(Hour { start, through, is_burst, passed });
    }
    hours
}

fn starts(from: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
    std::iter::successors(Some(from), |start| start.checked_add_signed(Duration::hours(1)))
}

fn weight(start: DateTime<Utc>, passed: u64) -> u64 {
    let of = |weights: &[u64], place: u32| {
        usize::try_from(place).ok().and_then(|place| weights.get(place)).copied().unwrap_or(1)
    };
    let growth = share(GROWTH.saturating_sub(100), passed).unwrap_or(0).saturating_add(100);
    of(&HOURS, start.hour())
        .saturating_mul(of(&WEEKDAYS, start.weekday().num_days_from_monday()))
        .saturating_mul(growth)
}

fn debit(at: DateTime<Utc>, hour: Hour, random: &mut Rng) -> PlannedDebit {
    let called = if hour.is_burst {
        drawn(&BURST_OPERATIONS, |called| called.weight, random)
    } else {
        drawn(&OPERATIONS, |called| called.weight, random)
    };
    let Called { operation, resource, .. } = called;
    let by_staff = !hour.is_burst && random.u8(0..100) < 38;
    let member = by_staff.then(|| drawn(&MEMBERS, |member| member.weight, random).name);
    let customer = if hour.is_burst {
        Some(IMPORTER)
    } else {
        (random.u8(0..100) < 88).then(|| customer(hour.passed, random))
    };
    let is_import = hour.is_burst || operation == "applicants.import";
    PlannedDebit {
        at,
        operation,
        quantity: if random.u8(0..100) < 4 { random.u64(2..6) } else { 1 },
        resource: format!("{resource}_{:07x}", random.u32(0..0x1000_0000)),
        customer: customer.map(|number| format!("cust_{:03}", number.saturating_add(1))),
        member,
        key: if is_import {
            IMPORTS
        } else if by_staff {
            BACK_OFFICE
        } else {
            PRODUCTION
        },
    }
}

/// The number of a customer: earlier customers call more often, and later ones were not there from the beginning.
fn customer(passed: u64, random: &mut Rng) -> u64 {
    let came = passed.saturating_mul(CUSTOMERS).checked_div(400).unwrap_or(0).max(FIRST_CUSTOMERS);
    let known: Vec<u64> = (0..came.min(CUSTOMERS)).collect();
    drawn(&known, |number| 1000_u64.checked_div(number.saturating_add(2)).unwrap_or(1), random)
}

/// One of a list that is not empty, by weights.
fn drawn<T: Copy + Default>(list: &[T], weight: impl Fn(&T) -> u64, random: &mut Rng) -> T {
    let total: u64 = list.iter().map(&weight).sum();
    let mut left = random.u64(0..total.max(1));
    for one in list {
        match left.checked_sub(weight(one)) {
            Some(rest) => left = rest,
            None => return *one,
        }
    }
    T::default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn made(seed: u64) -> Vec<PlannedDebit> {
        let from = "2024-01-03T10:20:00Z".parse().unwrap();
        debits(from, ShowcaseScale { days: 84, transactions: 9_000 }, &mut Rng::with_seed(seed))
    }

    #[test]
    fn traffic_has_the_pattern_of_a_business() {
        let debits = made(7);
        assert_eq!(debits, made(7));
        assert_ne!(debits, made(8));
        assert_eq!(debits.len(), 9_000);
        assert!(debits.is_sorted_by_key(|debit| debit.at));
        let count = |is: &dyn Fn(&PlannedDebit) -> bool| debits.iter().filter(|debit| is(debit)).count();
        let weekend = count(&|debit| debit.at.weekday().number_from_monday() > 5);
        assert!((400..1_400).contains(&weekend), "{weekend}");
        let night = count(&|debit| debit.at.hour() < 6);
        assert!((50..500).contains(&night), "{night}");
        let middle: DateTime<Utc> = "2024-02-14T10:20:00Z".parse().unwrap();
        let early = count(&|debit| debit.at < middle);
        assert!((2_000..4_300).contains(&early), "{early}");
        let customers: BTreeSet<_> = debits.iter().filter_map(|debit| debit.customer.as_deref()).collect();
        let members: BTreeSet<_> = debits.iter().filter_map(|debit| debit.member).collect();
        let keys: BTreeSet<_> = debits.iter().map(|debit| debit.key).collect();
        let operations: BTreeSet<_> = debits.iter().map(|debit| debit.operation).collect();
        assert_eq!((customers.len(), members.len(), keys.len(), operations.len()), (25, 4, KEYS, 13));
        // A burst is an hour with many times the calls of the same hour on other days.
        let busiest = debits.chunk_by(|one, next| one.at.timestamp() / 3_600 == next.at.timestamp() / 3_600);
        let busiest = busiest.map(<[_]>::len).max().unwrap();
        assert!(busiest > 100, "{busiest}");
    }
}
