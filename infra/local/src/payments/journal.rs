//! The journal of the simulated payment provider: a file with one charge a line.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use scrip_payments::simulated::{Journal, SimulatedCharge};

use crate::folder::JOURNAL_FILE;

/// The open journal. Each line is a charge as JSON; of several lines of one purchase the last one counts. A charge is on
/// disk before the provider answers.
struct JournalFile {
    file: File,
    /// The length of the complete lines.
    bytes: u64,
}

/// Opens the journal in `folder`, which is created if it does not exist, and returns its charges and the function that
/// appends to it. A last line that a crash has cut off is dropped: the provider has not answered for it.
///
/// # Errors
/// When the file can't be read, or a complete line is invalid.
pub(crate) fn open(folder: &Path) -> anyhow::Result<(Vec<SimulatedCharge>, Journal)> {
    fs::create_dir_all(folder).with_context(|| format!("cannot use the folder {}", folder.display()))?;
    let path = folder.join(JOURNAL_FILE);
    let unusable = || format!("cannot use {}", path.display());
    let mut file =
        File::options().mode(0o600).create(true).truncate(false).read(true).write(true).open(&path);
    let file = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()));
    let file = file.with_context(unusable)?;
    // Without this sync a power cut could lose the file's name while its lines are on disk.
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(unusable)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).with_context(unusable)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
    let lines = text.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    let charges = lines
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .with_context(|| {
            format!("{} is invalid; restore it, or start with an empty --data folder", path.display())
        })?;
    let journal =
        JournalFile { file: file.try_clone().with_context(unusable)?, bytes: u64::try_from(whole)? };
    let journal = Mutex::new(journal);
    let journal: Journal =
        Box::new(move |charge| journal.lock().unwrap_or_else(PoisonError::into_inner).append(charge));
    Ok((charges, journal))
}

impl JournalFile {
    fn append(&mut self, charge: &SimulatedCharge) -> io::Result<()> {
        let mut line = serde_json::to_vec(charge)?;
        line.push(b'\n');
        // A crash or a failed write may have left part of a line behind the last complete one.
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.bytes = self.bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::Mode;
    use scrip_payments::simulated::{ChargeMemory, ChargeState};
    use scrip_payments::{ChargeOrder, Provider, PurchaseId, Simulated};

    use super::*;

    fn provider(folder: &Path) -> Simulated {
        let (earlier, journal) = open(folder).unwrap();
        let memory = ChargeMemory::Complete { earlier, journal: Some(journal) };
        Simulated::new(memory, "http://127.0.0.1/_local/payments".to_owned(), None)
    }

    fn order(number: u128) -> ChargeOrder {
        super::super::order("card_visa", number, Mode::Live)
    }

    fn charged(provider: &Simulated) -> Vec<PurchaseId> {
        provider.charges().iter().map(SimulatedCharge::purchase).collect()
    }

    #[tokio::test]
    async fn charges_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("new");
        let first = provider(&home);
        for number in 1..=3 {
            first.charge(&order(number)).await.unwrap();
        }
        first.refund(&first.charge(&order(2)).await.unwrap().id.unwrap()).await.unwrap();
        let again = provider(&home);
        assert_eq!(again.charges(), first.charges());
        assert!(again.charges()[1].refunded);
        assert!(again.charges().iter().all(|charge| charge.state == ChargeState::Succeeded));
    }

    /// A crash may cut a line anywhere. The lines before it stay, and lines that follow can be read.
    #[tokio::test]
    async fn a_line_that_was_cut_off_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("payments.jsonl");
        provider(folder.path()).charge(&order(1)).await.unwrap();
        let one = fs::read(&file).unwrap();
        provider(folder.path()).charge(&order(2)).await.unwrap();
        let two = fs::read(&file).unwrap();
        for cut in one.len()..two.len() {
            fs::write(&file, &two[..cut]).unwrap();
            let again = provider(folder.path());
            assert_eq!(charged(&again), [order(1).purchase], "cut at {cut}");
            again.charge(&order(3)).await.unwrap();
            assert_eq!(charged(&provider(folder.path())), [order(3).purchase, order(1).purchase]);
        }
    }

    #[test]
    fn a_complete_line_that_is_invalid_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("payments.jsonl"), "{}\n").unwrap();
        let error = open(folder.path()).map(|_| ()).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("payments.jsonl is invalid") && message.contains("--data"), "{message}");
    }
}
