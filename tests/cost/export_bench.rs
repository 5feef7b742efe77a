//! What a large export costs: `cargo xtask bench export [ROWS…]`, for ten thousand rows unless it is said. Each is made as CSV,
//! JSON Lines and a spreadsheet; up to 20,000 rows also as PDF. Memory is the peak of the process, without the pages of the
//! database's file that are mapped into it (RssAnon); the database's own memory is in it.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints figures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::{Export, ExportStage, FileFormat};
use scrip_documents::PDF_ROWS_MAX;
use tests::{FileSizes, ManualClock, NoPages, TestLedger, debits_without_records, exporter, queued_export};

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
            let peak = Peak::begin();
            meter.take();
            let begun = Instant::now();
            exporter(&ledger, &files, &clock).attend(asked.key, &NoPages).await.unwrap();
            let took = begun.elapsed();
            let Kilobytes { before, peak } = peak.end();
            let units = meter.take();
            let made: Export = ledger.export(asked.key).await.unwrap().unwrap();
            let ExportStage::Ready(file, _) = &made.stage else { panic!("{:?}", made.stage) };
            assert_eq!(file.rows, u64::from(rows) + 1);
            println!(
                "{rows} rows as {}: {:.1} s, {} kB, at most {peak} kB of memory and {before} kB before, {} requests, {:.0} read units, \
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

/// The memory of this process, in kB.
struct Kilobytes {
    before: u64,
    peak: u64,
}

/// Measures the memory of this process again and again.
struct Peak {
    before: u64,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Peak {
    fn begin() -> Self {
        let (before, is_over) = (memory("RssAnon:"), Arc::new(AtomicBool::new(false)));
        let has_ended = is_over.clone();
        let thread = std::thread::spawn(move || {
            let mut peak = before;
            while !has_ended.load(Ordering::Relaxed) {
                peak = peak.max(memory("RssAnon:"));
                std::thread::sleep(Duration::from_millis(5));
            }
            peak
        });
        Self { before, is_over, thread }
    }

    fn end(self) -> Kilobytes {
        self.is_over.store(true, Ordering::Relaxed);
        Kilobytes { before: self.before, peak: self.thread.join().unwrap() }
    }
}

/// A number of kB in the status of this process.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
