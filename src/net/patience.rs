//! How long to wait for a peer: as long as bytes move, and not for ever.
//!
//! On a line of some hundred bytes a second a TLS handshake takes longer than any silence may last. So what is bounded is
//! the silence, by the [`Meter`], and beside it the whole, against a peer that lets a byte through now and then.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::meter::Meter;

/// How long something may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Without one byte in either direction.
    pub silence: Duration,
    /// In all.
    pub whole: Duration,
}

/// The time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Late {
    /// No byte moved.
    #[error("no byte moved for {} s", .0.as_secs())]
    Silence(Duration),
    /// Bytes moved to the end.
    #[error("not done within {} s, though bytes moved", .0.as_secs())]
    Whole(Duration),
}

/// The silence is looked at so many times within its bound, which is kept that exactly.
const LOOKS: u32 = 20;

impl Patience {
    /// What `work` gives, if that comes in time. `work` is what moves the bytes that `meter` counts; it is dropped where
    /// the time is up. Cancel safe where `work` is.
    ///
    /// # Errors
    /// [`Late`], with the bound that was reached.
    pub async fn wait<T>(self, meter: &Meter, work: impl Future<Output = T>) -> Result<T, Late> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            late = self.run_out(meter) => Err(late),
        }
    }

    /// Completes when the time is up. Cancel safe.
    pub async fn run_out(self, meter: &Meter) -> Late {
        let end = Instant::now() + self.whole;
        let (mut moved, mut since) = (meter.moved(), Instant::now());
        loop {
            let look = (Instant::now() + self.silence / LOOKS).min(since + self.silence).min(end);
            tokio::time::sleep_until(look).await;
            if meter.moved() != moved {
                (moved, since) = (meter.moved(), look);
            }
            if since.elapsed() >= self.silence {
                return Late::Silence(self.silence);
            }
            if Instant::now() >= end {
                return Late::Whole(self.whole);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::net::meter::Metered;

    /// A peer that sends one byte each `pause`, and how long it is waited for.
    async fn waited(patience: Patience, pause: Duration, bytes: usize) -> Result<usize, Late> {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Metered::new(near);
        let meter = near.meter();
        let send = async {
            for _ in 0..bytes {
                tokio::time::sleep(pause).await;
                far.write_all(b"x").await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let mut text = vec![0; bytes];
        let read = patience.wait(&meter, near.read_exact(&mut text));
        tokio::select! {
            done = read => done.map(Result::unwrap),
            () = send => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_lets_bytes_through_is_waited_for_longer_than_any_silence() {
        let patience = Patience { silence: Duration::from_secs(10), whole: Duration::from_secs(300) };
        assert_eq!(waited(patience, Duration::from_secs(9), 30).await, Ok(30));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it() {
        let patience = Patience { silence: Duration::from_secs(10), whole: Duration::from_secs(300) };
        let begin = Instant::now();
        assert_eq!(waited(patience, Duration::from_secs(60), 1).await, Err(Late::Silence(patience.silence)));
        assert!(begin.elapsed() < Duration::from_secs(11), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_after_a_byte_ends_it_as_well() {
        let patience = Patience { silence: Duration::from_secs(10), whole: Duration::from_secs(300) };
        let begin = Instant::now();
        let pause = Duration::from_secs(8);
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Metered::new(near);
        let meter = near.meter();
        let send = async {
            tokio::time::sleep(pause).await;
            far.write_all(b"x").await.unwrap();
            std::future::pending::<()>().await;
        };
        let mut text = [0; 2];
        let read = patience.wait(&meter, near.read_exact(&mut text));
        let late = tokio::select! {
            done = read => done.map(Result::unwrap),
            () = send => unreachable!("it never ends"),
        };
        assert_eq!(late, Err(Late::Silence(patience.silence)));
        let took = begin.elapsed() - pause;
        assert!(took >= patience.silence && took < patience.silence * 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_peer_takes_counts_like_what_it_sends() {
        let patience = Patience { silence: Duration::from_secs(10), whole: Duration::from_secs(300) };
        let (near, mut far) = tokio::io::duplex(1);
        let mut near = Metered::new(near);
        let meter = near.meter();
        let take = async {
            loop {
                tokio::time::sleep(Duration::from_secs(9)).await;
                far.read_exact(&mut [0]).await.unwrap();
            }
        };
        let written = patience.wait(&meter, near.write_all(&[7; 20]));
        tokio::select! {
            done = written => done.unwrap().unwrap(),
            () = take => unreachable!("it never ends"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_does_not_hold_it_for_ever() {
        let patience = Patience { silence: Duration::from_secs(10), whole: Duration::from_secs(300) };
        let late = waited(patience, Duration::from_secs(5), 1000).await;
        assert_eq!(late, Err(Late::Whole(patience.whole)));
    }
}
