//! A stream that counts what passes its socket and notes when, so that time-outs and rates can count bytes moved. It lies
//! below TLS.
//!
//! What streams have in common is counted a second time where they are made [`Metered::within`] a total.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::obs::clock::boot_now;
use crate::time::{BootTime, millis};

/// How many bytes passed so far, and when the last did; every clone sees the same.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    read: Way,
    written: Way,
    /// Where the same is added up over many streams.
    total: Option<Meter>,
}

/// One direction.
#[derive(Debug)]
struct Way {
    bytes: AtomicU64,
    /// Milliseconds of boot time.
    last: AtomicU64,
}

impl Way {
    fn new(now: BootTime) -> Self {
        Self { bytes: AtomicU64::new(0), last: AtomicU64::new(millis(now.0)) }
    }

    fn count(&self, bytes: usize) {
        if bytes > 0 {
            self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            self.last.store(millis(boot_now().0), Ordering::Relaxed);
        }
    }

    fn last(&self) -> BootTime {
        BootTime(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::of(None)
    }
}

impl Meter {
    fn of(total: Option<Self>) -> Self {
        let now = boot_now();
        Self(Arc::new(Counts { read: Way::new(now), written: Way::new(now), total }))
    }

    fn count_read(&self, bytes: usize) {
        self.0.read.count(bytes);
        if let Some(total) = &self.0.total {
            total.count_read(bytes);
        }
    }

    fn count_written(&self, bytes: usize) {
        self.0.written.count(bytes);
        if let Some(total) = &self.0.total {
            total.count_written(bytes);
        }
    }

    /// Bytes received.
    pub fn read(&self) -> u64 {
        self.0.read.bytes.load(Ordering::Relaxed)
    }

    /// Bytes the system accepted for sending.
    pub fn written(&self) -> u64 {
        self.0.written.bytes.load(Ordering::Relaxed)
    }

    /// When the last byte was received; when the connection was made, where none was.
    pub fn last_read(&self) -> BootTime {
        self.0.read.last()
    }

    /// When the system accepted the last byte for sending; when the connection was made, where it accepted none.
    pub fn last_written(&self) -> BootTime {
        self.0.written.last()
    }

    /// Bytes that passed in both directions.
    pub fn moved(&self) -> u64 {
        self.read().saturating_add(self.written())
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
        Self { inner, meter: Meter::of(Some(total)) }
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
        self.meter.count_read(buffer.filled().len().saturating_sub(before));
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
            self.meter.count_written(*count);
        }
        result
    }

    // TLS hands over a flight in pieces; one by one, an alert at its end would miss the connection's own end.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write_vectored(context, pieces);
        if let Poll::Ready(Ok(count)) = &result {
            self.meter.count_written(*count);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
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
    async fn each_way_is_dated_by_its_own_last_byte() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Metered::new(near);
        assert!(near.is_write_vectored(), "TLS hands over a flight in pieces");
        let meter = near.meter();
        let passed = async |since: BootTime| {
            while boot_now() <= since.after(Duration::from_millis(2)) {
                tokio::task::yield_now().await;
            }
        };
        let made = meter.last_written();
        assert_eq!(meter.last_read(), made);
        passed(made).await;
        near.write_all(b"out").await.unwrap();
        let written = meter.last_written();
        assert!(written > made && meter.last_read() == made, "{meter:?}");
        passed(written).await;
        far.write_all(b"in").await.unwrap();
        near.read_exact(&mut [0; 2]).await.unwrap();
        assert!(meter.last_read() > written && meter.last_written() == written, "{meter:?}");
    }

    #[tokio::test]
    async fn streams_within_a_total_are_counted_each_and_together() {
        let total = Meter::default();
        let (near, far) = tokio::io::duplex(64);
        let (mut near, mut far) = (Metered::within(near, total.clone()), Metered::within(far, total.clone()));
        near.write_all(b"seven b").await.unwrap();
        far.read_exact(&mut [0; 7]).await.unwrap();
        // In pieces, as TLS writes.
        let pieces = [IoSlice::new(b"tw"), IoSlice::new(b"o")];
        let mut written = far.write_vectored(&pieces).await.unwrap();
        while written < 3 {
            written += far.write_vectored(&[IoSlice::new(&b"two"[written..])]).await.unwrap();
        }
        let of = |meter: &Meter| (meter.read(), meter.written());
        assert_eq!((of(&near.meter()), of(&far.meter()), of(&total)), ((0, 7), (7, 3), (7, 10)));
    }
}
