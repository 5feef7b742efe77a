//! The styles of text: one scale of sizes, three greys and one accent colour.

use std::num::Saturating;

use super::length::{Length, hundredths};

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) weight: Weight,
    pub(crate) size: Length,
    /// The height of a line.
    pub(crate) leading: Length,
    pub(crate) colour: Colour,
}

/// How heavy a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// Most text.
    Regular,
    /// Headings and totals.
    Bold,
}

/// A colour on white paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Colour {
    pub(crate) red: u8,
    pub(crate) green: u8,
    pub(crate) blue: u8,
}

impl Colour {
    /// Text.
    pub(crate) const INK: Self = Self { red: 0x1b, green: 0x1f, blue: 0x24 };
    /// Text that is less important.
    pub(crate) const MUTED: Self = Self { red: 0x5a, green: 0x64, blue: 0x70 };
    /// Lines between rows.
    pub(crate) const HAIRLINE: Self = Self { red: 0xd8, green: 0xdd, blue: 0xe3 };
    /// The accent.
    pub(crate) const ACCENT: Self = Self { red: 0x0b, green: 0x4f, blue: 0x6c };
}

impl Style {
    /// The title of a document.
    pub(crate) const TITLE: Self = Self::of(Weight::Bold, 22_000, 27_000, Colour::INK);
    /// What stands below the title.
    pub(crate) const SUBTITLE: Self = Self::of(Weight::Regular, 12_000, 16_000, Colour::MUTED);
    /// The heading of a section.
    pub(crate) const HEADING: Self = Self::of(Weight::Bold, 12_000, 16_000, Colour::ACCENT);
    /// Text, and cells of tables.
    pub(crate) const BODY: Self = Self::of(Weight::Regular, 9_000, 12_500, Colour::INK);
    /// Rows of totals.
    pub(crate) const STRONG: Self = Self::of(Weight::Bold, 9_000, 12_500, Colour::INK);
    /// Notes.
    pub(crate) const NOTE: Self = Self::of(Weight::Regular, 9_000, 12_500, Colour::MUTED);
    /// Small text: what stands below the text of a cell, and at the end of a page.
    pub(crate) const SMALL: Self = Self::of(Weight::Regular, 7_250, 10_000, Colour::MUTED);
    /// Names: of facts, of columns.
    pub(crate) const LABEL: Self = Self::of(Weight::Bold, 7_250, 10_000, Colour::MUTED);

    const fn of(weight: Weight, size: i32, leading: i32, colour: Colour) -> Self {
        Self { weight, size: Saturating(size), leading: Saturating(leading), colour }
    }

    /// How far the baseline of a line lies below its top: capitals stand in the middle of the line.
    pub(crate) fn baseline(self) -> Length {
        // Capitals are 0.66 of the size high.
        hundredths(self.leading + hundredths(self.size, 66), 50)
    }
}
