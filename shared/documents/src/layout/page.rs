//! Pages that are laid out, and the place on the current one.

use std::num::Saturating;

use super::paper::{BOTTOM, TOP, TOP_OF_FIRST};
use super::structure::Structure;
use crate::text::{Colour, Faces, Length, Line, Style};

/// A laid out document.
#[derive(Debug)]
pub(crate) struct Laid {
    pub(crate) pages: Vec<Page>,
    pub(crate) structure: Structure,
    /// The headings, with the index of their page and their place on it.
    pub(crate) headings: Vec<HeadingPlace>,
}

/// Where a heading stands.
#[derive(Clone, Debug)]
pub(crate) struct HeadingPlace {
    pub(crate) text: String,
    pub(crate) page: usize,
    pub(crate) top: Length,
}

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) items: Vec<Item>,
}

/// Something on a page. Lengths are from its left and its top.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// A line of text.
    Text { left: Length, baseline: Length, text: String, style: Style, mark: Mark },
    /// A horizontal line.
    Rule { left: Length, top: Length, width: Length, thickness: Length, colour: Colour },
}

/// The upper left corner of a line of text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Corner {
    pub(super) left: Length,
    pub(super) top: Length,
}

impl Corner {
    /// The line of text.
    pub(super) fn text(self, line: Line, style: Style, mark: Mark) -> Item {
        let Self { left, top } = self;
        Item::Text { left, baseline: top + style.baseline(), text: line.text, style, mark }
    }
}

/// What an item belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A part of the structure.
    Part(usize),
    /// Nothing that a screen reader reads.
    Furniture(PageFurniture),
}

/// What repeats on each page, or has no meaning of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageFurniture {
    /// The header of a page, or that of a table which continues on it.
    Header,
    /// The footer of a page.
    Footer,
    /// A line.
    Line,
}

/// Puts text on pages, from top to bottom.
pub(super) struct Layout<'a> {
    pub(super) faces: &'a Faces,
    pub(super) laid: Laid,
    /// Where the next text stands.
    pub(super) y: Length,
}

impl<'a> Layout<'a> {
    pub(super) fn new(faces: &'a Faces) -> Self {
        let laid = Laid { pages: vec![Page::default()], structure: Structure::default(), headings: vec![] };
        Self { faces, laid, y: TOP_OF_FIRST }
    }

    /// The height that is left on the page.
    pub(super) fn room(&self) -> Length {
        BOTTOM - self.y
    }

    /// Continues at the top of a new page.
    pub(super) fn break_page(&mut self) {
        self.laid.pages.push(Page::default());
        self.y = TOP;
    }

    /// Continues on a new page if `height` has no room on this one. What has no room on any page stays.
    pub(super) fn ensure(&mut self, height: Length) {
        if self.room() < height.min(BOTTOM - TOP) {
            self.break_page();
        }
    }

    /// Leaves some space; none at the top of a page.
    pub(super) fn skip(&mut self, height: Length) {
        if self.y > TOP || self.laid.pages.len() <= 1 {
            self.y += height;
        }
    }

    pub(super) fn push(&mut self, item: Item) {
        if let Some(page) = self.laid.pages.last_mut() {
            page.items.push(item);
        }
    }

    /// Puts a line of text on the page.
    pub(super) fn text(&mut self, corner: Corner, line: Line, style: Style, mark: Mark) {
        self.push(corner.text(line, style, mark));
    }

    pub(super) fn rule(&mut self, left: Length, width: Length, thickness: i32, colour: Colour) {
        self.push(Item::Rule { left, top: self.y, width, thickness: Saturating(thickness), colour });
    }
}
