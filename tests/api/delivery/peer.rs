use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How much comes at once when all comes at once, and how far apart are bytes that come one by one.
const FLOOD_BYTES: usize = 8_192;
const DRIP: Duration = Duration::from_millis(20);

/// What a receiver does once it has read a request.
#[derive(Clone)]
pub(super) enum Answer {
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// These bytes, and nothing more, without an end.
    Hang(Vec<u8>),
    /// These bytes, and then those over and over, at once.
    Flood(Vec<u8>, Vec<u8>),
    /// These bytes, and then that byte again and again, a little at a time.
    Drip(Vec<u8>, u8),
}

/// A receiver on a port of this machine, which keeps what it was sent.
pub(super) struct Peer {
    place: SocketAddr,
    seen: Seen,
    task: JoinHandle<()>,
}

/// Requests as they came, head and body; an empty one for a connection on which none came.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Vec<String>>>);

impl Answer {
    /// A whole answer of these lines and that body.
    pub(super) fn whole(head: &str, body: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }
}

impl Peer {
    /// One that answers every request like that.
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (place, seen) = (listener.local_addr().unwrap(), Seen::default());
        let of_task = seen.clone();
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, answer.clone(), of_task.clone()));
            }
        });
        Self { place, seen, task }
    }

    /// A URL of it.
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

impl Seen {
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn add(&self, request: Vec<u8>) {
        self.0.lock().unwrap().push(String::from_utf8(request).unwrap());
    }
}

/// Reads one request and answers it; whoever asked may leave at any time.
pub(super) async fn serve(mut socket: impl AsyncRead + AsyncWrite + Unpin, answer: Answer, seen: Seen) {
    seen.add(request(&mut socket).await);
    tell(&mut socket, answer).await;
}

/// Says that, whatever was asked.
pub(super) async fn tell(socket: &mut (impl AsyncWrite + Unpin), answer: Answer) {
    let (first, rest) = match answer {
        Answer::Bytes(bytes) => {
            socket.write_all(&bytes).await.ok();
            socket.shutdown().await.ok();
            return;
        }
        Answer::Hang(bytes) => (bytes, None),
        // Many bytes at once, because the clock's ticks are far apart.
        Answer::Flood(bytes, again) => (bytes, Some((again.repeat(FLOOD_BYTES / again.len()), None))),
        Answer::Drip(bytes, again) => (bytes, Some((vec![again], Some(DRIP)))),
    };
    socket.write_all(&first).await.ok();
    let Some((again, pause)) = rest else { return std::future::pending().await };
    while socket.write_all(&again).await.is_ok() && socket.flush().await.is_ok() {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
    }
}

/// A request: its head, and as much of a body as that says.
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
