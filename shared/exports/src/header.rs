//! What a file of transactions says about itself.

use domain::{Direction, Export, StatementQuery};
use scrip_documents::Fact;

/// What the file of an export says about itself. It is the same in every attempt.
pub(crate) fn header(export: &Export) -> scrip_documents::Export {
    scrip_documents::Export {
        organisation: export.organisation.clone(),
        from: export.query.from,
        until: export.query.to,
        filters: filters(&export.query),
        made_at: export.made_at,
        byte_order_mark: false,
    }
}

/// The filters of a statement, under their names in the API.
fn filters(query: &StatementQuery) -> Vec<Fact> {
    let text =
        |reference: &Option<domain::Reference>| reference.as_ref().map(|name| name.as_str().to_owned());
    let status = |on_account: bool| if on_account { "postPaid" } else { "approved" };
    let filters = [
        ("type", query.direction.map(Direction::as_str).map(str::to_owned)),
        ("operation", query.operation.as_ref().map(|name| name.as_str().to_owned())),
        ("customerId", text(&query.customer)),
        ("memberId", text(&query.member)),
        ("service", query.service.map(|service| service.as_str().to_owned())),
        ("status", query.on_account.map(status).map(str::to_owned)),
        ("keyId", query.key.map(|key| key.to_string())),
        ("resourceId", text(&query.resource)),
    ];
    filters.into_iter().filter_map(|(name, value)| Some(Fact::new(name, value?))).collect()
}
