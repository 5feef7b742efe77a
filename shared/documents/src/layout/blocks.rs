//! The parts of a document, from top to bottom: title, facts, sections.

use std::num::Saturating;

use super::furniture;
use super::page::{Corner, HeadingPlace, Laid, Layout, Mark};
use super::paper::{BOTTOM, CONTENT, LEFT, TOP};
use super::structure::{Role, Structure};
use super::table::TableLayout;
use crate::document::{Document, Fact, Section};
use crate::text::{Colour, Faces, Length, Line, Style, clean, hundredths, wrap};

/// The bar above the title.
const BAR: (Length, i32) = (Saturating(30_000), 2_400);
/// Space around the facts, and before a section.
const SPACE: Length = Saturating(22_000);
/// Space between the two columns of facts.
const GUTTER: Length = Saturating(24_000);
/// Space between rows of facts.
const FACT_SPACE: Length = Saturating(9_000);

/// Lays a document out.
pub(crate) fn lay_out(document: &Document, faces: &Faces) -> Laid {
    let mut layout = Layout::new(faces);
    layout.title(document);
    layout.facts(&document.facts);
    for section in &document.sections {
        layout.section(section);
    }
    furniture::add(document, faces, &mut layout.laid);
    layout.laid
}

impl Layout<'_> {
    fn title(&mut self, document: &Document) {
        self.rule(LEFT, BAR.0, BAR.1, Colour::ACCENT);
        self.y += Saturating(14_000);
        let title = self.laid.structure.add(Structure::ROOT, Role::Title);
        self.paragraph(&document.title, Style::TITLE, title);
        if !document.subtitle.is_empty() {
            self.y += Saturating(2_000);
            let subtitle = self.laid.structure.add(Structure::ROOT, Role::Paragraph);
            self.paragraph(&document.subtitle, Style::SUBTITLE, subtitle);
        }
    }

    /// The facts, in two columns.
    fn facts(&mut self, facts: &[Fact]) {
        if facts.is_empty() {
            return;
        }
        self.y += SPACE;
        let list = self.laid.structure.add(Structure::ROOT, Role::List);
        let width = hundredths(CONTENT - GUTTER, 50);
        for pair in facts.chunks(2) {
            let lines = pair.iter().map(|fact| self.fact_lines(fact, width));
            let lines: Vec<_> = lines.collect();
            let height =
                lines.iter().map(|(label, value)| height(label, Style::LABEL) + height(value, Style::BODY));
            let height = height.max().unwrap_or_default();
            if height > BOTTOM - TOP {
                self.long_facts(list, pair);
                continue;
            }
            self.ensure(height);
            let mut left = LEFT;
            for (label, value) in lines {
                self.fact(list, left, label, value);
                left += width + GUTTER;
            }
            self.y += height + FACT_SPACE;
        }
        self.y -= FACT_SPACE;
    }

    /// Facts that have no room on one page: one below the other, across the page.
    fn long_facts(&mut self, list: usize, facts: &[Fact]) {
        for fact in facts {
            let item = self.laid.structure.add(list, Role::ListItem);
            let label = self.laid.structure.add(item, Role::ListLabel);
            self.paragraph(&fact.label, Style::LABEL, label);
            let value = self.laid.structure.add(item, Role::ListBody);
            self.paragraph(&fact.value, Style::BODY, value);
            self.y += FACT_SPACE;
        }
    }

    fn fact_lines(&self, fact: &Fact, width: Length) -> (Vec<Line>, Vec<Line>) {
        let label = wrap(self.faces, &clean(&fact.label), Style::LABEL, width);
        (label, wrap(self.faces, &clean(&fact.value), Style::BODY, width))
    }

    fn fact(&mut self, list: usize, left: Length, label: Vec<Line>, value: Vec<Line>) {
        let item = self.laid.structure.add(list, Role::ListItem);
        let mut top = self.y;
        for (lines, style, role) in
            [(label, Style::LABEL, Role::ListLabel), (value, Style::BODY, Role::ListBody)]
        {
            let part = self.laid.structure.add(item, role);
            for line in lines {
                self.text(Corner { left, top }, line, style, Mark::Part(part));
                top += style.leading;
            }
        }
    }

    fn section(&mut self, section: &Section) {
        let parent = self.laid.structure.add(Structure::ROOT, Role::Section);
        let table = section.table.as_ref().map(|table| TableLayout::new(self.faces, table));
        self.skip(SPACE);
        // A heading stays with the beginning of what it is about.
        let note = section.note.as_deref().map(clean);
        let note_lines = note.as_deref().map_or(0, |note| wrap(self.faces, note, Style::NOTE, CONTENT).len());
        let begins = table.as_ref().map_or(Style::BODY.leading, TableLayout::beginning);
        let note_height = Style::NOTE.leading * Saturating(i32::try_from(note_lines).unwrap_or(i32::MAX));
        self.ensure(Style::HEADING.leading + note_height + begins + SPACE);
        self.heading(&section.heading, parent);
        if let Some(note) = note {
            let part = self.laid.structure.add(parent, Role::Paragraph);
            self.paragraph(&note, Style::NOTE, part);
        }
        if let Some(table) = table {
            self.y += Saturating(7_000);
            self.table(table, parent);
        }
        for paragraph in &section.paragraphs {
            self.skip(Saturating(7_000));
            let part = self.laid.structure.add(parent, Role::Paragraph);
            self.paragraph(paragraph, Style::BODY, part);
        }
    }

    fn heading(&mut self, text: &str, parent: usize) {
        let text = clean(text);
        if text.trim().is_empty() {
            return;
        }
        let page = self.laid.pages.len().saturating_sub(1);
        self.laid.headings.push(HeadingPlace { text: text.to_string(), page, top: self.y });
        let part = self.laid.structure.add(parent, Role::Heading(text.to_string()));
        self.paragraph(&text, Style::HEADING, part);
    }

    /// Text across the page, which continues on the next one where it has to.
    fn paragraph(&mut self, text: &str, style: Style, part: usize) {
        for line in wrap(self.faces, &clean(text), style, CONTENT) {
            if self.room() < style.leading {
                self.break_page();
            }
            self.text(Corner { left: LEFT, top: self.y }, line, style, Mark::Part(part));
            self.y += style.leading;
        }
    }
}

/// The height of some lines.
fn height(lines: &[Line], style: Style) -> Length {
    style.leading * Saturating(i32::try_from(lines.len()).unwrap_or(i32::MAX))
}
