//! The profile of a week: how usage differs from weekday to weekday, and how much it varies besides.

/// A week's weight in the profile and in the noise, beside the following week's: it halves in six and a half weeks.
const WEEK_DISCOUNT: f64 = 0.9;

/// The part of the variance within weekdays that counts as chance between them, by James and Stein's estimate of seven
/// means around their common mean: (6 - 2) / 6.
const CHANCE: f64 = 2.0 / 3.0;

/// With this many pairs of days a week apart, differences between weekdays count in full: fewer may show only by chance
/// that weekdays repeat.
const PAIRS_OF_FULL_TRUST: f64 = 7.0;

/// The profile of a week.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WeekProfile {
    /// The factor of each weekday: 1 for a mean day, 0 for a day without usage. The mean is 1. Counted back from the
    /// newest day, which has the first one.
    factors: [f64; 7],
    /// The variance of one day's usage around its weekday's mean, in credits squared.
    pub(super) noise: f64,
}

/// The usage of one weekday.
#[derive(Clone, Copy, Default)]
struct Weekday {
    count: f64,
    total: f64,
    weight: f64,
    weighted: f64,
}

impl WeekProfile {
    /// The profile of past days, oldest first, seven at least.
    ///
    /// Differences between weekdays count as far as they exceed what chance explains: the part `1 - ⅔·within /
    /// between` of them, where `between` is the variance between the weekdays and `within` the variance within one,
    /// from days that are a week apart. So usage without a weekly pattern gets a flat profile.
    pub(super) fn of(days: &[f64]) -> Self {
        let mut weekdays = [Weekday::default(); 7];
        let mut weight = 1.0;
        for week in days.rchunks(7) {
            weekdays.iter_mut().zip(week.iter().rev()).for_each(|(weekday, usage)| {
                weekday.add(*usage, weight);
            });
            weight *= WEEK_DISCOUNT;
        }
        let trust = trust(&weekdays, days);
        let means = weekdays.map(|weekday| ratio(weekday.weighted, weekday.weight));
        let mean = means.iter().sum::<f64>() / 7.0;
        let factors = means.map(|own| if mean > 0.0 { 1.0 + trust * (own / mean - 1.0) } else { 1.0 });
        Self { factors, noise: noise(days, &factors, trust) }
    }

    /// The factors of past days, newest first, without an end.
    pub(super) fn backward(&self) -> impl Iterator<Item = f64> {
        self.factors.iter().cycle().copied()
    }

    /// The factors of the days ahead, without an end.
    pub(super) fn ahead(&self) -> impl Iterator<Item = f64> {
        self.factors.iter().rev().cycle().copied()
    }
}

impl Weekday {
    fn add(&mut self, usage: f64, weight: f64) {
        self.count += 1.0;
        self.total += usage;
        self.weight += weight;
        self.weighted += weight * usage;
    }
}

/// How far differences between weekdays count, from 0 to 1.
fn trust(weekdays: &[Weekday; 7], days: &[f64]) -> f64 {
    let means = weekdays.map(|weekday| ratio(weekday.total, weekday.count));
    let mean = means.iter().sum::<f64>() / 7.0;
    let between = weekdays.iter().zip(means).map(|(weekday, own)| weekday.count * square(own - mean));
    let between = between.sum::<f64>() / 6.0;
    let (mut pairs, mut differences) = (0.0, 0.0);
    for (earlier, later) in days.iter().zip(days.iter().skip(7)) {
        pairs += 1.0;
        differences += square(later - earlier);
    }
    let within = ratio(differences, 2.0 * pairs);
    let excess = if CHANCE * within < between { 1.0 - CHANCE * within / between } else { 0.0 };
    excess * (pairs / PAIRS_OF_FULL_TRUST).min(1.0)
}

/// The variance of a day around its part of its week's usage. A week's mean takes one of its seven degrees of
/// freedom, and the profile as many as it is trusted.
fn noise(days: &[f64], factors: &[f64; 7], trust: f64) -> f64 {
    let (mut weeks, mut weight, mut weights, mut squares) = (0.0, 1.0, 0.0, 0.0);
    for week in days.rchunks_exact(7) {
        let mean = week.iter().sum::<f64>() / 7.0;
        let off = week.iter().rev().zip(factors).map(|(usage, factor)| square(usage - mean * factor));
        squares += weight * off.sum::<f64>();
        weights += weight;
        weight *= WEEK_DISCOUNT;
        weeks += 1.0;
    }
    ratio(squares, 6.0 * weights) * ratio(weeks, weeks - trust)
}

/// `number²`
pub(super) fn square(number: f64) -> f64 {
    number * number
}

/// `part / whole`, or 0 when there is no whole.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
