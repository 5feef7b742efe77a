//! The model of usage: what the days ahead use, and how far their sum may be off.
//!
//! The mean is that of three simple forecasts (a slow mean, a fast mean, a damped trend), because a combination of
//! simple methods is hard to beat and never far off; their weights follow from their past errors. All three share one
//! profile of the week.
//!
//! The band is 80 % of a gamma distribution, which is never below zero and leans to high values as sums of usage do.
//! Its variance over `k` days is `noise·k + drift·k²`: days vary on their own, and the daily mean may be off.
//! `drift` is what the errors of forecasts made in the same way on past days leave unexplained by `noise`, so it
//! includes whatever went wrong: the estimate of the mean, new customers, growth. Bursts belong to usage, so no outlier
//! is cut off. Everything is closed form: the same history gives the same forecast.

use super::daily_mean::{Day, MeanSums, Outlook, damped_days};
use super::week_profile::{WeekProfile, ratio, square};

/// The fewest days that a forecast learns from.
pub(super) const DAYS_MIN: usize = 7;

/// The longest forecast of the past that is compared with what came, in days.
const ERROR_DAYS_MAX: usize = 28;

/// The least part that one forecast has of the three mean square errors together, where they set the weights: one that
/// was nearly exact does not displace the others altogether.
const ERROR_PART_MIN: f64 = 0.02;

/// How far the daily mean may be off, as a part of it: an assumption, for when no past errors show it.
const MEAN_OFF: f64 = 0.15;

/// The weight of that assumption. The error of one past forecast over `k` days has the weight `1/k`.
const ASSUMPTION_WEIGHT: f64 = 0.1;

/// A trend may stop, or go on twice as strong: the daily mean may be off by what the trend adds in this many days.
const SLOPE_DAYS: f64 = 14.0;

/// The number of days at most that the daily mean is estimated from: older ones hardly count.
const MEAN_DAYS: f64 = 28.0;

/// The quantile of the normal distribution that 10 % exceed.
const TENTH: f64 = 1.2816;

/// Few days show too little of how usage varies, so the band is wider: by this part after one week, by half of it after
/// two, and so on.
const WIDER_AFTER_A_WEEK: f64 = 0.3;

/// The sum of usage from now until the end of a day ahead, in credits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct CumulativeUsage {
    /// The expected sum.
    pub(super) expected: f64,
    /// One time in ten, the sum is lower.
    pub(super) low: f64,
    /// One time in ten, the sum is higher.
    pub(super) high: f64,
}

/// The model of usage, fitted to past days.
pub(super) struct UsageModel {
    outlook: Outlook,
    weights: [f64; 3],
    profile: WeekProfile,
    drift: f64,
    quantile: f64,
}

/// The errors of the three forecasts of some past days.
struct PastError {
    /// How many days were forecast.
    days: f64,
    /// Forecast less usage.
    off: [f64; 3],
}

impl UsageModel {
    /// The model of past days, oldest first: the usage of each in credits, 0 or more. `n` days take some `28·n` steps.
    pub(super) fn fit(days: &[f64]) -> Self {
        let profile = WeekProfile::of(days);
        let mut history: Vec<Day> = days
            .iter()
            .rev()
            .zip(profile.backward())
            .map(|(usage, factor)| Day { usage: *usage, factor })
            .collect();
        history.reverse();
        let sums = history.iter().scan(MeanSums::new(), |sums, day| {
            *sums = sums.with(*day);
            Some(*sums)
        });
        let outlooks: Vec<Outlook> = sums.map(|sums| sums.outlook(profile.noise)).collect();
        let outlook = outlooks.last().copied().unwrap_or_else(|| MeanSums::new().outlook(0.0));
        let errors = past_errors(&history, &outlooks);
        let weights = weights(&errors);
        let weeks = history.iter().map(|_| 1.0).sum::<f64>() / 7.0;
        let mut model = Self { outlook, weights, profile, drift: 0.0, quantile: TENTH };
        model.drift = model.drift(&errors, (7.0 * weeks).min(MEAN_DAYS));
        model.quantile = TENTH * (1.0 + ratio(WIDER_AFTER_A_WEEK, weeks));
        model
    }

    /// The sums of usage until the end of each day ahead: today, of which the part `today_left` is still to come,
    /// and the days after it. No sum is lower than the one before.
    pub(super) fn sums(&self, today_left: f64) -> impl Iterator<Item = CumulativeUsage> {
        let parts = std::iter::once(today_left).chain(std::iter::repeat(1.0));
        let days = parts.zip(self.profile.ahead()).zip(damped_days());
        let sums = days.scan((0.0, 0.0), |(factors, mean), ((part, factor), damped)| {
            *factors += part * factor;
            *mean += part * factor * combined(self.outlook.means(damped), self.weights);
            Some((*factors, *mean))
        });
        sums.scan(CumulativeUsage::default(), |before, (factors, mean)| {
            let variance = self.profile.noise * factors + self.drift * square(factors);
            let own = band(mean, variance, self.quantile);
            *before = CumulativeUsage {
                expected: own.expected.max(before.expected),
                low: own.low.max(before.low),
                high: own.high.max(before.high),
            };
            Some(*before)
        })
    }

