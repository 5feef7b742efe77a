//! Tables: rows that are never split unless one is taller than a page, and a header that repeats on each page.

use std::collections::VecDeque;
use std::num::Saturating;

use super::page::{Corner, Layout, Mark, PageFurniture};
use super::paper::{BOTTOM, CONTENT, LEFT, TOP};
use super::structure::Role;
use crate::document::{Align, Table, TableCell};
use crate::text::{Colour, Faces, Length, Line, Style, clean, hundredths, wrap};

/// Space between columns.
const GUTTER: Length = Saturating(10_000);
/// The narrowest text column.
const NARROWEST: Length = Saturating(12_000);
/// Space above and below the text of a row.
const PADDING: Length = Saturating(4_000);
/// The most lines that the name of a column has, because it repeats on each page.
const NAME_LINES_MAX: usize = 3;
/// Said in place of rows.
const NO_ROWS: &str = "No entries.";

/// A table with its text broken into lines.
pub(super) struct TableLayout {
    columns: Vec<ColumnLayout>,
    header: RowLayout,
    rows: Vec<RowLayout>,
    totals: Vec<RowLayout>,
}

/// Where the text of a column stands.
#[derive(Clone, Copy)]
struct ColumnLayout {
    left: Length,
    width: Length,
    align: Align,
}

/// What stays the same on each page of a table.
struct Frame {
    header: RowLayout,
    columns: Vec<ColumnLayout>,
}

/// The lines of each cell of a row.
#[derive(Clone, Default)]
struct RowLayout {
    cells: Vec<VecDeque<(Line, Style)>>,
}

impl TableLayout {
    pub(super) fn new(faces: &Faces, table: &Table) -> Self {
        let columns = columns(table);
        let names: Vec<_> =
            table.columns.iter().map(|column| TableCell::from(column.name.as_str())).collect();
        let row = |cells: &Vec<TableCell>, style| RowLayout::new(faces, cells, &columns, style);
        let mut header = row(&names, Style::LABEL);
        header.cells.iter_mut().for_each(|lines| lines.truncate(NAME_LINES_MAX));
        Self {
            header,
            rows: table.rows.iter().map(|cells| row(cells, Style::BODY)).collect(),
            totals: table.totals.iter().map(|cells| row(cells, Style::STRONG)).collect(),
            columns,
        }
    }

    /// The height of the header and the first row, which stay together.
    pub(super) fn beginning(&self) -> Length {
        let first = self.rows.first().map_or(Style::BODY.leading, RowLayout::height);
        (self.header.height() + first).min(hundredths(BOTTOM - TOP, 50))
    }

    fn totals_height(&self) -> Length {
        self.totals.iter().map(RowLayout::height).fold(Saturating(0), |sum, height| sum + height)
    }
}

/// Shares the width of the page among the columns.
fn columns(table: &Table) -> Vec<ColumnLayout> {
    let count = i64::try_from(table.columns.len()).unwrap_or(i64::MAX).max(1);
    let all: i64 = table.columns.iter().map(|column| i64::from(column.width.max(1))).sum();
    let gutters = i64::from(GUTTER.0).saturating_mul(count.saturating_sub(1));
    let room = i64::from(CONTENT.0).saturating_sub(gutters).max(0);
    let mut left = LEFT;
    let columns = table.columns.iter().map(|column| {
        let width =
            room.saturating_mul(column.width.max(1).into()).checked_div(all.max(1)).unwrap_or_default();
        let width = Saturating(i32::try_from(width).unwrap_or(i32::MAX)).max(NARROWEST);
        let laid = ColumnLayout { left, width, align: column.align };
        left += width + GUTTER;
        laid
    });
    columns.collect()
}

impl RowLayout {
    fn new(faces: &Faces, cells: &[TableCell], columns: &[ColumnLayout], style: Style) -> Self {
        let empty = TableCell::default();
        let cells = columns.iter().enumerate().map(|(place, column)| {
            let cell = cells.get(place).unwrap_or(&empty);
            let text = wrap(faces, &clean(&cell.text), style, column.width);
            let note = wrap(faces, &clean(&cell.note), Style::SMALL, column.width);
            let text = text.into_iter().map(|line| (line, style));
            let mut lines: VecDeque<_> =
                text.chain(note.into_iter().map(|line| (line, Style::SMALL))).collect();
            if lines.is_empty() {
                // So that a screen reader finds the cell.
                lines.push_back((Line { text: " ".to_owned(), width: Saturating(0) }, style));
            }
            lines
        });
        Self { cells: cells.collect() }
    }

    fn height(&self) -> Length {
        let heights = self.cells.iter().map(|lines| lines_height(lines.iter()));
        heights.max().unwrap_or_default() + PADDING * Saturating(2)
    }

    fn is_done(&self) -> bool {
        self.cells.iter().all(VecDeque::is_empty)
    }

