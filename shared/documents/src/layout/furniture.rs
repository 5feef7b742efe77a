//! What stands on each page: the header of further pages, and the footer.

use std::num::Saturating;

use super::page::{Corner, Item, Laid, Mark, Page, PageFurniture};
use super::paper::{CONTENT, FOOTER, HEADER, LEFT, RIGHT};
use crate::document::Document;
use crate::text::{Colour, Faces, Length, Line, Style, clean, shortened};

/// How far the text of a footer stands below its line.
const BELOW_LINE: Length = Saturating(7_000);

/// The width of the number of the page, and that of the subtitle in a header.
const ASIDE: Length = Saturating(200_000);

/// Adds headers and footers to pages that are laid out, because only now their number is known.
pub(super) fn add(document: &Document, faces: &Faces, laid: &mut Laid) {
    let furniture = Furniture { document, faces, pages: laid.pages.len() };
    for (place, page) in (1usize..).zip(&mut laid.pages) {
        if place > 1 {
            furniture.header(page);
        }
        furniture.footer(page, place);
    }
}

struct Furniture<'a> {
    document: &'a Document,
    faces: &'a Faces,
    pages: usize,
}

impl Furniture<'_> {
    fn header(&self, page: &mut Page) {
        let mark = Mark::Furniture(PageFurniture::Header);
        let title = self.line(&self.document.title, Style::LABEL, CONTENT - ASIDE);
        let subtitle = self.line(&self.document.subtitle, Style::SMALL, ASIDE);
        let right = RIGHT - subtitle.width;
        page.items.push(Corner { left: LEFT, top: HEADER }.text(title, Style::LABEL, mark));
        page.items.push(Corner { left: right, top: HEADER }.text(subtitle, Style::SMALL, mark));
        page.items.push(rule(HEADER + Saturating(15_000)));
    }

    fn footer(&self, page: &mut Page, place: usize) {
        let mark = Mark::Furniture(PageFurniture::Footer);
        page.items.push(rule(FOOTER));
        let top = FOOTER + BELOW_LINE;
        let number = self.line(&format!("Page {place} of {}", self.pages), Style::SMALL, ASIDE);
        let right = RIGHT - number.width;
        let footer = &self.document.footer;
        let left = self.line(&footer.number, Style::LABEL, CONTENT - ASIDE);
        page.items.push(Corner { left: LEFT, top }.text(left, Style::LABEL, mark));
        page.items.push(Corner { left: right, top }.text(number, Style::SMALL, mark));
        let hash = self.line(&footer.hash, Style::SMALL, CONTENT);
        let below = if footer.number.is_empty() { top } else { top + Style::SMALL.leading };
        page.items.push(Corner { left: LEFT, top: below }.text(hash, Style::SMALL, mark));
    }

    fn line(&self, text: &str, style: Style, width: Length) -> Line {
        shortened(self.faces, &clean(text), style, width)
    }
}

fn rule(top: Length) -> Item {
    Item::Rule { left: LEFT, top, width: CONTENT, thickness: Saturating(500), colour: Colour::HAIRLINE }
}
