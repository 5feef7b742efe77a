//! Line breaks.

use std::num::Saturating;

use unicode_linebreak::{BreakOpportunity, linebreaks};

use super::face::{Face, Faces};
use super::length::Length;
use super::style::Style;

/// What stands at the end of a text that was cut.
const ELLIPSIS: char = '…';

/// A line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its text, with the space at which it was broken: a reader that joins lines needs it between words.
    pub(crate) text: String,
    /// Its width, without spaces at its end.
    pub(crate) width: Length,
}

/// The widths of a text up to each of its characters.
struct Widths<'a> {
    face: &'a Face,
    style: Style,
    /// Where each cluster begins, and the units before it.
    before: Vec<(usize, i64)>,
}

/// The lines of a text in a column: broken between words where Unicode allows it (UAX #14), and within a word that is
/// wider than the column. A text without characters has no line.
pub(crate) fn wrap(faces: &Faces, text: &str, style: Style, width: Length) -> Vec<Line> {
    let widths = Widths::of(faces.of(style), text, style);
    let mut breaks = linebreaks(text).peekable();
    let mut lines = Vec::new();
    let (mut start, mut allowed) = (0, 0);
    for (at, end) in widths.clusters(text) {
        while let Some((place, kind)) = breaks.next_if(|(place, _)| *place <= at) {
            if kind == BreakOpportunity::Mandatory {
                lines.push(widths.line(text, start, place));
                start = place;
            }
            allowed = place;
        }
        let is_space = text.get(at..end).is_none_or(|cluster| cluster.trim().is_empty());
        while start < at && !is_space && widths.between(start, end) > width {
            let cut = if allowed > start { allowed } else { at };
            lines.push(widths.line(text, start, cut));
            start = cut;
        }
    }
    if start < text.len() {
        lines.push(widths.line(text, start, text.len()));
    }
    lines
}

/// The text on one line: cut at its end, with an ellipsis, if it is wider than `width`.
pub(crate) fn shortened(faces: &Faces, text: &str, style: Style, width: Length) -> Line {
    let text = text.replace('\n', " ");
    let widths = Widths::of(faces.of(style), &text, style);
    if widths.between(0, text.len()) <= width {
        return widths.line(&text, 0, text.len());
    }
    let mark = Widths::of(faces.of(style), &ELLIPSIS.to_string(), style).between(0, ELLIPSIS.len_utf8());
    let fits = |end: &usize| widths.between(0, *end) + mark <= width;
    let end = widths.clusters(&text).map(|(at, _)| at).take_while(fits).last().unwrap_or_default();
    let cut = format!("{}{ELLIPSIS}", text.get(..end).unwrap_or_default().trim_end());
    let widths = Widths::of(faces.of(style), &cut, style);
    widths.line(&cut, 0, cut.len())
}

impl<'a> Widths<'a> {
    fn of(face: &'a Face, text: &str, style: Style) -> Self {
        let mut before = Vec::new();
        let mut units = 0i64;
        for glyph in face.shape(text) {
            if before.last().is_none_or(|(start, _)| *start != glyph.start) {
                before.push((glyph.start, units));
            }
            units = units.saturating_add(glyph.advance.into());
        }
        before.push((text.len(), units));
        Self { face, style, before }
    }

    /// The beginning and the end of each cluster.
    fn clusters(&self, text: &str) -> impl Iterator<Item = (usize, usize)> + use<'_, 'a> {
        let length = text.len();
        let ends = self.before.iter().skip(1).map(|(start, _)| *start);
        self.before.iter().map(|(start, _)| *start).zip(ends).filter(move |(start, _)| *start < length)
    }

    /// The width between two places that are beginnings of clusters, or the end.
    fn between(&self, start: usize, end: usize) -> Length {
        let units = self.at(end).saturating_sub(self.at(start));
        self.face.length(units, self.style.size)
    }

    fn at(&self, place: usize) -> i64 {
        let found = self.before.partition_point(|(start, _)| *start < place);
        self.before.get(found).or(self.before.last()).map_or(0, |(_, units)| *units)
    }

    fn line(&self, text: &str, start: usize, end: usize) -> Line {
        let text = text.get(start..end).unwrap_or_default().trim_end_matches('\n');
        let end = start.saturating_add(text.trim_end().len());
        let trimmed = text.trim_end().len();
        let kept = if trimmed < text.len() { format!("{} ", text.trim_end()) } else { text.to_owned() };
        let width = if trimmed == 0 { Saturating(0) } else { self.between(start, end) };
        Line { text: kept, width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, width: i32) -> Vec<String> {
        let faces = Faces::load().unwrap();
        let lines = wrap(&faces, text, Style::BODY, Saturating(width));
        for line in &lines {
            // What is wider is a single letter, with its accent.
            let letters = line.text.trim().chars().count();
            assert!(line.width <= Saturating(width) || letters <= 2, "{line:?}");
        }
        lines.into_iter().map(|line| line.text).collect()
    }

    /// text, width in points => lines
    #[test]
    fn text_breaks_between_words() {
        for (text, width, expected) in [
            ("", 100, &[][..]),
            ("one", 100, &["one"]),
            ("one two three", 40, &["one two ", "three"]),
            ("one\ntwo", 100, &["one", "two"]),
            ("one\n\ntwo", 100, &["one", "", "two"]),
            ("one   two", 18, &["one ", "two"]),
            ("1,234,567", 100, &["1,234,567"]),
            ("txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", 90, &["txn_01HM6QY8R0Z3V9", "Q2T5W7X8Y9ZA"]),
            ("a", 0, &["a"]),
            ("ab", 0, &["a", "b"]),
            ("\u{738b}\u{660e}\u{738b}\u{660e}", 15, &["\u{738b}\u{660e}", "\u{738b}\u{660e}"]),
        ] {
            assert_eq!(lines(text, width * 1000), expected, "{text:?}");
        }
    }

    /// Nothing is lost but spaces and line breaks, whatever the width.
    #[test]
    fn nothing_is_lost() {
        let text =
            "Łódź \u{738b}\u{660e}\u{1f980} e\u{301}clair, verif_0123456789abcdef; 12,345.67 \u{5d0} (end)";
        for width in 0..120 {
            let kept: String = lines(text, width * 1000).concat().split_whitespace().collect();
            assert_eq!(kept, text.split_whitespace().collect::<String>(), "{width}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let faces = Faces::load().unwrap();
        for width in [0, 3_000, 20_000, 60_000] {
            let line =
                shortened(&faces, "A name that is long\nand has lines", Style::BODY, Saturating(width));
            assert!(line.text.ends_with(ELLIPSIS), "{line:?}");
            assert!(line.width <= Saturating(width.max(9_000)), "{line:?}");
        }
        let line = shortened(&faces, "Short", Style::BODY, Saturating(60_000));
        assert_eq!(line.text, "Short");
    }
}
