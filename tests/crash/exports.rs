//! Crashes and lost answers at every write of an export, by its request or by the function `export`; then the caller's retry,
//! or only the scheduled jobs. In the end an export has its file and its credits are captured, or it has failed and they
//! are released; never both, and nothing is held.

use std::fs::File;

use chrono::{DateTime, Utc};
use domain::{AccountId, Credits, Export, ExportKey, ExportPrice, ExportStage, FileFormat, Operation};
use http::Method;
use ports::{FileError, FileStore, LinkTerms, NoQueue, StoredFile};
use scrip_exports::Exporter;
use serde_json::{Value, json};
use store::{Job, Ledger, Unsettled};
use tests::{ApiRequest, FaultAt, ManualClock, TestProcess, WriteFault, moment, queued_export};

const EXPORT: &str = "/api/v3/credits/transactions/export";
const KEY: &str = "export-1";

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// What is done with the file of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// The request stores it.
    Kept,
    /// The request cannot store it, and the function `export` does.
    KeptLater,
    /// It is never stored.
    Refused,
}

/// What happens after the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    CallerRetries,
    NobodyRetries,
}

struct History<'a> {
    process: &'a mut TestProcess,
    account: AccountId,
    key: String,
    body: Value,
    case: String,
}

impl History<'_> {
    async fn ask(&self) -> (u16, Value) {
        let request = ApiRequest::new(Method::POST, EXPORT, &self.key).under(KEY).with(&self.body);
        self.process.call_as("exports", &request).await
    }

    async fn exports(&self) -> Vec<Export> {
        self.process.fixture.ledger.exports(self.account, None, 10).await.unwrap().0
    }

    /// How many entries of an operation the ledger has.
    async fn count(&self, operation: &str) -> usize {
        let operation = Operation::try_from(operation.to_owned()).unwrap();
        let rows = self.process.fixture.rows(self.account, self.process.now()).await;
        rows.iter().filter(|row| row.entry.operation == operation).count()
    }

    /// Checks that all is at its end. Returns the export, if there is one.
    async fn is_settled(&self) -> Option<Export> {
        let case = &self.case;
        let exports = self.exports().await;
        assert!(exports.len() <= 1, "{case}: {exports:?}");
        let export = exports.into_iter().next();
        let (held, captured) = (self.count("credit.hold").await, self.count("credit.capture").await);
        let released = self.count("credit.release").await;
        let is_charged = export.as_ref().is_some_and(|export| export.price.is_some());
        match export.as_ref().map(|export| &export.stage) {
            Some(ExportStage::Ready(_, charge)) => {
                let charges = usize::from(is_charged);
                assert_eq!((held, captured, released), (charges, charges, 0), "{case}");
                assert_eq!(charge.is_some(), is_charged, "{case}");
            }
            Some(ExportStage::Failed(_)) | None => {
                assert_eq!((captured, held), (0, released), "{case}");
            }
            Some(other) => panic!("{case}: {other:?}"),
        }
        let account = self.process.fixture.ledger.account(self.account).await.unwrap().unwrap();
        assert!(account.held.is_zero(), "{case}: {account:?}");
        let open = self.process.fixture.items(&format!("EXPORTING#{}", self.account)).await;
        assert!(open.iter().all(|item| !item.contains_key("ids")), "{case}: {open:?}");
        let jobs = self.process.fixture.due_jobs(DateTime::<Utc>::MAX_UTC).await;
        let left = |job: &Job| matches!(job, Job::Export(_)) && job.account() == self.account;
        assert!(!jobs.iter().any(|stored| left(&stored.job)), "{case}: {jobs:?}");
        export
    }
}

/// Lets every write of an export fail in every way. `function` names the function whose writes fail: that of the request, or
/// `export`.
async fn histories(format: &str, files: Files, in_worker: bool) {
    let (mut number, mut was_reached) = (0, true);
    while was_reached {
        was_reached = false;
        // A new database: each history moves the clock by days, and all customers live through them.
        let mut process = TestProcess::open(now()).await;
        for kind in WriteFault::EACH {
            for then in [Then::CallerRetries, Then::NobodyRetries] {
                let is_crash = matches!(kind, WriteFault::CrashBefore | WriteFault::CrashAfter);
                if then == Then::NobodyRetries && !is_crash {
                    // The process lives and gives its answer.
                    continue;
                }
                let (account, key) = process.customer(5).await;
                let case =
                    format!("{format}, {files:?}: write {number}, {kind:?}, {then:?}, in worker {in_worker}");
                process.files.refuse(match files {
                    Files::Kept => 0,
                    Files::KeptLater => 1,
                    Files::Refused => u32::MAX,
                });
                let body = json!({ "format": format });
                let mut history = History { process: &mut process, account, key, body, case };
                was_reached |=
                    one_history(&mut history, files, FaultAt::Write(number, kind), then, in_worker).await;
            }
        }
        number += 1;
    }
    assert!(number > 4, "{number}");
}

