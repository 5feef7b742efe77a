//! What callers see, what races and crashes leave, and what the house may not do.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that overflows or finds nothing fails, as it should"
)]

mod agenda;
mod alerts;
mod architecture;
mod audit;
mod aws;
mod bad_input;
mod batch;
mod broken_accounts;
mod broken_ledgers;
mod calendar_crashes;
mod calendar_model;
mod calendar_store;
mod capacity;
mod catalogue;
mod catalogue_changes;
mod catalogue_input;
mod chain;
mod chain_crashes;
mod costs;
mod crashes;
mod cursors;
mod delivery_crashes;
mod dispute_crashes;
mod draw_crashes;
mod draw_races;
mod ended_holds;
mod events;
mod field_errors;
mod first_steps;
mod holds;
mod hooks;
mod idempotent_routes;
mod idempotent_settings;
mod keys;
mod late_writes;
mod local_machine;
mod lost_records;
mod model;
mod money_faults;
mod monitor_price;
mod monitors;
mod net;
mod notes;
mod openapi;
mod past;
mod payment_refund_crashes;
mod payment_refunds;
mod payments_crashes;
mod plan_changes;
mod pots;
mod purchase;
mod queries;
mod races;
mod recharge;
mod recharge_crashes;
mod recharge_limits;
mod refund;
mod refund_window;
mod remainder_costs;
mod remainder_faults;
mod rivals;
mod schemas;
mod seed;
mod settings_races;
mod skipped_alarm;
mod spendable;
mod spending;
mod statement;
mod store_races;
mod stripe;
mod stripe_fake;
mod subscription;
mod terms;
mod test_clock;
mod time;
mod usage_shards;
mod verifiers;
mod webhooks;
mod webhooks_log;
mod webhooks_owner;
