//! The catalogue that an empty database starts with.

use store::Catalogue;

/// The prices, plans and packages of `infra/catalogue.json`. Once they are loaded, the database is their only source.
///
/// # Errors
/// When the file is invalid, which a test rules out.
pub fn catalogue() -> serde_json::Result<Catalogue> {
    serde_json::from_str(include_str!("../../catalogue.json"))
}
