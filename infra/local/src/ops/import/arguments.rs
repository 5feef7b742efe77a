//! The arguments of `scrip import`.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::ImportOrder;

/// The environment variable with the operator's key: arguments are visible to other users of the machine.
const KEY: &str = "OPERATOR_KEY";

/// What is imported, and where to.
#[derive(Clone, Debug, Args)]
pub struct ImportArguments {
    /// The CSV file, with the columns `externalId` and `name`, and any of `plan`, `allowance`, `currency`,
    /// `selfServicePlans`, `purchased`, `bonus` and `bonusExpiresAt`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The URL of the API, such as the stack's output `ApiUrl`.
    #[arg(long, value_name = "URL", default_value = "http://localhost:3000")]
    url: String,
    /// How many organisations are imported side by side.
    #[arg(long, value_name = "COUNT", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// The CSV file that gets a line for each organisation.
    #[arg(long, value_name = "FILE", default_value = "import-report.csv")]
    report: PathBuf,
    /// Check the file and send nothing.
    #[arg(long)]
    check: bool,
}

impl ImportArguments {
    /// The order, with the operator's key from the environment.
    ///
    /// # Errors
    /// When `OPERATOR_KEY` is not set, and something is to be sent.
    pub fn order(self) -> anyhow::Result<ImportOrder> {
        let Self { file, url, parallel, report, check: is_check } = self;
        let key = std::env::var(KEY).ok().filter(|key| !key.is_empty());
        let key = if is_check { key.or(Some(String::new())) } else { key };
        let key =
            key.with_context(|| format!("set {KEY} to an operator's key with the role money or owner"))?;
        Ok(ImportOrder { file, url, key: key.into(), parallel: parallel.into(), report, is_check })
    }
}
