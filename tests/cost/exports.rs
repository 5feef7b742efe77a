//! What exports cost, in requests and units.

use domain::{ExportStage, FileFormat};
use tests::{FileSizes, ManualClock, NoPages, TestLedger, debits_without_records, exporter, queued_export};

/// A large export reads each row once, in requests of about a thousand rows, and writes the same few items however many
/// rows it has: the attempt, the decision and the register; and once more for each 20,000 rows.
#[tokio::test]
async fn a_large_export_costs_the_same_for_each_row() {
    let mut costs = Vec::new();
    for rows in [1_000_u32, 3_000] {
        let fixture = TestLedger::new().await;
        let id = debits_without_records(&fixture, rows.into()).await;
        let now = "2024-01-15T10:31:00Z".parse().unwrap();
        let (ledger, meter) = fixture.metered();
        let asked = queued_export(&ledger, id, FileFormat::Csv, now).await;
        ledger.begin_export(&asked).await.unwrap();
        ledger.register_export(asked.key).await.unwrap();
        meter.take();
        let (files, clock) = (FileSizes::default(), ManualClock::at(now));
        exporter(&ledger, &files, &clock).attend(asked.key, &NoPages).await.unwrap();
        let units = meter.take();
        let made = ledger.export(asked.key).await.unwrap().unwrap();
        let ExportStage::Ready(file, None) = &made.stage else { panic!("{:?}", made.stage) };
        // The first row is the month's allowance.
        assert_eq!(file.rows, u64::from(rows) + 1);
        assert_eq!(units.written, 3.0, "{units:?}");
        costs.push((units.read / f64::from(rows), units.requests));
    }
    let [(few, least), (many, most)] = costs.try_into().unwrap();
    assert!(many <= few * 1.1 && many < 0.3, "{few} {many}");
    // A page is one or two reads of rows.
    assert!(most <= least + 4 && most <= 14, "{least} {most}");
}
