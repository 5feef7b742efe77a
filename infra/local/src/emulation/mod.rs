//! Emulates the AWS services around the functions: the stream, the queues, the event bus, the schedules, KMS and SES.

mod event_bus;
mod export_queue;
mod functions;
mod idle;
mod kms;
mod mail;
mod payment_events;
mod queue;
mod recharge_queue;
mod renewal_queue;
mod renewal_schedule;
mod schedule;
mod stream;

pub(crate) use event_bus::{InProcessEventBus, deliver_to_all, deliver_webhooks};
pub(crate) use export_queue::make_exports;
pub(crate) use functions::{ask_for_reversals, release_leases};
pub(crate) use idle::Background;
pub(crate) use kms::LocalKms;
pub(crate) use mail::{Mailbox, mail_routes};
pub(crate) use payment_events::{send_payment_event, send_payment_events};
pub(crate) use queue::{Delay, InProcessQueue, QueuePort, QueueReceiver, in_process_queue};
pub(crate) use recharge_queue::check_recharges;
pub(crate) use renewal_queue::run_renewals;
pub(crate) use schedule::{Scheduler, advance, run_due};
pub use stream::StreamReader;
pub(crate) use stream::records;
