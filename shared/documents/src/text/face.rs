//! The two fonts, and the glyphs of a text.
//!
//! Source Sans 3, version 3.052 (SIL Open Font License, `fonts/LICENSE-OFL`) has Latin, Greek and Cyrillic letters, and
//! figures of equal width. Any other character is shown as a box; a reader who copies the box gets the character.

use std::cell::RefCell;
use std::collections::BTreeMap;

use harfrust::{Direction, FontRef, ShapeOptions, ShapePlan, ShaperData, UnicodeBuffer, script};
use krilla::text::{Font, GlyphId, KrillaGlyph};

use super::length::Length;
use super::style::{Style, Weight};
use crate::error::DocumentError;

static REGULAR: &[u8] = include_bytes!("../../fonts/SourceSans3-Regular.ttf");
static BOLD: &[u8] = include_bytes!("../../fonts/SourceSans3-SemiBold.ttf");

/// What is shown for a character that the fonts lack.
const BOX: char = '□';

/// Both fonts.
pub(crate) struct Faces {
    regular: Face,
    bold: Face,
}

/// A font.
pub(crate) struct Face {
    font: Font,
    parsed: FontRef<'static>,
    data: ShaperData,
    plan: ShapePlan,
    units_per_em: i32,
    /// Whether it has a character, for those that were asked for.
    known: RefCell<BTreeMap<char, bool>>,
}

/// A glyph of a text. Its advance and offsets are in the font's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glyph {
    id: u32,
    pub(crate) advance: i32,
    offset: (i32, i32),
    /// The bytes of the text that it shows.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Faces {
    /// The fonts of this crate.
    pub(crate) fn load() -> Result<Self, DocumentError> {
        let regular = Face::load(REGULAR).ok_or(DocumentError::Font("SourceSans3-Regular"))?;
        let bold = Face::load(BOLD).ok_or(DocumentError::Font("SourceSans3-SemiBold"))?;
        Ok(Self { regular, bold })
    }

    /// The font of a style.
    pub(crate) fn of(&self, style: Style) -> &Face {
        match style.weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }
}

impl Face {
    fn load(bytes: &'static [u8]) -> Option<Self> {
        let font = Font::new(bytes.into(), 0)?;
        let parsed = FontRef::from_index(bytes, 0).ok()?;
        let data = ShaperData::new(&parsed);
        let (units_per_em, plan) = {
            let shaper = data.shaper(&parsed).build();
            let plan = ShapePlan::new(&shaper, Direction::LeftToRight, Some(script::LATIN), None, &[]);
            (shaper.units_per_em(), plan)
        };
        Some(Self { font, parsed, data, plan, units_per_em, known: RefCell::default() })
    }

    /// The font, for the PDF library.
    pub(crate) fn font(&self) -> Font {
        self.font.clone()
    }

    /// The glyphs of a text, from left to right. Every character that the font lacks is a box.
    pub(crate) fn shape(&self, text: &str) -> Vec<Glyph> {
        let shown = text.char_indices().map(|(start, letter)| {
            let is_known = letter.is_ascii() || self.has(letter);
            (start, if is_known { letter } else { BOX })
        });
        let mut glyphs = self.glyphs(shown);
        // A glyph shows the text up to the next one. Glyphs of one cluster show the same text.
        let mut next = text.len();
        for place in (0..glyphs.len()).rev() {
            let following = glyphs.get(place.saturating_add(1)).map(|glyph| (glyph.start, glyph.end));
            let Some(glyph) = glyphs.get_mut(place) else { continue };
            if let Some((start, end)) = following {
                next = if start == glyph.start { end } else { start };
            }
            glyph.end = next;
        }
        glyphs
    }