    /// Takes the lines that have room in `height`, and at least one of each cell.
    fn take(&mut self, height: Length) -> Self {
        let room = height - PADDING * Saturating(2);
        let cells = self.cells.iter_mut().map(|lines| {
            let mut taken = VecDeque::new();
            let mut used = Saturating(0);
            while let Some((line, style)) = lines.pop_front() {
                used += style.leading;
                if used > room && !taken.is_empty() {
                    lines.push_front((line, style));
                    break;
                }
                taken.push_back((line, style));
            }
            taken
        });
        Self { cells: cells.collect() }
    }
}

fn lines_height<'a>(lines: impl Iterator<Item = &'a (Line, Style)>) -> Length {
    lines.fold(Saturating(0), |sum, (_, style)| sum + style.leading)
}

impl Layout<'_> {
    /// Puts a table on the page, and on as many further ones as it needs.
    pub(super) fn table(&mut self, table: TableLayout, parent: usize) {
        if table.columns.is_empty() {
            return;
        }
        let totals = table.totals_height();
        let TableLayout { columns, header, rows, totals: total_rows } = table;
        let part = self.laid.structure.add(parent, Role::Table);
        let head = self.laid.structure.add(part, Role::TableHead);
        let marks = self.row_marks(head, Role::HeaderCell, columns.len());
        self.header(header.clone(), &columns, &marks);
        let body = self.laid.structure.add(part, Role::TableBody);
        let last = rows.len().checked_sub(1);
        if rows.is_empty() {
            self.no_rows(body);
        }
        let frame = Frame { header, columns };
        for (place, row) in rows.into_iter().enumerate() {
            // Totals never stand alone on a page.
            let below = if Some(place) == last { totals } else { Saturating(0) };
            let marks = self.row_marks(body, Role::Cell, frame.columns.len());
            self.row_of(&frame, row, &marks, below);
            self.rule(LEFT, CONTENT, 400, Colour::HAIRLINE);
        }
        if !total_rows.is_empty() {
            let foot = self.laid.structure.add(part, Role::TableFoot);
            self.rule(LEFT, CONTENT, 800, Colour::INK);
            for row in total_rows {
                let marks = self.row_marks(foot, Role::Cell, frame.columns.len());
                self.row_of(&frame, row, &marks, Saturating(0));
            }
        }
    }

    /// Puts a row on this page, or on the next one if it has no room here together with what stands `below` it. A row
    /// that has no room on any page continues on the next one.
    fn row_of(&mut self, frame: &Frame, row: RowLayout, marks: &[Mark], below: Length) {
        let mut rest = row;
        if self.room() < rest.height() + below && self.has_rows(&frame.header) {
            self.next_page(frame);
        }
        loop {
            let taken = rest.take(self.room());
            self.row(taken, &frame.columns, marks);
            if rest.is_done() {
                return;
            }
            self.next_page(frame);
        }
    }

    /// Continues a table on a new page.
    fn next_page(&mut self, frame: &Frame) {
        self.break_page();
        let repeated = vec![Mark::Furniture(PageFurniture::Header); frame.columns.len()];
        self.header(frame.header.clone(), &frame.columns, &repeated);
    }

    /// Whether something besides the header of the table stands on this page, so that a new page has more room.
    fn has_rows(&self, header: &RowLayout) -> bool {
        self.laid.pages.len() == 1 || self.y > TOP + header.height()
    }

    /// The names of the columns, and the line below them.
    fn header(&mut self, header: RowLayout, columns: &[ColumnLayout], marks: &[Mark]) {
        self.row(header, columns, marks);
        self.rule(LEFT, CONTENT, 900, Colour::ACCENT);
    }

    fn no_rows(&mut self, body: usize) {
        let row = self.laid.structure.add(body, Role::Row);
        let cell = self.laid.structure.add(row, Role::Cell);
        self.y += PADDING;
        for line in wrap(self.faces, NO_ROWS, Style::NOTE, CONTENT) {
            self.text(Corner { left: LEFT, top: self.y }, line, Style::NOTE, Mark::Part(cell));
            self.y += Style::NOTE.leading;
        }
        self.y += PADDING;
    }

    /// Adds a row to the structure, and returns the marks of its cells.
    fn row_marks(&mut self, parent: usize, role: Role, cells: usize) -> Vec<Mark> {
        let row = self.laid.structure.add(parent, Role::Row);
        (0..cells).map(|_| Mark::Part(self.laid.structure.add(row, role.clone()))).collect()
    }

    /// Puts a row on this page.
    fn row(&mut self, row: RowLayout, columns: &[ColumnLayout], marks: &[Mark]) {
        let height = row.height();
        for ((lines, column), mark) in row.cells.into_iter().zip(columns).zip(marks) {
            let mut top = self.y + PADDING;
            for (line, style) in lines {
                let left = match column.align {
                    Align::Left => column.left,
                    Align::Right => column.left + column.width - line.width,
                };
                self.text(Corner { left, top }, line, style, *mark);
                top += style.leading;
            }
        }
        self.y += height;
    }
}