/// Returns whether the fault came.
async fn one_history(
    history: &mut History<'_>,
    files: Files,
    fault: FaultAt,
    then: Then,
    in_worker: bool,
) -> bool {
    let FaultAt::Write(number, _) = fault else { panic!("{fault:?}") };
    let mut answer;
    if in_worker {
        answer = history.ask().await;
        history.process.inject(fault);
        history.process.run_export_queue().await;
    } else {
        history.process.inject(fault);
        answer = history.ask().await;
    }
    let was_reached = number < history.process.steps().0;
    history.process.clear_faults();
    if then == Then::CallerRetries {
        for _ in 0..6 {
            history.process.pass(12);
            history.process.project().await;
            answer = history.ask().await;
            if answer.0 == 201 {
                break;
            }
        }
    }
    history.process.run_until_idle().await;
    let export = history.is_settled().await;
    let case = &history.case;
    let (status, body) = answer;
    if then == Then::CallerRetries || (200..300).contains(&status) {
        // An answer that was given is kept.
        assert!([201, 202].contains(&status), "{case}: {status} {body}");
        let export = export.unwrap_or_else(|| panic!("{case}: {body}"));
        assert_eq!(body["data"]["exportId"], json!(export.key.export), "{case}");
        let is_ready = matches!(export.stage, ExportStage::Ready(..));
        assert_eq!(is_ready, files != Files::Refused, "{case}: {:?}", export.stage);
        let again = history.ask().await;
        assert_eq!((again.0, &again.1["data"]["exportId"]), (201, &json!(export.key.export)), "{case}");
        history.is_settled().await;
    } else if status == 503 {
        // The answer says that nothing was charged, and nothing will be.
        assert!(export.is_none(), "{case}: {body} {export:?}");
    }
    was_reached
}

#[tokio::test]
async fn a_free_export_is_made_once_whatever_is_lost() {
    histories("csv", Files::Kept, false).await;
}

#[tokio::test]
async fn a_charged_export_is_charged_once_whatever_is_lost() {
    histories("xlsx", Files::Kept, false).await;
}

#[tokio::test]
async fn a_large_export_is_charged_once_whatever_its_function_loses() {
    histories("xlsx", Files::KeptLater, true).await;
}

#[tokio::test]
async fn an_export_that_is_not_made_is_not_charged_whatever_is_lost() {
    histories("xlsx", Files::Refused, true).await;
}

/// A request whose credits are lacking leaves nothing, whichever of its writes is lost.
#[tokio::test]
async fn a_refused_export_leaves_nothing_whatever_is_lost() {
    let (mut number, mut was_reached) = (0, true);
    while was_reached {
        was_reached = false;
        // A new database: each history moves the clock by days, and all customers live through them.
        let mut process = TestProcess::open(now()).await;
        for kind in WriteFault::EACH {
            let (account, key) = process.customer(0).await;
            let case = format!("refused: write {number}, {kind:?}");
            let body = json!({ "format": "pdf" });
            let history = History { process: &mut process, account, key, body, case };
            history.process.inject(FaultAt::Write(number, kind));
            let first = history.ask().await;
            was_reached |= number < history.process.steps().0;
            history.process.clear_faults();
            history.process.run_until_idle().await;
            let export = history.is_settled().await;
            let case = &history.case;
            assert_ne!(first.0 / 100, 2, "{case}: {first:?}");
            // Its job finds what a crash has left of it, and reports it as failed.
            if first.0 == 402 {
                assert!(export.is_none(), "{case}: {export:?}");
            }
            assert!(export.is_none_or(|export| matches!(export.stage, ExportStage::Failed(_))), "{case}");
        }
        number += 1;
    }
    assert!(number > 4, "{number}");
}

