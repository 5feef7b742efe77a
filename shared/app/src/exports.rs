//! The capability `exports`: makes files of transactions.

use scrip_exports::Exporter;

use crate::App;

impl App {
    /// Makes exports. Files that are being made are in the system's folder for temporary files.
    #[must_use]
    pub fn exporter(&self) -> Exporter<'_> {
        Exporter {
            ledger: &self.ledger,
            files: self.files.as_ref(),
            queue: self.exports.as_ref(),
            clock: self.clock.as_ref(),
            folder: std::env::temp_dir(),
        }
    }
}
