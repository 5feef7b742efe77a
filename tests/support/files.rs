//! A store of files in memory, and the queue of exports, which the test empties.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::ExportKey;
use ports::{FileError, FileStore, LinkTerms, Queue, QueueError, StoredFile};
use scrip_http::finish;
use serde_json::Value;

use crate::process::answer;
use crate::warm::request;
use crate::{ApiRequest, Faults, TestProcess};

/// A store of files that outlives the processes of a test. A process that has ended stores nothing.
#[derive(Clone)]
pub struct StoredFiles {
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// How many of the next files are refused.
    refused: Arc<Mutex<u32>>,
    faults: Faults,
}

impl StoredFiles {
    pub(crate) fn new(faults: Faults) -> Self {
        Self { files: Arc::default(), refused: Arc::default(), faults }
    }

    /// Refuses this many of the next files.
    pub fn refuse(&self, count: u32) {
        *self.refused.lock().unwrap() = count;
    }

    /// The content of the file that a link downloads.
    pub fn linked(&self, link: &str) -> Option<Vec<u8>> {
        let key = link.strip_prefix("memory:")?.split('?').next()?;
        self.files.lock().unwrap().get(key).cloned()
    }
}

#[async_trait]
impl FileStore for StoredFiles {
    async fn put(&self, file: &StoredFile, mut content: File) -> Result<(), FileError> {
        let mut refused = self.refused.lock().unwrap();
        if self.faults.is_dead() || *refused > 0 {
            *refused = refused.saturating_sub(1);
            return Err(FileError::stored("the connection was cut"));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        self.files.lock().unwrap().insert(file.key.clone(), bytes);
        Ok(())
    }

    async fn link(&self, file: &StoredFile, terms: LinkTerms) -> Result<String, FileError> {
        Ok(format!("memory:{}?until={}", file.key, terms.until.timestamp()))
    }
}

/// The queue of exports.
#[derive(Clone, Default)]
pub(crate) struct ExportRequests(Arc<Mutex<Vec<ExportKey>>>);

#[async_trait]
impl Queue<ExportKey> for ExportRequests {
    async fn send(&self, key: &ExportKey, _: u16) -> Result<(), QueueError> {
        self.0.lock().unwrap().push(*key);
        Ok(())
    }
}

impl TestProcess {
    /// Sends a request to a new process of a function, with the rights of its role; returns status and body.
    pub async fn call_as(&self, function: &str, call: &ApiRequest<'_>) -> (u16, Value) {
        let routers = local::routers();
        let (_, router) = routers.into_iter().find(|(name, _)| *name == function).unwrap();
        answer(finish(router, self.start_as(function)), request(call)).await
    }

    /// Runs the function `export` for a message, in a new process.
    pub async fn make_export(&self, key: ExportKey) {
        export::make_export(&self.start_as("export"), key).await.ok();
    }

    /// Runs the function `export` for every message of its queue.
    pub async fn run_export_queue(&self) {
        let waiting = std::mem::take(&mut *self.exports.0.lock().unwrap());
        for key in waiting {
            self.make_export(key).await;
        }
    }

    /// Loses every message of the queue of exports.
    pub fn lose_export_messages(&self) {
        self.exports.0.lock().unwrap().clear();
    }
}
