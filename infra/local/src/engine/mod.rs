//! An embedded DynamoDB: the engine runs in this process and keeps everything in one SQLite file.
//!
//! The AWS SDK talks to it through an HTTP client that never opens a socket, so the code above it is the
//! code that runs in Lambda. Where it is narrower than DynamoDB:
//!
//! - no throttling, no write conflicts, and every read is consistent;
//! - a stream has one shard, which never ends although it names its newest record as its end, and a write
//!   that changes nothing is in it too;
//! - describing a stream, and starting at its latest record, reads the whole of it: do so once;
//! - records live until they are trimmed and expired items until they are swept, not by themselves;
//! - a `ClientRequestToken` is forgotten when the process ends.

mod answer;
mod connector;
mod server;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::{Database, DynoxideError};
use tempfile::TempDir;

use connector::Worker;
use server::Servers;

/// The names of its files, and of those that SQLite puts beside its own.
pub(crate) const LOCK_FILE: &str = "lock";
const DATABASE_FILE: &str = "dynamo.db";
pub(crate) const DATABASE_FILES: [&str; 5] =
    [LOCK_FILE, DATABASE_FILE, "dynamo.db-wal", "dynamo.db-shm", "dynamo.db-journal"];

/// Why the engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another process has the folder open.
    #[error("the data in {} is in use by another scrip; stop it or choose another --data folder", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be created, or its lock file cannot be written.
    #[error("cannot use the folder {}", folder.display())]
    Folder {
        /// Where the data was to be kept.
        folder: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The database refused, or the file is not one that it can read.
    #[error("the database in {} failed", folder.display())]
    Database {
        /// Where the data is kept.
        folder: PathBuf,
        /// What the database said.
        source: Box<DynoxideError>,
    },
    /// The table of stream records could not be read or changed.
    #[error("the stream records in {} could not be changed", folder.display())]
    Stream {
        /// Where the data is kept.
        folder: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Not a sequence number that this engine gives out: 21 digits.
    #[error("{0:?} is not a sequence number of this engine")]
    SequenceNumber(String),
    /// A thread of the engine could not be started.
    #[error("cannot start a thread of the engine")]
    Thread(#[source] io::Error),
    /// The port is taken, or loopback is not to be had.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The port asked for; 0 is any.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
}

/// An embedded DynamoDB. Clones share one database, which closes with the last of them and of the clients
/// made from them.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Shared>);

/// The fields close in this order: nobody may write to the file once the next process can lock it.
#[derive(Debug)]
struct Shared {
    worker: Worker,
    servers: Servers,
    database: Opened,
    home: Home,
}

/// The folder of a database, locked for this process while it lives.
#[derive(Debug)]
struct Home {
    folder: PathBuf,
    /// The operating system gives the lock back when this closes, however the process ends.
    _lock: File,
    /// Deletes the folder when it is dropped.
    _temporary: Option<TempDir>,
}

impl Engine {
    /// Opens the database in `folder`, which is created when it is missing. What was acknowledged is on the
    /// disk (one fsync a write), and so outlives the process and a power cut.
    ///
    /// # Errors
    /// [`EngineError::InUse`] when another process has the folder open; [`EngineError::Folder`],
    /// [`EngineError::Database`] or [`EngineError::Stream`] when what is there cannot be used.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        Self::at(Home::lock(folder.to_owned(), None)?)
    }

    /// Opens an empty database in a temporary folder, which is deleted with the last clone. It does not wait
    /// for the disk.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn temporary() -> Result<Self, EngineError> {
        let folder = TempDir::with_prefix("scrip-")
            .map_err(|source| EngineError::Folder { folder: std::env::temp_dir(), source })?;
        let engine = Self::at(Home::lock(folder.path().to_owned(), Some(folder))?)?;
        // A folder that is deleted on exit has nothing to save from a power cut.
        engine.0.database.0.enable_bulk_loading().map_err(|source| engine.0.home.fault(source))?;
        Ok(engine)
    }

    fn at(home: Home) -> Result<Self, EngineError> {
        let database = Database::new(&home.file().to_string_lossy()).map_err(|source| home.fault(source))?;
        stream::put_in_order(&home)?;
        let worker = Worker::start(database.clone()).map_err(EngineError::Thread)?;
        let database = Opened(database);
        Ok(Self(Arc::new(Shared { worker, servers: Servers::default(), database, home })))
    }

    /// An HTTP client for the AWS SDK that hands each request to the engine in this process. It serves the
    /// operations of DynamoDB and of DynamoDB Streams, but for PartiQL and vectors, whatever the endpoint.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        connector::client(self.clone())
    }

    /// What a DynamoDB client needs to talk to this engine; retries and timeouts are the SDK's defaults.
    #[must_use]
    pub fn dynamodb_config(&self) -> aws_sdk_dynamodb::config::Builder {
        connector::dynamodb_config(self.http_client())
    }

    /// What a DynamoDB Streams client needs to talk to this engine; as [`Engine::dynamodb_config`].
    #[must_use]
    pub fn streams_config(&self) -> aws_sdk_dynamodbstreams::config::Builder {
        connector::streams_config(self.http_client())
    }

    /// Deletes the stream records of `table` up to and including the sequence number `through`, and returns
    /// how many it deleted. The newest record stays, since the next one is numbered after it. Blocks.
    ///
    /// # Errors
    /// [`EngineError::SequenceNumber`] when `through` is not one; [`EngineError::Stream`] when SQLite fails,
    /// after which some of the records may be gone.
    pub fn trim_stream(&self, table: &str, through: &str) -> Result<usize, EngineError> {
        stream::trim(&self.0.home, table, through)
    }

    /// Deletes the items whose time to live is over, in every table that has one, and returns how many.
    /// Blocks; requests get their turn between pages.
    ///
    /// # Errors
    /// [`EngineError::Database`] when SQLite fails, after which some of the items may be gone.
    pub fn sweep_ttl(&self) -> Result<usize, EngineError> {
        self.0.database.0.sweep_ttl().map_err(|source| self.0.home.fault(source))
    }

    /// Serves the same database over HTTP on 127.0.0.1 and `port` (0: any that is free), in a thread of its
    /// own, until the last clone is dropped; returns where. Signatures are not checked: whoever reaches the
    /// port can do everything.
    ///
    /// # Errors
    /// [`EngineError::Listen`] when the port cannot be had; [`EngineError::Thread`].
    pub fn serve(&self, port: u16) -> Result<SocketAddr, EngineError> {
        self.0.servers.start(self.0.database.0.clone(), port)
    }
}

impl Home {
    fn lock(folder: PathBuf, temporary: Option<TempDir>) -> Result<Self, EngineError> {
        let fault = |source| EngineError::Folder { folder: folder.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(fault)?;
        let own = |name| {
            let file = folder.join(name);
            File::options().mode(0o600).create(true).truncate(false).write(true).open(file).map_err(fault)
        };
        let lock = own(LOCK_FILE)?;
        match lock.try_lock() {
            Ok(()) => {
                // Made here, for its owner alone; SQLite gives what it puts beside it the same mode.
                own(DATABASE_FILE)?;
                Ok(Self { folder, _lock: lock, _temporary: temporary })
            }
            Err(TryLockError::WouldBlock) => Err(EngineError::InUse(folder)),
            Err(TryLockError::Error(source)) => Err(fault(source)),
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join(DATABASE_FILE)
    }

    fn fault(&self, source: DynoxideError) -> EngineError {
        EngineError::Database { folder: self.folder.clone(), source: Box::new(source) }
    }
}

/// The database, which does not implement `Debug`.
struct Opened(Database);

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database")
    }
}