    /// How far the daily mean may be off, in credits a day, squared.
    fn drift(&self, errors: &[PastError], mean_days: f64) -> f64 {
        let noise = self.profile.noise;
        let mean = combined(self.outlook.means(0.0), self.weights);
        let least = ratio(noise, mean_days);
        let assumed = square(MEAN_OFF * mean) + least;
        let (mut sum, mut weight) = (ASSUMPTION_WEIGHT * assumed, ASSUMPTION_WEIGHT);
        for error in errors {
            let off = combined(error.off, self.weights);
            // Forecasts of long spans overlap, so they say less each.
            let counts = 1.0 / error.days;
            sum += counts * (square(off) - noise * error.days) / square(error.days);
            weight += counts;
        }
        (sum / weight).max(least) + square(SLOPE_DAYS * self.outlook.slope())
    }
}

/// The errors of forecasts over one to four weeks, as they would have been made after each past day, but with the profile
/// of all days.
fn past_errors(history: &[Day], outlooks: &[Outlook]) -> Vec<PastError> {
    let mut errors = Vec::new();
    for (known, outlook) in (1..).zip(outlooks).skip(DAYS_MIN.saturating_sub(1)) {
        let ahead = history.get(known..).unwrap_or_default();
        let (mut off, mut days) = ([0.0; 3], 0.0);
        for (place, (day, damped)) in (1_usize..=ERROR_DAYS_MAX).zip(ahead.iter().zip(damped_days())) {
            off = each(off, outlook.means(damped), |off, mean| off + day.factor * mean - day.usage);
            days += 1.0;
            if place.is_multiple_of(7) {
                errors.push(PastError { days, off });
            }
        }
    }
    errors
}

/// The weights of the three forecasts: by the inverse square of their mean square errors; equal without errors.
fn weights(errors: &[PastError]) -> [f64; 3] {
    let squares = errors
        .iter()
        .fold([0.0; 3], |sums, error| each(sums, error.off, |sum, off| sum + square(off / error.days)));
    let total: f64 = squares.iter().sum();
    let weights = squares.map(|own| 1.0 / square(ratio(own, total) + ERROR_PART_MIN));
    let total: f64 = weights.iter().sum();
    weights.map(|weight| weight / total)
}

/// The band of a sum of usage with this mean and variance: the quantiles of the gamma distribution, by Wilson and
/// Hilferty's cube.
fn band(mean: f64, variance: f64, quantile: f64) -> CumulativeUsage {
    if mean <= 0.0 {
        return CumulativeUsage::default();
    }
    let ninth = variance / square(mean) / 9.0;
    let at = |quantile: f64| {
        let root = (1.0 - ninth + quantile * ninth.sqrt()).max(0.0);
        mean * root * root * root
    };
    CumulativeUsage { expected: mean, low: at(-quantile).min(mean), high: at(quantile).max(mean) }
}

fn combined(values: [f64; 3], weights: [f64; 3]) -> f64 {
    values.iter().zip(weights).map(|(value, weight)| value * weight).sum()
}

fn each(one: [f64; 3], other: [f64; 3], join: impl Fn(f64, f64) -> f64) -> [f64; 3] {
    let ([a, b, c], [x, y, z]) = (one, other);
    [join(a, x), join(b, y), join(c, z)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Usage that dies away: the band widens each day, and what was used stays used.
    #[test]
    fn no_sum_is_lower_than_the_one_before() {
        let falling: Vec<f64> = (0..60_u32).rev().map(|day| 100.0 + 2.5 * f64::from(day)).collect();
        let one_burst: Vec<f64> = (0..60_u32).map(|day| if day == 50 { 1000.0 } else { 1.0 }).collect();
        for days in [falling, one_burst] {
            let sums: Vec<CumulativeUsage> = UsageModel::fit(&days).sums(0.5).take(93).collect();
            for pair in sums.windows(2) {
                let (before, after) = (pair[0], pair[1]);
                assert!(before.expected <= after.expected, "{pair:?}");
                assert!(before.low <= after.low && before.high <= after.high, "{pair:?}");
                assert!(after.low <= after.expected && after.expected <= after.high, "{pair:?}");
            }
        }
    }
}
