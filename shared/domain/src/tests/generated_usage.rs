//! Generated series of daily usage, as customers of different kinds make them. Reproducible: a seed gives one series.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "a generator draws small numbers from distributions"
)]

/// The days of a series: the longest history, a month and the horizon.
pub(super) const DAYS: usize = 224;

/// A kind of customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// The same mean every day.
    Steady,
    /// Busy weekdays, quiet weekends.
    Weekday,
    /// Growth by a share each day, from -0.5 % to 1.2 %.
    Growth,
    /// One day in 25 uses 5 to 10 times as much.
    Bursts,
    /// Now and then the customer wins a customer of its own, or loses one: the level moves for good.
    NewCustomers,
    /// An account in its first weeks, on its way from a fifth of its level to all of it.
    NewAccount,
    /// Usage on one day in ten to four in ten.
    Intermittent,
    /// Weekdays, slow growth and some bursts together.
    Mixed,
}

/// The mean of a day, by its number.
type Means = Box<dyn FnMut(usize, &mut Random) -> f64>;

impl Family {
    pub(super) const ALL: [Self; 8] = [
        Self::Steady,
        Self::Weekday,
        Self::Growth,
        Self::Bursts,
        Self::NewCustomers,
        Self::NewAccount,
        Self::Intermittent,
        Self::Mixed,
    ];

    /// The credits used on each day of a series, from the first usage on.
    pub(super) fn series(self, random: &mut Random) -> Vec<i64> {
        let base = random.within(5_f64.ln(), 500_f64.ln()).exp();
        let spread = random.within(0.0, 0.4);
        let mut mean = self.means(base, random);
        let usage = |day| {
            let mean = mean(day, random);
            random.usage(mean, spread)
        };
        (0..).map(usage).skip_while(|used| *used == 0).take(DAYS).collect()
    }

    /// The mean of each day.
    fn means(self, base: f64, random: &mut Random) -> Means {
        match self {
            Self::Steady => Box::new(move |_, _| base),
            Self::Weekday => {
                let (monday, weekend) = (random.within(0.8, 1.4), random.within(0.0, 0.5));
                Box::new(move |day, _| match day % 7 {
                    0 => base * monday,
                    5 | 6 => base * weekend,
                    _ => base,
                })
            }
            Self::Growth => {
                let rate = random.within(-0.005, 0.012);
                Box::new(move |day, _| base * (rate * day as f64).exp())
            }
            Self::Bursts => Box::new(move |_, random| base * random.burst(0.04, 5.0, 10.0)),
            Self::NewCustomers => {
                let mut level = base;
                Box::new(move |_, random| {
                    if random.happens(1.0 / 30.0) {
                        level += base * random.within(0.1, 0.5);
                    }
                    if random.happens(1.0 / 90.0) {
                        level *= 0.75;
                    }
                    level
                })
            }
            Self::NewAccount => {
                let days = random.within(10.0, 40.0);
                Box::new(move |day, _| base * (1.0 - 0.8 * (-(day as f64) / days).exp()))
            }
            Self::Intermittent => {
                let share = random.within(0.1, 0.4);
                Box::new(move |_, random| if random.happens(share) { base / share } else { 0.0 })
            }
            Self::Mixed => {
                let (weekend, rate) = (random.within(0.1, 0.6), random.within(-0.002, 0.006));
                Box::new(move |day, random| {
                    let weekday = if day % 7 < 5 { 1.0 } else { weekend };
                    base * weekday * random.burst(0.02, 3.0, 8.0) * (rate * day as f64).exp()
                })
            }
        }
    }
}

/// Pseudo-random numbers: SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn within(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// A whole number from `least` to `most`.
    pub(super) fn whole(&mut self, least: usize, most: usize) -> usize {
        least + self.next() as usize % (most - least + 1)
    }

    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub(super) fn burst(&mut self, probability: f64, least: f64, most: f64) -> f64 {
        if self.happens(probability) { self.within(least, most) } else { 1.0 }
    }

    /// From the normal distribution, nearly: the sum of twelve.
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Usage of a day: calls arrive by chance (Poisson) around a mean that itself varies by `spread`.
    pub(super) fn usage(&mut self, mean: f64, spread: f64) -> i64 {
        let mean = mean * (spread * self.normal() - spread * spread / 2.0).exp();
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as i64;
        }
        let (limit, mut product) = ((-mean).exp(), self.unit());
        let mut calls = 0;
        while product > limit {
            product *= self.unit();
            calls += 1;
        }
        calls
    }
}
