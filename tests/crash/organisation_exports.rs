//! Exports of organisations whose function dies: after each write, and within each page. The next attempt begins from the
//! beginning, and the file in the end is the one that an attempt without a fault makes.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{Export, ExportKey, ExportStage};
use export::OrganisationReader;
use http::Method;
use scrip_exports::{LinePage, LinePlace, OrganisationPages};
use serde_json::{Value, json};
use store::{Fault, Unsettled};
use tests::{ApiRequest, FaultAt, OrganisationFile, TestProcess, WriteFault};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A process with an organisation that has some transactions, and an operator.
struct History {
    process: TestProcess,
    org: domain::OrgId,
    operator: String,
}

impl History {
    async fn begin() -> Self {
        let mut process = TestProcess::open(now()).await;
        let (account, key) = process.customer(500).await;
        for number in 0..5 {
            let name = format!("debit-{number}");
            let body = json!({ "operation": "aml.basic", "resourceId": name });
            let call =
                ApiRequest::new(Method::POST, "/api/v3/credits/consume", &key).under(&name).with(&body);
            assert_eq!(process.call(&call).await.0, 201);
        }
        let body = json!({ "amount": 3 });
        let call = ApiRequest::new(Method::POST, "/api/v3/credits/holds", &key).under("hold").with(&body);
        let (status, held) = process.call(&call).await;
        assert_eq!(status, 201, "{held}");
        // It is closed, so that nothing happens while the export is made.
        let path = format!("/api/v3/credits/holds/{}/release", held["data"]["holdId"].as_str().unwrap());
        let body = json!({});
        let call = ApiRequest::new(Method::POST, &path, &key).under("release").with(&body);
        assert_eq!(process.call(&call).await.0, 201);
        process.project().await;
        let operator = process.operator().await;
        Self { process, org: account.org, operator }
    }

    async fn call(&self, method: Method, path: &str, name: &str) -> (u16, Value) {
        let path = format!("/admin/v1/organisations/{}/exports{path}", self.org);
        let body = if method == Method::GET { Value::Null } else { json!({ "reason": "Asked for" }) };
        let call = ApiRequest::new(method, &path, &self.operator).under(name).with(&body);
        self.process.call_as("exports", &call).await
    }

    async fn exports(&self) -> Vec<Export> {
        self.process.fixture.ledger.organisation_exports(self.org, None, 10).await.unwrap().0
    }

    /// The content of the file of a finished export.
    async fn content(&self, export: &Export, case: &str) -> Vec<u8> {
        let (status, answer) = self.call(Method::GET, &format!("/{}", export.key.export), "").await;
        assert_eq!(status, 200, "{case}: {answer}");
        // A link ends after a day, and jobs of later days have run.
        let name = export.file_name();
        let key = format!("memory:{}/live/{}/{name}", self.org, export.key.export);
        self.process.files.linked(&key).unwrap_or_else(|| panic!("{case}: {answer}"))
    }

    /// Checks that there is one export, ready, with the file that an attempt without a fault makes.
    async fn is_whole(&mut self, case: &str) {
        self.process.run_until_idle().await;
        let exports = self.exports().await;
        assert_eq!(exports.len(), 1, "{case}: {exports:?}");
        let ExportStage::Ready(file, None) = &exports[0].stage else { panic!("{case}: {:?}", exports[0]) };
        let first = self.content(&exports[0], case).await;
        assert_eq!(file.bytes, u64::try_from(first.len()).unwrap(), "{case}");
        let whole = OrganisationFile::read(&first);
        whole.verify_chains();
        assert_eq!(file.rows, u64::try_from(whole.lines.len()).unwrap(), "{case}");
        // Made once more without a fault, it is the same file.
        let again = Export { attempts: 0, begun_at: self.process.now(), ..exports[0].clone() }.queued();
        let again = self.process.fixture.ledger.save_export(again).await.unwrap().unwrap();
        self.process.make_export(again.key).await;
        let made = self.process.fixture.ledger.export(again.key).await.unwrap().unwrap();
        assert!(matches!(made.stage, ExportStage::Ready(..)), "{case}: {made:?}");
        let again = OrganisationFile::read(&self.content(&made, case).await);
        assert_eq!((again.header, again.footer), (whole.header, whole.footer), "{case}");
        for (again, first) in again.lines.iter().zip(&whole.lines) {
            assert_eq!(again, first, "{case}");
        }
        let open = self.process.fixture.items(&format!("EXPORTINGWHOLE#{}#live", self.org)).await;
        assert!(open.iter().all(|item| !item.contains_key("ids")), "{case}: {open:?}");
    }
}

