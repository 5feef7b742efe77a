//! Serves the database over HTTP on loopback, for clients outside this process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use dynoxide::Database;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::EngineError;

/// The listeners of one engine. Dropping them closes their connections and waits for the present request.
#[derive(Debug, Default)]
pub(super) struct HttpServers(Mutex<Vec<HttpServer>>);

#[derive(Debug)]
struct HttpServer {
    /// Taken on drop, which ends the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServers {
    pub(super) fn start(&self, database: Database, port: u16) -> Result<SocketAddr, EngineError> {
        let (listener, address) = listen(port).map_err(|source| EngineError::Listen { port, source })?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(EngineError::Thread)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("engine-http".to_owned())
            .spawn(move || serve(&runtime, listener, database, stopped))
            .map_err(EngineError::Thread)?;
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(HttpServer { stop: Some(stop), thread: Some(thread) });
        Ok(address)
    }
}

fn listen(port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn serve(runtime: &Runtime, listener: TcpListener, database: Database, stopped: oneshot::Receiver<()>) {
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| error.to_string())?;
        tokio::select! {
            served = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()) => served,
            // The server's own shutdown would wait for a client that has sent half a request.
            _ = stopped => Ok(()),
        }
    });
    if let Err(error) = served {
        tracing::error!(error, "the engine's listener failed");
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the engine's listener panicked");
        }
    }
}
