//! Documents as PDF: A4, archivable (PDF/A-2) and accessible (PDF/UA-1). The same document always becomes the same
//! bytes.

mod render;
mod tags;
#[cfg(test)]
mod tests;

pub use render::render_pdf;
