//! The days that a forecast learns from.

use crate::Credits;

/// Usage of past days in credits, none below zero, oldest first: at most `days_max` of `days`, without the days
/// before the first usage, which say nothing about a customer that has begun. Days without any usage at all are kept.
///
/// A refund gives back earlier usage. So what a day is below zero is taken from the days before it, newest first.
pub(super) fn usage_of(days: &[i64], days_max: usize) -> Vec<f64> {
    let mut refunded = 0_i64;
    let newest_first = days.iter().rev().take(days_max).map(|day| {
        let net = day.saturating_sub(refunded);
        refunded = net.min(0).saturating_neg();
        fraction(net.max(0))
    });
    let mut usage: Vec<f64> = newest_first.collect();
    usage.reverse();
    let idle = usage.iter().take_while(|day| **day <= 0.0).count();
    if idle < usage.len() { usage.split_off(idle) } else { usage }
}

/// Credits as a number to calculate with: within `±Credits::MAX`, and so exact.
#[expect(clippy::cast_precision_loss, reason = "the largest number of credits, 2^53 - 1, is exact")]
pub(super) fn fraction(credits: i64) -> f64 {
    let limit = Credits::MAX.get().cast_signed();
    credits.clamp(limit.saturating_neg(), limit) as f64
}

/// The nearest number of credits, within its range.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded, and zero at least")]
pub(super) fn whole(credits: f64) -> Credits {
    let rounded = credits.max(0.0).round() as u64;
    Credits::try_from(rounded).unwrap_or(Credits::MAX)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole numbers are exact")]
mod tests {
    use super::*;

    /// net usage by day => usage by day
    #[test]
    fn a_refund_gives_back_earlier_usage() {
        for (days, expected) in [
            (&[10, 20, 30][..], &[10.0, 20.0, 30.0][..]),
            (&[10, 20, -5], &[10.0, 15.0, 0.0]),
            (&[10, 20, -25], &[5.0, 0.0, 0.0]),
            (&[10, -5, 20, -5], &[5.0, 0.0, 15.0, 0.0]),
            // More than all usage: the rest was used before.
            (&[10, 20, -45, 7], &[7.0]),
            // Days before the first usage say nothing, unless there is none at all.
            (&[0, 0, 3, 0], &[3.0, 0.0]),
            (&[0, 0, 0], &[0.0, 0.0, 0.0]),
            (&[-4, 0], &[0.0, 0.0]),
            (&[], &[]),
            // No more than five days.
            (&[9, 9, 1, 2, 3, 4, 5], &[1.0, 2.0, 3.0, 4.0, 5.0]),
            (&[i64::MAX, i64::MIN, i64::MAX], &[9_007_199_254_740_991.0]),
        ] {
            assert_eq!(usage_of(days, 5), expected, "{days:?}");
        }
    }

    #[test]
    fn credits_are_rounded_within_their_range() {
        for (number, expected) in [
            (-1.0, 0),
            (0.4, 0),
            (0.5, 1),
            (1e300, Credits::MAX.get()),
            (f64::NAN, 0),
            (f64::INFINITY, Credits::MAX.get()),
        ] {
            assert_eq!(whole(number).get(), expected, "{number}");
        }
        for limit in [i64::MIN, i64::MAX] {
            assert_eq!(fraction(limit).abs(), 9_007_199_254_740_991.0);
        }
    }
}