    fn glyphs(&self, letters: impl Iterator<Item = (usize, char)>) -> Vec<Glyph> {
        let mut buffer = UnicodeBuffer::new();
        for (start, letter) in letters {
            buffer.add(letter, u32::try_from(start).unwrap_or(u32::MAX));
        }
        buffer.set_direction(Direction::LeftToRight);
        buffer.set_script(script::LATIN);
        let options = ShapeOptions::new().plan(Some(&self.plan));
        let shaped = self.data.shaper(&self.parsed).build().shape(buffer, options);
        let glyphs = shaped.glyph_infos().iter().zip(shaped.glyph_positions());
        let glyphs = glyphs.map(|(info, position)| Glyph {
            id: info.glyph_id,
            advance: position.x_advance,
            offset: (position.x_offset, position.y_offset),
            start: usize::try_from(info.cluster).unwrap_or(usize::MAX),
            end: usize::MAX,
        });
        glyphs.collect()
    }

    /// Whether the font has a character, or the character is invisible.
    fn has(&self, letter: char) -> bool {
        if let Some(known) = self.known.borrow().get(&letter) {
            return *known;
        }
        let has = self.glyphs([(0, letter)].into_iter()).iter().all(|glyph| glyph.id != 0);
        self.known.borrow_mut().insert(letter, has);
        has
    }

    /// A number of the font's units, in a size.
    pub(crate) fn length(&self, units: i64, size: Length) -> Length {
        let length = units.saturating_mul(size.0.into()).checked_div(self.units_per_em.into());
        let length = length.unwrap_or_default().clamp(0, i32::MAX.into());
        std::num::Saturating(i32::try_from(length).unwrap_or(i32::MAX))
    }

    /// Glyphs for the PDF library.
    pub(crate) fn drawn(&self, glyphs: &[Glyph]) -> Vec<KrillaGlyph> {
        let drawn = glyphs.iter().map(|glyph| KrillaGlyph {
            glyph_id: GlyphId::new(glyph.id),
            text_range: glyph.start..glyph.end,
            x_advance: self.ems(glyph.advance),
            x_offset: self.ems(glyph.offset.0),
            y_offset: self.ems(glyph.offset.1),
            y_advance: 0.0,
            location: None,
        });
        drawn.collect()
    }

    /// A number of the font's units as a part of the size.
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_arithmetic,
        reason = "glyphs are some thousand units wide"
    )]
    fn ems(&self, units: i32) -> f32 {
        units as f32 / self.units_per_em as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// text => the parts of it that its glyphs show
    #[test]
    fn glyphs_name_the_text_that_they_show() {
        let faces = Faces::load().unwrap();
        for (text, parts) in [
            ("", &[][..]),
            ("ab", &["a", "b"]),
            ("\u{e9}x", &["\u{e9}", "x"]),
            ("e\u{301}x", &["e\u{301}", "x"]),
            ("a\u{738b}b", &["a", "\u{738b}", "b"]),
            ("\u{5d0}\u{5d1}", &["\u{5d0}", "\u{5d1}"]),
            ("\u{1f980}", &["\u{1f980}"]),
        ] {
            let glyphs = faces.of(Style::BODY).shape(text);
            let shown: Vec<_> = glyphs.iter().map(|glyph| &text[glyph.start..glyph.end]).collect();
            assert_eq!(shown, parts, "{text}");
        }
    }

    #[test]
    fn figures_have_equal_widths() {
        let faces = Faces::load().unwrap();
        for style in [Style::BODY, Style::STRONG] {
            let advances: Vec<_> =
                faces.of(style).shape("0123456789").iter().map(|glyph| glyph.advance).collect();
            assert!(advances.iter().all(|advance| *advance == advances[0]), "{advances:?}");
        }
    }

    /// No text has a glyph that shows nothing of it, or the glyph for characters that a font lacks.
    #[test]
    fn every_character_has_a_glyph() {
        let faces = Faces::load().unwrap();
        let face = faces.of(Style::BODY);
        for letter in ('\0'..=char::MAX).step_by(7).filter(|letter| !letter.is_control()) {
            let text = format!("a{letter}b");
            for glyph in face.shape(&text) {
                assert!(glyph.id != 0 && glyph.start < glyph.end, "{letter:?} {glyph:?}");
                assert!(text.get(glyph.start..glyph.end).is_some(), "{letter:?}");
            }
        }
    }
}
