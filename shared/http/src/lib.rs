//! HTTP: extractors, the envelope, errors, views and the OpenAPI document. The only crate that names a status code.

mod answer_body;
mod api_keys;
mod attachment;
mod audit;
mod body;
mod caller;
mod context;
mod error;
mod etag;
mod expensive;
mod file_reply;
mod id;
mod idempotency_header;
mod idempotent;
mod identity;
mod known_parameters;
mod limits;
mod members;
mod once;
mod openapi;
mod operator;
mod page_limit;
mod parse_errors;
mod query;
mod rate_limits;
mod refusal;
mod replays;
mod reply;
mod response;
mod serve;
mod session_cookie;
pub mod timestamp;
mod unidentified;
mod verifik;
mod views;

pub use api_keys::{RollOptions, changed_key, issued_key, rolled_key};
pub use app::{
    App, Clock, CursorKey, Fatal, Listing, MissingVariable, PricedUsage, SystemClock, WeakKey, connection,
    price_usage, priced_lots, start_log,
};
pub use attachment::Attachment;
pub use audit::audit_sign_in;
pub use body::{BATCH_BYTES_MAX, BODY_BYTES_MAX, Distinct, Either, JsonBody};
pub use caller::{Caller, Needs, may};
pub use context::RequestContext;
pub use error::ApiError;
pub use etag::IfMatch;
pub use expensive::{Expensive, count_sign_in_mail};
pub use file_reply::FileReply;
pub use id::{Id, PathId};
pub use idempotency_header::IdempotencyHeader;
pub use idempotent::{Idempotent, IdempotentOptional, MaybeIdempotent};
pub use identity::{CurrentSession, OperatorCall, SignedIn, SigningIn, resume_session, sign_in_with};
pub use limits::{NoSeat, RateLimited};
pub use once::{NoFields, Once, OptionalBody, Unstarted};
pub use openapi::describe;
pub use operator::{HasDuty, LastKnownOperator, Operator, duty};
pub use page_limit::PageLimit;
pub use query::{QueryParams, Repeated, in_order};
pub use replays::SentBefore;
pub use reply::{NumberedPage, Reply};
pub use response::finish;
pub use serve::{lambda_service, serve};
pub use timestamp::Instant;
pub use unidentified::Unidentified;
pub use views::{
    AlertsView, ApiKeyView, AsOf, AuditProblem, AuditRow, AuditView, AutoRechargeView, BalanceView,
    BatchItemView, BookedView, BudgetRequestView, BudgetView, CategoryFilter, DeliveryView, ExchangeRateView,
    ExpiryField, ExportErrorView, ExportView, Happening, HoldView, InvitationView, InvitationWithToken,
    KeyOrigin, KeyView, LotPriceView, LotView, MemberLimitView, MemberView, MoneyView, MonitorView,
    NewApiKey, NewInvitation, NextActionView, OnFailureSetting, OnFailureView, OnlyField, OperationPrice,
    OrganisationView, PackageOnSale, PackageView, PlanShift, PlanTerms, PlanView, PostPaidView, ProofView,
    RateLimitField, RateLimitView, ReasonRequest, ReceiptView, RefusalView, SeatsView, Sendable,
    ServiceThreshold, SourceShare, StatementLine, StatusFilter, SubscriptionView, TeamView, TransactionView,
    WebhookView, WithSecret, invitation_link, of_kind, purchase_view,
};
