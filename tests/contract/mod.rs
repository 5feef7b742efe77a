//! Whether Scrip agrees with its documents, with its own architecture and with other implementations.

mod alarm;
mod architecture;
mod aws;
mod capabilities;
mod event_schemas;
mod events;
mod job_limits;
mod ledger_verifier;
mod openapi;
mod pages;
mod seed;
mod stripe;
mod webhook_signatures;
