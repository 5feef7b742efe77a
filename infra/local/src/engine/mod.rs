//! An embedded DynamoDB: the engine runs in this process and keeps everything in one SQLite file.
//!
//! The AWS SDK talks to it through an HTTP client that never opens a socket, so the code above it is the code that runs in
//! Lambda. It differs from DynamoDB in these points:
//!
//! - it never throttles, writes never conflict, and every read is consistent;
//! - a stream has one shard, which never ends although it names its newest record as its end, and it also has records of
//!   writes that change nothing;
//! - describing a stream, and starting at its latest record, reads the whole stream: do so once;
//! - stream records stay until they are trimmed, and expired items until they are swept;
//! - a `ClientRequestToken` is forgotten when the process ends.

mod answer;
mod connector;
mod import;
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

use aws_sdk_dynamodb::config::retry::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::{Database, DynoxideError};
use tempfile::TempDir;

use connector::EngineThread;
use server::HttpServers;

/// The names of the engine's files, and of those that SQLite creates beside them.
pub(crate) const LOCK_FILE: &str = "lock";
const DATABASE_FILE: &str = "dynamo.db";
pub(crate) const DATABASE_FILES: [&str; 5] =
    [LOCK_FILE, DATABASE_FILE, "dynamo.db-wal", "dynamo.db-shm", "dynamo.db-journal"];

