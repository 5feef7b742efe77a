//! What the routes below `/_local` use besides the app.

use std::sync::Arc;

use scrip_payments::Simulated;
use serde_json::Value;

use crate::capacity::Meter;
use crate::emulation::{Mailbox, Scheduler};
use crate::files::LocalFiles;
use crate::inbox::Inbox;

/// The state of a running machine.
#[derive(Clone)]
pub(crate) struct MachineState {
    /// The port on 127.0.0.1 that the machine listens on.
    pub(crate) port: u16,
    pub(crate) scheduler: Scheduler,
    pub(crate) provider: Simulated,
    pub(crate) files: LocalFiles,
    pub(crate) inbox: Inbox,
    pub(crate) mailbox: Mailbox,
    pub(crate) meter: Meter,
    pub(crate) openapi: Arc<Value>,
}
