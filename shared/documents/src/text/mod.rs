//! Text on a page: fonts, shaping, line breaks, styles.

mod clean;
mod face;
mod length;
mod number;
mod style;
mod wrap;

pub(crate) use clean::clean;
pub(crate) use face::Faces;
pub(crate) use length::{Length, hundredths, points};
pub use number::{grouped, signed};
pub(crate) use style::{Colour, Style};
pub(crate) use wrap::{Line, shortened, wrap};
