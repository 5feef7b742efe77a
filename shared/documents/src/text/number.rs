//! Numbers as people read them.

/// A number with a sign: U+2212 for less than zero.
#[must_use]
pub fn signed(number: i128) -> String {
    let sign = match number {
        ..0 => "\u{2212}",
        0 => "",
        1.. => "+",
    };
    format!("{sign}{}", grouped(number))
}

/// The digits of a number, with a comma between thousands.
#[must_use]
pub fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
