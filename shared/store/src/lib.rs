//! The store: three DynamoDB tables, and the write path. The only crate that names the database.
//!
//! [`Ledger`] has accounts, claims and the rows of the ledger. [`Settings`] has organisations, API keys and the
//! catalogue. [`Activity`] has webhooks, deliveries, rollups of transactions, monthly statements and values of months.
//!
//! Folders depend on each other in one direction, by imports and by calls: each uses only those before it in this list.
//! `table` (keys, items, requests), `settings` and `activity` (which use `table` only), `schedule` (jobs, directory,
//! roll-forwards, test clocks), `chain` (watermark, hash chain, audit),
//! `record` (purchases, monitors, spending), `budget` (budgets, their counters, teams), `write` (claims, settling, drawdowns), `read` (statements, records, balances of
//! the past, list prices), `event` (feed, alerts), `repair` (broken accounts, wrong rollups).
//! `bulk`, with the feature of that name, makes the items of a whole history.

mod activity;
mod budget;
#[cfg(feature = "bulk")]
mod bulk;
mod chain;
mod event;
mod read;
mod record;
mod repair;
mod schedule;
mod settings;
mod table;
mod write;

pub use activity::activity_table::Activity;
pub use activity::lots::{CountedLot, CountedLots};
pub use activity::monthly_statements::StoredMonthlyStatement;
pub use activity::rollup_reads::{MonthRollups, NamedRollup, RollupsOf};
pub use activity::rollups::RollupKind;
pub use activity::webhooks::{AddedWebhook, WebhookKey};
pub use budget::budget_requests::BudgetRequestPage;
pub use budget::changes::{ApprovedRequest, BUDGETS_MAX, BudgetChanged, ChangedBudget};
pub use budget::counters::BudgetGift;
pub use budget::definitions::BudgetPage;
pub use budget::teams::{TEAMS_MAX, TeamChanged, TeamPage};
#[cfg(feature = "bulk")]
pub use bulk::books::{BulkBooks, BulkItem, BulkItems, account_item};
pub use chain::audit::AuditReport;
pub use chain::closed_month::ClosedMonth;
pub use chain::excerpt::{
    ChainPosition, ChainRange, Excerpt, ExcerptCursor, ExcerptPage, ExcerptRow, RowProof,
};
pub use chain::project::WatermarkStep;
pub use chain::raw_rows::ChainRows;
pub use chain::watermark::{Notified, Watermark};
pub use domain::{Refund, RefundAuthority, StatementQuery};
pub use event::alerts::AccountChange;
pub use event::feed::event_image;
pub use event::watch::Watch;
pub use ports::{Moment, random, secret_bytes};
pub use read::list_price::PlanPrices;
pub use read::missed::{MissedEntries, SLICE_ROWS, Slice};
pub use read::month_purchases::MonthPurchases;
pub use read::plan_history::PlanSwitch;
pub use read::records::{FoundRecord, RecordPage, RecordsQuery};
pub use read::statement::{StatementCursor, StatementPage, StatementPlace};
pub use record::monitors::{MONITORS_AT_ONCE, MonitorEvent, MonitorPage, SubjectHolder};
pub use record::spending::ReversalPoll;
pub use record::spending_today::SpendingToday;
pub use record::unbooked::UNBOOKED_MAX;
pub use repair::index_records::IndexedRecords;
pub use repair::inspect::Inspected;
pub use repair::rebuild::{Rebuild, Rebuilt, Repaired};
pub use repair::rollup_report::{MonthRollupName, RollupDifference, RollupName, RollupProblem, RollupReport};
pub use repair::rollups::RollupRebuild;
pub use schedule::directory::{DIRECTORY_SHARDS, DirectoryEntry, SweepProgress};
pub use schedule::job_list::{JobPage, JobPlace};
pub use schedule::jobs::{JOB_SHARDS, Job, JobKind, RemainderId, ScheduledJob};
pub use schedule::open_jobs::OpenJobPage;
pub use schedule::roll_forward::{AccountWaits, RollForwardPart, WAITING_MAX};
pub use settings::api_keys::KnownKey;
pub use settings::audit_log::{AuditEntry, AuditOutcome, AuditPage, AuditQuery, AuditedRequest};
pub use settings::catalogue::{CataloguePart, Unchanged};
pub use settings::invitations::{Accepted, InvitationPage, Invited, Withdrawn};
pub use settings::issued_keys::{IssuedKey, KEYS_MAX, KeyPage, ListedKey};
pub use settings::key_changes::{ChangedKey, Roll, RolledKey, RolledSecrets};
pub use settings::members::{ChangedMember, MemberPage};
pub use settings::memberships::Membership;
pub use settings::organisation_changes::OrganisationChange;
pub use settings::organisation_names::NamedPage;
pub use settings::organisations::{Organisation, Settings};
pub use settings::outage::SETTINGS_UNREAD;
pub use settings::rate_limits::RateState;
pub use settings::seats::Seats;
pub use settings::sign_ins::{KnownOwner, KnownSession};
pub use settings::signed_in_members::KnownMember;
pub use settings::snapshot::Catalogue;
pub use table::damage::Damage;
pub use table::error::{Fault, Unsettled};
pub use table::key::ClaimsOf;
pub use table::ledger::Ledger;
pub use table::stream_image::{StreamImage, account_image, account_of};
pub use write::change_request::{ChangeAttempt, ChangeRequest, ChangeStart};
pub use write::claim::{Claim, ClaimedId, system_key};
pub use write::complete::CompletedEntries;
pub use write::dedupe::{DedupeKey, DedupeRequest, DeduplicatedCharge};
pub use write::drawdown::DrawdownResult;
pub use write::drawdown_request::DrawdownRequest;
pub use write::drawdown_request::hold_details;
pub use write::ended_holds::EndedHolds;
pub use write::settle::{IN_PROGRESS_SECONDS, Settled};
