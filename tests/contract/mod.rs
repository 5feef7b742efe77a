//! Whether Scrip agrees with its documents, with its own architecture and with other implementations.

mod alarm;
mod architecture;
mod authorisation;
mod aws;
mod capabilities;
mod deployment;
mod event_schemas;
mod events;
mod foreign_ids;
mod job_limits;
mod ledger_verifier;
mod openapi;
mod pages;
mod queue_handlers;
mod secrets;
mod seed;
mod seller;
mod stack;
mod stripe;
mod webhook_signatures;
