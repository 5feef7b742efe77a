//! A connection with a limit on the bytes that are read from it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that reads a limited number of bytes in total: handshake, head, framing and body. It sits below TLS and
/// HTTP, so that neither can be made to read more.
pub(super) struct LimitedReader<S> {
    inner: S,
    left: usize,
    limit: ReadLimit,
}

/// Whether a [`LimitedReader`] had to stop at its limit.
#[derive(Clone, Default)]
pub(super) struct ReadLimit(Arc<AtomicBool>);

impl<S> LimitedReader<S> {
    /// Reads at most `most` bytes of `inner`; then reading fails and the [`ReadLimit`] is reached.
    pub(super) fn new(inner: S, most: usize) -> (Self, ReadLimit) {
        let limit = ReadLimit::default();
        (Self { inner, left: most, limit: limit.clone() }, limit)
    }
}

impl ReadLimit {
    pub(super) fn is_reached(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LimitedReader<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.limit.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other("the read limit is reached")));
        }
        let most = self.left.min(into.remaining());
        let mut part = ReadBuf::new(into.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.inner).poll_read(context, &mut part))?;
        let read = part.filled().len();
        into.advance(read);
        self.left = self.left.saturating_sub(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LimitedReader<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    proptest! {
        /// For any buffer size, the bytes read are a prefix of the bytes sent, never longer than the limit.
        #[test]
        fn reading_stops_at_the_limit(sent in proptest::collection::vec(any::<u8>(), 0..200), most in 0usize..200, cut in 1usize..50) {
            let (read, is_reached) = futures_util::FutureExt::now_or_never(async {
                let (mut reader, limit) = LimitedReader::new(sent.as_slice(), most);
                let (mut read, mut part) = (Vec::new(), vec![0; cut]);
                while let Ok(count @ 1..) = reader.read(&mut part).await {
                    read.extend_from_slice(&part[..count]);
                }
                (read, limit.is_reached())
            }).unwrap();
            prop_assert_eq!(&read, &sent[..most.min(sent.len())]);
            prop_assert_eq!(is_reached, most <= sent.len());
        }
    }
}
