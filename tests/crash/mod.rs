//! What remains after crashes, lost writes, lost stream records and damaged items: one effect, and nothing lost.

mod auto_recharge;
mod auto_recharge_steps;
mod calendar;
mod chain;
mod conflicting_payments;
mod daily_spending;
mod debit;
mod disputes;
mod drawdown_result;
mod drawdowns;
mod late_writes;
mod lost_records;
mod payment_refunds;
mod payments;
mod remainders;
mod scheduled_jobs;
mod tampered_remainders;
mod tampering;
mod unreadable_accounts;
mod unreadable_items;
mod webhook_delivery;
