//! A stream that counts what passes its socket, so that time-outs and rates can count bytes moved. It lies below TLS.
//!
//! What streams have in common is counted a second time where they are made [`Metered::within`] a total.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes passed so far; every clone sees the same.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    read: AtomicU64,
    written: AtomicU64,
    /// Where the same is added up over many streams.
    total: Option<Meter>,
}

impl Meter {
    fn within(total: Self) -> Self {
        Self(Arc::new(Counts { total: Some(total), ..Counts::default() }))
    }

    fn add_read(&self, count: u64) {
        self.0.read.fetch_add(count, Ordering::Relaxed);
        if let Some(total) = &self.0.total {
            total.add_read(count);
        }
    }

    fn add_written(&self, count: u64) {
        self.0.written.fetch_add(count, Ordering::Relaxed);
        if let Some(total) = &self.0.total {
            total.add_written(count);
        }
    }

    /// Bytes received.
    pub fn read(&self) -> u64 {
        self.0.read.load(Ordering::Relaxed)
    }

    /// Bytes the system accepted for sending.
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }
}

/// A stream with a [`Meter`].
#[derive(Debug)]
pub struct Metered<S> {
    inner: S,
    meter: Meter,
}

impl<S> Metered<S> {
    /// Counts from zero.
    pub fn new(inner: S) -> Self {
        Self { inner, meter: Meter::default() }
    }

    /// Counts from zero, and into `total`, too.
    pub fn within(inner: S, total: Meter) -> Self {
        Self { inner, meter: Meter::within(total) }
    }

    /// Sees what this stream counts.
    pub fn meter(&self) -> Meter {
        self.meter.clone()
    }

    /// The stream below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(context, buffer);
        let count = buffer.filled().len().saturating_sub(before) as u64;
        self.meter.add_read(count);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &result {
            self.meter.add_written(*count as u64);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn streams_within_a_total_are_counted_each_and_together() {
        let total = Meter::default();
        let (near, far) = tokio::io::duplex(64);
        let (mut near, mut far) = (Metered::within(near, total.clone()), Metered::within(far, total.clone()));
        near.write_all(b"seven b").await.unwrap();
        far.read_exact(&mut [0; 7]).await.unwrap();
        far.write_all(b"two").await.unwrap();
        let of = |meter: &Meter| (meter.read(), meter.written());
        assert_eq!((of(&near.meter()), of(&far.meter()), of(&total)), ((0, 7), (7, 3), (7, 10)));
    }
}
