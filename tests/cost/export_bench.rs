//! What a large export costs: `cargo xtask bench export [ROWS…]`, for ten thousand rows unless it is said. Each is made as CSV,
//! JSON Lines and a spreadsheet; up to 20,000 rows also as PDF. Memory is the peak of the process (VmHWM) above what it had
//! before, because the database is in the same process.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints figures")]

use std::time::Instant;

use domain::{Export, ExportStage, FileFormat};
use scrip_documents::PDF_ROWS_MAX;
use tests::{FileSizes, ManualClock, TestLedger, debits_without_records, exporter, queued_export};

#[tokio::main]
async fn main() {
    let mut wanted: Vec<u32> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    if wanted.is_empty() {
        wanted = vec![10_000];
    }
    for rows in wanted {
        let fixture = TestLedger::new().await;
        let id = debits_without_records(&fixture, rows.into()).await;
        let now = "2024-01-15T10:31:00Z".parse().unwrap();
        for format in FileFormat::ALL {
            if format == FileFormat::Pdf && PDF_ROWS_MAX <= usize::try_from(rows).unwrap() {
                continue;
            }
            let (ledger, meter) = fixture.metered();
            let asked = queued_export(&ledger, id, format, now).await;
            ledger.begin_export(&asked).await.unwrap();
            let (files, clock) = (FileSizes::default(), ManualClock::at(now));
            let before = forget_peak();
            meter.take();
            let begun = Instant::now();
            exporter(&ledger, &files, &clock).attend(asked.key).await.unwrap();
            let took = begun.elapsed();
            let peak = memory("VmHWM:").saturating_sub(before);
            let units = meter.take();
            let made: Export = ledger.export(asked.key).await.unwrap().unwrap();
            let ExportStage::Ready(file, _) = &made.stage else { panic!("{:?}", made.stage) };
            assert_eq!(file.rows, u64::from(rows) + 1);
            println!(
                "{rows} rows as {}: {:.1} s, {} kB, {peak} kB of memory above {before} kB, {} requests, {:.0} read units, \
                 {:.0} write units",
                format.extension(),
                took.as_secs_f64(),
                file.bytes / 1_000,
                units.requests,
                units.read,
                units.written,
            );
        }
    }
}

/// Lets the peak begin at the memory that the process has now, and returns that in kB.
fn forget_peak() -> u64 {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    memory("VmRSS:")
}

/// A number of kB in the status of this process.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
