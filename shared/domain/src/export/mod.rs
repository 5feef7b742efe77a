//! Exports: files of transactions that customers ask for, and of everything of an organisation, which operators ask for.

mod error;
mod file_format;
mod record;

pub use error::ExportError;
pub use file_format::FileFormat;
pub use record::{
    Export, ExportContent, ExportFile, ExportKey, ExportPrice, ExportStage, ExportStep, LedgerEnds,
};
