//! Mean usage a day, with weekdays evened out: three estimates of it from the past.

use super::week_profile::{ratio, square};

/// A day's weight in each estimate, beside the following day's: it halves in 46 days, 8 days and 23 days.
const SLOW: f64 = 0.985;
const FAST: f64 = 0.92;
const TREND: f64 = 0.97;

/// A slope counts only if its square is more than this many times its variance.
const SLOPE_VARIANCES: f64 = 3.0;

/// The least sum of squared distances in days with which usage shows a slope: less is that of a single day.
const SPAN_MIN: f64 = 1.0;

/// What a trend adds on a day, beside what it added on the day before: it halves in five weeks.
const DAMPING: f64 = 0.98;

/// Usage of one past day, and its weekday's factor in the profile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day {
    pub(super) usage: f64,
    pub(super) factor: f64,
}

/// The sums over past days that the three estimates follow from; each day is added in turn.
#[derive(Clone, Copy)]
pub(super) struct MeanSums {
    slow: DiscountedSums,
    fast: DiscountedSums,
    trend: DiscountedSums,
}

/// The daily mean of the days ahead, by each estimate.
#[derive(Clone, Copy)]
pub(super) struct Outlook {
    slow: f64,
    fast: f64,
    line: Line,
}

/// A straight line through past usage: its height on the newest day, and credits a day that each day adds.
#[derive(Clone, Copy)]
struct Line {
    height: f64,
    slope: f64,
}

/// Discounted sums over past days. Days are counted from the newest one, which is day 0; earlier ones are below 0.
#[derive(Clone, Copy, Default)]
struct DiscountedSums {
    discount: f64,
    usage: f64,
    usage_by_day: f64,
    factor: f64,
    factor_by_day: f64,
    factor_by_day_squared: f64,
}

impl MeanSums {
    /// Before the first day.
    pub(super) fn new() -> Self {
        let of = |discount| DiscountedSums { discount, ..DiscountedSums::default() };
        Self { slow: of(SLOW), fast: of(FAST), trend: of(TREND) }
    }

    /// The sums with one more day.
    pub(super) fn with(self, day: Day) -> Self {
        Self { slow: self.slow.with(day), fast: self.fast.with(day), trend: self.trend.with(day) }
    }

    /// What follows for the days ahead, where one day's usage varies by `noise`, in credits squared.
    pub(super) fn outlook(&self, noise: f64) -> Outlook {
        Outlook { slow: self.slow.mean(), fast: self.fast.mean(), line: self.trend.line(noise) }
    }
}

impl Outlook {
    /// The daily mean on a day ahead, by each estimate: see [`damped_days`].
    pub(super) fn means(&self, damped: f64) -> [f64; 3] {
        [self.slow, self.fast, (self.line.height + self.line.slope * damped).max(0.0)]
    }

    /// Credits a day that each day adds.
    pub(super) fn slope(&self) -> f64 {
        self.line.slope
    }
}

/// For each day ahead, the number of days by which a damped trend has gone on: 0.98, 1.94, 2.88, …, never above 49.
pub(super) fn damped_days() -> impl Iterator<Item = f64> {
    let steps = std::iter::successors(Some(DAMPING), |step| Some(step * DAMPING));
    steps.scan(0.0, |days, step| {
        *days += step;
        Some(*days)
    })
}

impl DiscountedSums {
    /// The day becomes day 0, so all earlier ones move back by a day.
    fn with(self, day: Day) -> Self {
        let squared = self.factor_by_day_squared - 2.0 * self.factor_by_day + self.factor;
        Self {
            discount: self.discount,
            usage: self.discount * self.usage + day.usage,
            usage_by_day: self.discount * (self.usage_by_day - self.usage),
            factor: self.discount * self.factor + day.factor,
            factor_by_day: self.discount * (self.factor_by_day - self.factor),
            factor_by_day_squared: self.discount * squared,
        }
    }

    /// Usage divided by factors: a weekend with a low factor weighs as little.
    fn mean(&self) -> f64 {
        ratio(self.usage, self.factor)
    }

    /// The line of least squares. Its slope counts as far as its square exceeds [`SLOPE_VARIANCES`] of its variance:
    /// usage without a trend gets none, and a clear trend is kept nearly in full.
    fn line(&self, noise: f64) -> Line {
        let centre = ratio(self.factor_by_day, self.factor);
        let span = self.factor_by_day_squared - self.factor_by_day * centre;
        if span < SPAN_MIN {
            return Line { height: self.mean(), slope: 0.0 };
        }
        let slope = (self.usage_by_day - self.usage * centre) / span;
        let (strength, chance) = (span * square(slope), SLOPE_VARIANCES * noise);
        let slope = if chance < strength { slope * (1.0 - chance / strength) } else { 0.0 };
        Line { height: self.mean() - slope * centre, slope }
    }
}
