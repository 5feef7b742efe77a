//! Writes the pages of a document.

use std::num::Saturating;

use chrono::{Datelike, Timelike};
use krilla::Document as Pdf;
use krilla::SerializeSettings;
use krilla::color::rgb;
use krilla::configure::{Accessibility, Archival, Configuration, ConfigurationBuilder};
use krilla::destination::XyzDestination;
use krilla::geom::{PathBuilder, Point, Rect};
use krilla::metadata::{DateTime, Metadata};
use krilla::num::NormalizedF32;
use krilla::outline::{Outline, OutlineNode};
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;
use krilla::tagging::{Artifact, ArtifactType, ContentTag, SpanTag};

use super::tags::Tags;
use crate::document::Document;
use crate::error::DocumentError;
use crate::layout::{HEIGHT, Item, Laid, Mark, PageFurniture, WIDTH, lay_out};
use crate::text::{Colour, Faces, Length, clean, points};

/// The language of documents.
pub(super) const LANGUAGE: &str = "en-GB";

/// The program that made a document, in its metadata.
const CREATOR: &str = "Scrip";

/// The title of a document that has none.
const UNTITLED: &str = "Document";

/// The most parts that a document with tags may have. Each takes about 120 bytes that are not compressed, so a longer
/// document has no tags.
const TAGGED_PARTS_MAX: usize = 40_000;

/// The document as PDF.
///
/// # Errors
/// [`DocumentError::Font`] and [`DocumentError::Pdf`], which depend on this crate alone and not on the document.
pub fn render_pdf(document: &Document) -> Result<Vec<u8>, DocumentError> {
    let faces = Faces::load()?;
    let laid = lay_out(document, &faces);
    let is_tagged = laid.structure.len() <= TAGGED_PARTS_MAX;
    let mut pdf = Pdf::new_with(SerializeSettings {
        configuration: configuration(is_tagged)?,
        enable_tagging: is_tagged,
        ..SerializeSettings::default()
    });
    pdf.set_metadata(metadata(document));
    pdf.set_outline(outline(document, &laid));
    let mut tags = Tags::new(&laid.structure);
    for page in &laid.pages {
        let size = PageSettings::from_wh(points(WIDTH), points(HEIGHT)).unwrap_or_default();
        let mut sheet = pdf.start_page_with(size);
        let mut pen = Pen { surface: sheet.surface(), faces: &faces, tags: &mut tags, open: None };
        for item in &page.items {
            pen.draw(item);
        }
        pen.finish();
    }
    if is_tagged {
        pdf.set_tag_tree(tags.tree());
    }
    pdf.finish().map_err(|error| DocumentError::Pdf(format!("{error:?}")))
}

fn configuration(is_tagged: bool) -> Result<Configuration, DocumentError> {
    let builder = ConfigurationBuilder::new();
    let builder = if is_tagged {
        builder.with_archival_validator(Archival::A2_A).with_accessibility_validator(Accessibility::UA1)
    } else {
        builder.with_archival_validator(Archival::A2_U)
    };
    builder.finish().map_err(|error| DocumentError::Pdf(format!("{error:?}")))
}

fn metadata(document: &Document) -> Metadata {
    let at = document.dated;
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    let date = DateTime::new(u16::try_from(at.year()).unwrap_or_default()).month(small(at.month()));
    let date = date.day(small(at.day())).hour(small(at.hour())).minute(small(at.minute()));
    Metadata::new()
        .title(title(document))
        .language(LANGUAGE.to_owned())
        .creator(CREATOR.to_owned())
        .creation_date(date.second(small(at.second())).utc_offset_hour(0).utc_offset_minute(0))
}

/// The title in the metadata, which may not be empty.
fn title(document: &Document) -> String {
    let parts = [&document.title, &document.subtitle].map(|text| line(text));
    let parts: Vec<_> = parts.into_iter().filter(|text| !text.trim().is_empty()).collect();
    if parts.is_empty() { UNTITLED.to_owned() } else { parts.join(", ") }
}

/// A text for the metadata, which have a limit of 32 kB.
fn line(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    clean(text).replace('\n', " ").chars().take(CHARS_MAX).collect()
}

/// The headings, by which a reader moves through the document.
fn outline(document: &Document, laid: &Laid) -> Outline {
    let mut outline = Outline::new();
    if laid.headings.is_empty() {
        outline.push_child(OutlineNode::new(
            title(document),
            XyzDestination::new(0, point(Saturating(0), Saturating(0))),
        ));
    }
    for heading in &laid.headings {
        let place = XyzDestination::new(heading.page, point(Saturating(0), heading.top));
        outline.push_child(OutlineNode::new(line(&heading.text), place));
    }
    outline
}

/// Draws on one page.
struct Pen<'a, 'd> {
    surface: Surface<'a>,
    faces: &'a Faces,
    tags: &'a mut Tags<'d>,
    /// What the items that were drawn last belong to.
    open: Option<Mark>,
}

impl Pen<'_, '_> {
    fn draw(&mut self, item: &Item) {
        match item {
            Item::Text { left, baseline, text, style, mark } => {
                let face = self.faces.of(*style);
                let glyphs = face.drawn(&face.shape(text));
                if glyphs.is_empty() {
                    return;
                }
                self.belong(*mark);
                self.surface.set_fill(Some(fill(style.colour)));
                let (start, size) = (point(*left, *baseline), points(style.size));
                self.surface.draw_glyphs(start, &glyphs, face.font(), text, size, false);
            }
            Item::Rule { left, top, width, thickness, colour } => {
                self.belong(Mark::Furniture(PageFurniture::Line));
                let mut path = PathBuilder::new();
                let area = Rect::from_xywh(points(*left), points(*top), points(*width), points(*thickness));
                area.into_iter().for_each(|area| path.push_rect(area));
                self.surface.set_fill(Some(fill(*colour)));
                path.finish().iter().for_each(|path| self.surface.draw_path(path));
            }
        }
    }

    /// What is drawn from now on belongs to `mark`.
    fn belong(&mut self, mark: Mark) {
        if self.open == Some(mark) {
            return;
        }
        self.close();
        match mark {
            Mark::Part(part) => {
                let content = self.surface.start_tagged(ContentTag::Span(SpanTag::empty()));
                self.tags.add(part, content);
            }
            Mark::Furniture(furniture) => {
                let artifact = Artifact::with_kind(match furniture {
                    PageFurniture::Header => ArtifactType::Header,
                    PageFurniture::Footer => ArtifactType::Footer,
                    PageFurniture::Line => ArtifactType::Layout,
                });
                self.surface.start_tagged(ContentTag::Artifact(artifact));
            }
        }
        self.open = Some(mark);
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            self.surface.end_tagged();
        }
    }

    fn finish(mut self) {
        self.close();
        self.surface.finish();
    }
}

fn point(left: Length, top: Length) -> Point {
    Point::from_xy(points(left), points(top))
}

fn fill(colour: Colour) -> Fill {
    let Colour { red, green, blue } = colour;
    Fill {
        paint: rgb::Color::new(red, green, blue).into(),
        opacity: NormalizedF32::ONE,
        rule: FillRule::default(),
    }
}
