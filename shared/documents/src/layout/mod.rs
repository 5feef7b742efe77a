//! Lays a document out on A4 pages: which text stands where, and which part of the structure it belongs to.

mod blocks;
mod furniture;
mod page;
mod paper;
mod structure;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use blocks::lay_out;
pub(crate) use page::{Item, Laid, Mark, PageFurniture};
pub(crate) use paper::{HEIGHT, WIDTH};
pub(crate) use structure::{Role, Structure};
