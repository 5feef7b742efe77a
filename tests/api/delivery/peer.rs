//! A receiver that answers byte by byte as a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The size of a flood's pieces, and the pause between bytes that come one by one.
const FLOOD_BYTES: usize = 8_192;
const DRIP: Duration = Duration::from_millis(20);

/// What a receiver sends after it has read a request.
#[derive(Clone)]
pub(super) enum PeerAnswer {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes, then nothing, with the connection open.
    Hang(Vec<u8>),
    /// The first bytes, then the second ones over and over, at once.
    Flood(Vec<u8>, Vec<u8>),
    /// These bytes, then one byte again and again, slowly.
    Drip(Vec<u8>, u8),
}

/// A receiver on a local port that records its requests.
pub(super) struct Peer {
    place: SocketAddr,
    seen: PeerRequests,
    task: JoinHandle<()>,
}

/// The requests as they arrived, head and body; an empty one for a connection without a request.
#[derive(Clone, Default)]
pub(super) struct PeerRequests(Arc<Mutex<Vec<String>>>);

impl PeerAnswer {
    /// A complete answer with these header lines and this body.
    pub(super) fn whole(head: &str, body: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }
}

impl Peer {
    /// Starts a receiver that gives every request this answer.
    pub(super) async fn start(answer: PeerAnswer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (place, seen) = (listener.local_addr().unwrap(), PeerRequests::default());
        let of_task = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, answer.clone(), of_task.clone()));
            }
        });
        Self { place, seen, task }
    }

    /// The receiver's URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}/hooks?a=b", self.place)
    }

    pub(super) fn port(&self) -> u16 {
        self.place.port()
    }

    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.all()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PeerRequests {
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, request: Vec<u8>) {
        self.0.lock().unwrap().push(String::from_utf8(request).unwrap());
    }
}

/// Reads one request and answers it; the client may disconnect at any time.
pub(super) async fn serve(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    answer: PeerAnswer,
    seen: PeerRequests,
) {
    seen.add(request(&mut socket).await);
    respond(&mut socket, answer).await;
}

/// Sends the answer, whatever the request was.
pub(super) async fn respond(socket: &mut (impl AsyncWrite + Unpin), answer: PeerAnswer) {
    let (first, rest) = match answer {
        PeerAnswer::Bytes(bytes) => {
            socket.write_all(&bytes).await.ok();
            socket.shutdown().await.ok();
            return;
        }
        PeerAnswer::Hang(bytes) => (bytes, None),
        // Many bytes at once, because the clock's ticks are far apart.
        PeerAnswer::Flood(bytes, again) => (bytes, Some((again.repeat(FLOOD_BYTES / again.len()), None))),
        PeerAnswer::Drip(bytes, again) => (bytes, Some((vec![again], Some(DRIP)))),
    };
    socket.write_all(&first).await.ok();
    let Some((again, pause)) = rest else { return std::future::pending().await };
    while socket.write_all(&again).await.is_ok() && socket.flush().await.is_ok() {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Reads a request: its head, and the body of the length that it announces.
async fn request(socket: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else { return request };
        request.push(byte);
    }
    let head = String::from_utf8(request.clone()).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    socket.read_exact(&mut body).await.ok();
    request.extend(body);
    request
}
