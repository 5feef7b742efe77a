use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection of which only so many bytes are read, whatever they are: handshake, head, framing or body.
/// Beneath TLS and HTTP, so that neither can be made to read more than it hands on.
pub(super) struct Metered<S> {
    inner: S,
    left: usize,
    spent: Spent,
}

/// Whether more was to be read than may be.
#[derive(Clone, Default)]
pub(super) struct Spent(Arc<AtomicBool>);

impl<S> Metered<S> {
    /// Reads at most `most` bytes of `inner`; past them, reading fails and [`Spent`] says why.
    pub(super) fn new(inner: S, most: usize) -> (Self, Spent) {
        let spent = Spent::default();
        (Self { inner, left: most, spent: spent.clone() }, spent)
    }
}

impl Spent {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.spent.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::Error::other("more came than is read")));
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

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
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
        /// However reads are cut, what comes is the beginning of what was sent, and never more than may be.
        #[test]
        fn no_more_is_read_than_may_be(sent in proptest::collection::vec(any::<u8>(), 0..200), most in 0usize..200, cut in 1usize..50) {
            let (read, is_spent) = futures_util::FutureExt::now_or_never(async {
                let (mut metered, spent) = Metered::new(sent.as_slice(), most);
                let (mut read, mut part) = (Vec::new(), vec![0; cut]);
                while let Ok(count @ 1..) = metered.read(&mut part).await {
                    read.extend_from_slice(&part[..count]);
                }
                (read, spent.is_so())
            }).unwrap();
            prop_assert_eq!(&read, &sent[..most.min(sent.len())]);
            prop_assert_eq!(is_spent, most <= sent.len());
        }
    }
}
