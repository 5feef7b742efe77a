//! `GET /api/v3/credits/statements` and `…/{month}`: statements of closed months, as JSON and as PDF.

mod closing;
mod document;
mod figures;
mod hash;
mod make;
mod sections;
mod statement;
mod usage;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::Period;
use scrip_documents::render_pdf;
use scrip_http::{ApiError, App, Caller, FileReply, QueryParams, Reply, StatementLine, may};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::Fault;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use statement::MonthlyStatement;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list_statements)).routes(routes!(monthly_statement))
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Pdf,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementQuery {
    /// `json` or `pdf`; `json` if left out.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    format: Format,
}

/// Lists the months that have a statement, the newest first: all months since the organisation was opened that are
/// closed. A month is closed by the first transaction after it; the renewal makes one in every month.
#[utoipa::path(
    get,
    path = "/api/v3/credits/statements",
    tag = "credits",
    responses((status = 200, body = Vec<StatementLine>)),
)]
async fn list_statements(State(app): State<Arc<App>>, caller: Caller<may::Read>) -> Result<Reply, ApiError> {
    let account = caller.account;
    let months = app.closed_months(account).await?;
    let months: Vec<_> = months.into_iter().map(|month| StatementLine::of(account, month)).collect();
    Reply::page(&months, None)
}

/// Returns the statement of a closed month: what each bucket had, gained and lost, what was used and what it cost, what
/// was bought, and the range of the hash chain that proves it. With `format=pdf`, the same as a document.
///
/// A statement is made once and never changes. Refunds count in the month in which they are made.
#[utoipa::path(
    get,
    path = "/api/v3/credits/statements/{month}",
    tag = "credits",
    params(("month" = String, Path, description = "A month such as 2024-01"), StatementQuery),
    responses(
        (status = 200, content((MonthlyStatement = "application/json"), (FileReply = "application/pdf"))),
        (status = 404, description = "NOT_FOUND: the month is not closed yet, or the organisation did not exist then"),
    ),
)]
async fn monthly_statement(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(month): Path<String>,
    QueryParams(StatementQuery { format }): QueryParams<StatementQuery>,
) -> Result<Response, ApiError> {
    let month = Period::try_from(month).map_err(|problem| ApiError::field("month", problem))?;
    let known = make::statement(&app, &caller, month).await?;
    match format {
        Format::Json => {
            let text = RawValue::from_string(known.text);
            let text = text.map_err(|error| Fault::corrupt("a monthly statement", error))?;
            Ok(Reply::ok(&text)?.into_response())
        }
        Format::Pdf => {
            let statement = MonthlyStatement::read(&known)?;
            let pdf = render_pdf(&document::document(&statement));
            let bytes = pdf.map_err(|error| Fault::corrupt("the PDF of a monthly statement", error))?;
            let name = format!("statement-{}.pdf", statement.number);
            Ok(FileReply { media_type: "application/pdf", name, bytes }.into_response())
        }
    }
}
