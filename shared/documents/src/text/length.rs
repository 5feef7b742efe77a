//! Lengths on a page.

use std::num::Saturating;

/// A length on a page, in thousandths of a point (1/72 inch). Whole numbers, so that a document is laid out the same on
/// every machine.
pub(crate) type Length = Saturating<i32>;

/// A part of a length.
pub(crate) fn hundredths(length: Length, count: i32) -> Length {
    Saturating(length.0.saturating_mul(count).checked_div(100).unwrap_or_default())
}

/// The length in points, for the PDF library.
#[expect(
    clippy::cast_precision_loss,
    clippy::float_arithmetic,
    reason = "a page has fewer thousandths than 2^24"
)]
pub(crate) fn points(length: Length) -> f32 {
    length.0 as f32 / 1000.0
}
