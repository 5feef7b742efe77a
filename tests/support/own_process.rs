//! A process with a connection of its own, which can fail while others go on.

use store::Ledger;

use crate::{Faults, TestLedger};

impl TestLedger {
    /// The ledger as a newly started process sees it, with a connection of its own that can fail.
    ///
    /// # Panics
    /// On another DynamoDB than the embedded engine.
    pub fn process(&self) -> (Ledger, Faults) {
        let faults = Faults::on(self.faults.as_ref().unwrap().client());
        let config = self.config.to_builder().http_client(faults.client()).build();
        (Ledger::new(&config, self.table.clone()), faults)
    }
}