/// An account has three unfinished exports at most. A lost message is made good by the job.
#[tokio::test]
async fn unfinished_exports_have_a_limit() {
    let mut process = TestProcess::open(now()).await;
    let (account, key) = process.customer(5).await;
    process.files.refuse(3);
    let body = json!({ "format": "csv" });
    let ask = async |process: &TestProcess, name: &str| {
        process.call_as("exports", &ApiRequest::new(Method::POST, EXPORT, &key).under(name).with(&body)).await
    };
    for name in ["1", "2", "3"] {
        let (status, answer) = ask(&process, name).await;
        assert_eq!((status, &answer["data"]["status"]), (202, &json!("pending")), "{answer}");
    }
    let (status, answer) = ask(&process, "4").await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("CONFLICT")), "{answer}");
    assert_eq!(ask(&process, "1").await.0, 202);
    process.lose_export_messages();
    process.run_until_idle().await;
    let (exports, _) = process.fixture.ledger.exports(account, None, 10).await.unwrap();
    assert_eq!(exports.iter().filter(|export| export.is_finished()).count(), 3);
    assert_eq!(ask(&process, "4").await.0, 201);
}

/// Its owner can close the hold of an export: released, the export fails; captured, it is paid for.
#[tokio::test]
async fn the_owner_can_close_the_hold_of_an_export() {
    for (step, status, charged) in [("release", "failed", 0), ("capture", "expired", 1)] {
        let mut process = TestProcess::open(now()).await;
        let (account, key) = process.customer(5).await;
        process.files.refuse(1);
        let body = json!({ "format": "pdf" });
        let ask = ApiRequest::new(Method::POST, EXPORT, &key).under(KEY).with(&body);
        assert_eq!(process.call_as("exports", &ask).await.0, 202);
        let rows = process.fixture.rows(account, process.now()).await;
        let hold = rows.iter().find(|row| row.is_hold()).and_then(domain::Receipt::hold).unwrap();
        let path = format!("/api/v3/credits/holds/{hold}/{step}");
        let close = json!({});
        let close = ApiRequest::new(Method::POST, &path, &key).under("close").with(&close);
        assert_eq!(process.call_as("holds", &close).await.0, 201);
        process.run_until_idle().await;
        let (_, answer) = process.call_as("exports", &ask).await;
        let export = &answer["data"];
        assert_eq!(
            (&export["status"], &export["creditsCharged"]),
            (&json!(status), &json!(charged)),
            "{answer}"
        );
        let known = process.fixture.ledger.account(account).await.unwrap().unwrap();
        assert!(known.held.is_zero());
        assert_eq!(known.used.get(), charged);
    }
}

/// A store of files. While it takes one, another process finds the credits of the export lacking, and removes it.
struct RemovedMeanwhile {
    ledger: Ledger,
    key: ExportKey,
}

#[async_trait::async_trait]
impl FileStore for RemovedMeanwhile {
    async fn put(&self, _: &StoredFile, _: File) -> Result<(), FileError> {
        let export = self.ledger.export(self.key).await.unwrap().unwrap();
        assert!(self.ledger.remove_export(&export).await.unwrap());
        Ok(())
    }

    async fn link(&self, file: &StoredFile, _: LinkTerms) -> Result<String, FileError> {
        Ok(file.key.clone())
    }
}

/// The request of an export that another process has removed releases what it holds, and its answer says that it may be
/// sent again.
#[tokio::test]
async fn the_request_of_a_removed_export_holds_nothing() {
    let mut process = TestProcess::open(now()).await;
    let (account, key) = process.customer(5).await;
    let ledger = process.fixture.restarted();
    let operation = Operation::try_from("export.excel".to_owned()).unwrap();
    let price = ExportPrice { operation, credits: Credits::try_from(1).unwrap(), version: 1 };
    let asked = Export {
        price: Some(price),
        stage: ExportStage::Begun,
        ..queued_export(&ledger, account, FileFormat::Xlsx, now()).await
    };
    let files = RemovedMeanwhile { ledger: process.fixture.restarted(), key: asked.key };
    let clock = ManualClock::at(now());
    let exporter = Exporter {
        ledger: &ledger,
        files: &files,
        queue: &NoQueue,
        clock: &clock,
        folder: std::env::temp_dir(),
    };
    let answer = exporter.begin(asked.leased_to_request(now()), moment(now())).await;
    assert!(matches!(answer, Err(Unsettled::InProgress)), "{answer:?}");
    let known = process.fixture.ledger.account(account).await.unwrap().unwrap();
    assert_eq!((known.held.get(), known.subscription.left.get()), (0, 5));
    process.run_until_idle().await;
    let case = "removed by another process".to_owned();
    let history = History { process: &mut process, account, key, body: json!({}), case };
    assert_eq!(history.is_settled().await, None);
}
