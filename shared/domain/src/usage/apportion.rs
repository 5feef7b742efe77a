//! Whole numbers in proportion to others, so that they add up.

/// Divides numbers by a positive `divisor`, so that the quotients add up to `total`: each is rounded down or up, up where the
/// remainders are largest, and of equal ones for the first. `total` is at least the sum of the quotients rounded down.
pub(super) fn apportion(numbers: &[i128], divisor: i128, total: i128) -> Vec<i64> {
    let divisor = divisor.max(1);
    let mut parts: Vec<_> = numbers.iter().map(|number| number.div_euclid(divisor)).collect();
    let floor = parts.iter().fold(0_i128, |sum, part| sum.saturating_add(*part));
    let missing = usize::try_from(total.saturating_sub(floor)).unwrap_or_default();
    let mut order: Vec<_> = numbers.iter().map(|number| number.rem_euclid(divisor)).enumerate().collect();
    order.sort_by_key(|(place, remainder)| (std::cmp::Reverse(*remainder), *place));
    for (place, _) in order.into_iter().take(missing) {
        if let Some(part) = parts.get_mut(place) {
            *part = part.saturating_add(1);
        }
    }
    parts.into_iter().map(|part| i64::try_from(part).unwrap_or(i64::MAX)).collect()
}
