use store::Catalogue;

/// The prices, plans and packages that an empty database begins with (seed: "Credit Costs",
/// "Subscription Plans", "Credit Packs"). From then on the database has them.
///
/// # Errors
/// When the file does not read, which a test rules out.
pub fn catalogue() -> serde_json::Result<Catalogue> {
    serde_json::from_str(include_str!("../../catalogue.json"))
}