/// An error of the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Another process uses the folder.
    #[error("the data in {} is in use by another scrip; stop it or choose another --data folder", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be created, or its lock file cannot be written.
    #[error("cannot use the folder {}", folder.display())]
    Folder {
        /// The data folder.
        folder: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// The database failed, or can't read the file.
    #[error("the database in {} failed", folder.display())]
    Database {
        /// The data folder.
        folder: PathBuf,
        /// The error of the database.
        source: Box<DynoxideError>,
    },
    /// The table of stream records could not be read or changed.
    #[error("the stream records in {} could not be changed", folder.display())]
    Stream {
        /// The data folder.
        folder: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The text is not a sequence number of this engine, which has 21 digits.
    #[error("{0:?} is not a sequence number of this engine")]
    SequenceNumber(String),
    /// A thread could not be started.
    #[error("cannot start a thread of the engine")]
    Thread(#[source] io::Error),
    /// The port is taken, or loopback is not available.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The requested port; 0 is any free one.
        port: u16,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// An embedded DynamoDB. Clones share one database, which closes with the last clone and the last client made from one.
#[derive(Clone, Debug)]
pub struct Engine(Arc<EngineParts>);

/// The fields are dropped in this order: no thread may write to the file once another process can lock it.
#[derive(Debug)]
struct EngineParts {
    worker: EngineThread,
    servers: HttpServers,
    database: OpenDatabase,
    home: Home,
}

/// The folder of a database, locked for this process while it lives.
#[derive(Debug)]
struct Home {
    folder: PathBuf,
    /// The operating system releases the lock when this closes, however the process ends.
    _lock: File,
    /// Deletes the folder when it is dropped.
    _temporary: Option<TempDir>,
}

impl Engine {
    /// Opens the database in `folder`, which is created if it does not exist. Acknowledged writes are on disk (one fsync for
    /// each), so they survive the end of the process and a power cut.
    ///
    /// # Errors
    /// [`EngineError::InUse`] when another process uses the folder; [`EngineError::Folder`], [`EngineError::Database`] or
    /// [`EngineError::Stream`] when the folder or its files can't be used.
    pub fn open(folder: &Path) -> Result<Self, EngineError> {
        Self::at(Home::lock(folder.to_owned(), None)?)
    }

    /// Opens an empty database in a temporary folder, which is deleted with the last clone. Writes do not wait for the disk.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn temporary() -> Result<Self, EngineError> {
        let folder = TempDir::with_prefix("scrip-")
            .map_err(|source| EngineError::Folder { folder: std::env::temp_dir(), source })?;
        let engine = Self::at(Home::lock(folder.path().to_owned(), Some(folder))?)?;
        engine.0.database.0.enable_bulk_loading().map_err(|source| engine.0.home.fault(source))?;
        Ok(engine)
    }

    /// Opens an empty database in `folder`: what the folder's database had is deleted. Writes do not wait for the disk, so
    /// nothing is safe until [`sync_to_disk`], which is called after the last clone is dropped.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_anew(folder: &Path) -> Result<Self, EngineError> {
        let home = Home::lock(folder.to_owned(), None)?;
        home.delete_database().map_err(|source| EngineError::Folder { folder: folder.to_owned(), source })?;
        let engine = Self::at(home)?;
        engine.0.database.0.enable_bulk_loading().map_err(|source| engine.0.home.fault(source))?;
        Ok(engine)
    }

    /// Deletes all stream records of `table` but the newest, and returns how many it deleted. Blocks.
    ///
    /// # Errors
    /// [`EngineError::Stream`] when SQLite fails.
    pub(crate) fn trim_whole_stream(&self, table: &str) -> Result<usize, EngineError> {
        stream::trim_all(&self.0.home, table)
    }

    fn at(home: Home) -> Result<Self, EngineError> {
        let database = Database::new(&home.file().to_string_lossy()).map_err(|source| home.fault(source))?;
        stream::create_index(&home)?;
        let worker = EngineThread::start(database.clone()).map_err(EngineError::Thread)?;
        let database = OpenDatabase(database);
        Ok(Self(Arc::new(EngineParts { worker, servers: HttpServers::default(), database, home })))
    }

    /// An HTTP client for the AWS SDK that hands each request to the engine, whatever the endpoint. It serves the operations
    /// of DynamoDB and DynamoDB Streams, except PartiQL and vectors.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        connector::client(self.clone())
    }

    /// The configuration of a DynamoDB client for this engine, with the SDK's default retries and timeouts. Clients of one
    /// configuration share the number of retries that they may make, and no others do, as if each were a process of its own.
    #[must_use]
    pub fn dynamodb_config(&self) -> aws_sdk_dynamodb::config::Builder {
        let own = RetryPartition::custom("engine").token_bucket(TokenBucket::default()).build();
        connector::dynamodb_config(self.http_client()).retry_partition(own)
    }

    /// The configuration of a DynamoDB Streams client for this engine; as [`Engine::dynamodb_config`].
    #[must_use]
    pub fn streams_config(&self) -> aws_sdk_dynamodbstreams::config::Builder {
        connector::streams_config(self.http_client())
    }

    /// Deletes the stream records of `table` up to and including the sequence number `through`, and returns how many it
    /// deleted. The newest record stays, because the next number follows from it. Blocks.
    ///
    /// # Errors
    /// [`EngineError::SequenceNumber`] when `through` is not a sequence number; [`EngineError::Stream`] when SQLite fails,
    /// after which some of the records may be deleted.
    pub fn trim_stream(&self, table: &str, through: &str) -> Result<usize, EngineError> {
        stream::trim(&self.0.home, table, through)
    }

    /// Deletes the expired items of every table that has a time to live, and returns how many it deleted. Blocks; requests
    /// run between pages.
    ///
    /// # Errors
    /// [`EngineError::Database`] when SQLite fails, after which some of the items may be deleted.
    pub fn sweep_ttl(&self) -> Result<usize, EngineError> {
        self.0.database.0.sweep_ttl().map_err(|source| self.0.home.fault(source))
    }

    /// Serves the same database over HTTP on 127.0.0.1 and `port` (0: any free one), in a thread of its own, until the last
    /// clone is dropped, and returns the address. Signatures are not checked: any process that reaches the port can read and
    /// change everything.
    ///
    /// # Errors
    /// [`EngineError::Listen`] when the port is not available; [`EngineError::Thread`].
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
                // Created here so that only its owner can read it. SQLite gives the files beside it the same mode.
                own(DATABASE_FILE)?;
                Ok(Self { folder, _lock: lock, _temporary: temporary })
            }
            Err(TryLockError::WouldBlock) => Err(EngineError::InUse(folder)),
            Err(TryLockError::Error(source)) => Err(fault(source)),
        }
    }

    /// Deletes the files of the database, and creates an empty one that only its owner can read.
    fn delete_database(&self) -> io::Result<()> {
        for name in DATABASE_FILES.into_iter().filter(|name| *name != LOCK_FILE) {
            match std::fs::remove_file(self.folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => (),
            }
        }
        File::options().mode(0o600).create(true).truncate(false).write(true).open(self.file())?;
        Ok(())
    }

    fn file(&self) -> PathBuf {
        self.folder.join(DATABASE_FILE)
    }

    fn fault(&self, source: DynoxideError) -> EngineError {
        EngineError::Database { folder: self.folder.clone(), source: Box::new(source) }
    }
}

/// Makes sure that a database that was opened by [`Engine::open_anew`], and is closed, is on disk.
///
/// # Errors
/// [`EngineError::Folder`] when the file can't be written.
pub fn sync_to_disk(folder: &Path) -> Result<(), EngineError> {
    let synced = File::open(folder.join(DATABASE_FILE)).and_then(|file| file.sync_all());
    let synced = synced.and_then(|()| File::open(folder)?.sync_all());
    synced.map_err(|source| EngineError::Folder { folder: folder.to_owned(), source })
}

/// A database with `Debug`, which the engine's own type lacks.
struct OpenDatabase(Database);

impl std::fmt::Debug for OpenDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database")
    }
}
