//! The paper and its margins.

use std::num::Saturating;

use crate::text::Length;

/// The width of A4.
pub(crate) const WIDTH: Length = Saturating(595_276);
/// The height of A4.
pub(crate) const HEIGHT: Length = Saturating(841_890);

/// The left edge of all content: 18 mm from that of the paper.
pub(super) const LEFT: Length = Saturating(51_024);
/// The right edge.
pub(super) const RIGHT: Length = Saturating(544_252);
/// The width of all content.
pub(super) const CONTENT: Length = Saturating(493_228);

/// Where the content of the first page begins: 20 mm from the edge of the paper.
pub(super) const TOP_OF_FIRST: Length = Saturating(56_693);
/// Where the content of further pages begins, below their header.
pub(super) const TOP: Length = Saturating(76_000);
/// Where the content of a page ends.
pub(super) const BOTTOM: Length = Saturating(776_000);
/// The top of the header of further pages.
pub(super) const HEADER: Length = Saturating(40_000);
/// The line above the footer.
pub(super) const FOOTER: Length = Saturating(790_000);