/// Each write of the request and of the function `export` is lost in each way.
#[tokio::test]
async fn an_export_of_an_organisation_is_made_whatever_is_lost() {
    for in_worker in [false, true] {
        let (mut number, mut was_reached) = (0, true);
        while was_reached {
            was_reached = false;
            for kind in WriteFault::EACH {
                let mut history = History::begin().await;
                let case = format!("write {number}, {kind:?}, in worker {in_worker}");
                let fault = FaultAt::Write(number, kind);
                if in_worker {
                    assert_eq!(history.call(Method::POST, "", "once").await.0, 202, "{case}");
                    history.process.inject(fault);
                    history.process.run_export_queue().await;
                } else {
                    history.process.inject(fault);
                    history.call(Method::POST, "", "once").await;
                }
                was_reached |= number < history.process.steps().0;
                history.process.clear_faults();
                // The caller sends the request again until it has an answer.
                let mut answer = (0, Value::Null);
                for _ in 0..6 {
                    history.process.pass(31);
                    answer = history.call(Method::POST, "", "once").await;
                    if answer.0 == 202 {
                        break;
                    }
                }
                assert_eq!(answer.0, 202, "{case}: {answer:?}");
                history.is_whole(&case).await;
            }
            number += 1;
        }
        assert!(number > 2, "{number}");
    }
}

/// How a function ends within a page.
#[derive(Clone, Copy, Debug)]
enum End {
    /// A table does not answer.
    Unanswered,
    /// Its process dies.
    Dies,
}

/// The pages of an organisation, of which one is not read.
struct Interrupted<'a> {
    pages: OrganisationReader<'a>,
    /// How many pages are read before.
    at: usize,
    end: End,
    read: AtomicUsize,
}

#[async_trait]
impl OrganisationPages for Interrupted<'_> {
    async fn are_chained(&self, export: &Export) -> Result<bool, Unsettled> {
        self.pages.are_chained(export).await
    }

    async fn page(&self, export: &Export, place: LinePlace) -> Result<LinePage, Unsettled> {
        if self.read.fetch_add(1, Ordering::Relaxed) == self.at {
            match self.end {
                End::Unanswered => return Err(Fault::Busy.into()),
                End::Dies => std::future::pending().await,
            }
        }
        self.pages.page(export, place).await
    }
}

/// Returns whether the page was reached.
async fn interrupt(process: &TestProcess, key: ExportKey, at: usize, end: End) -> bool {
    let app = process.start_as("export");
    let pages = Interrupted { pages: OrganisationReader(&app), at, end, read: AtomicUsize::new(0) };
    let attempt = app.exporter();
    let attempt = attempt.attend(key, &pages);
    let dies = async {
        // The attempt waits for nothing else in memory.
        while pages.read.load(Ordering::Relaxed) <= at || !matches!(end, End::Dies) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = attempt => ended.is_err(),
        () = dies => true,
    }
}

#[tokio::test]
async fn the_file_is_the_same_wherever_its_function_ends() {
    let (mut at, mut was_reached) = (0, true);
    while was_reached {
        was_reached = false;
        for end in [End::Unanswered, End::Dies] {
            let mut history = History::begin().await;
            assert_eq!(history.call(Method::POST, "", "once").await.0, 202);
            history.process.lose_export_messages();
            let key = history.exports().await[0].key;
            was_reached |= interrupt(&history.process, key, at, end).await;
            history.is_whole(&format!("page {at}, {end:?}")).await;
        }
        at += 1;
    }
    assert!(at > 30, "{at}");
}

/// While the projector has not chained the last transactions, the export waits, and loses no attempt.
#[tokio::test]
async fn an_export_waits_for_the_chain() {
    let mut history = History::begin().await;
    let account = domain::AccountId { org: history.org, mode: domain::Mode::Live };
    let key = history.process.api_key(account).await;
    let body = json!({ "operation": "aml.basic" });
    let call = ApiRequest::new(Method::POST, "/api/v3/credits/consume", &key).under("late").with(&body);
    assert_eq!(history.process.call(&call).await.0, 201);
    assert_eq!(history.call(Method::POST, "", "once").await.0, 202);
    for _ in 0..4 {
        let key = history.exports().await[0].key;
        history.process.make_export(key).await;
        let export = history.exports().await.remove(0);
        assert_eq!((&export.stage, export.attempts), (&ExportStage::Queued, 0), "{export:?}");
    }
    history.is_whole("chained later").await;
}
