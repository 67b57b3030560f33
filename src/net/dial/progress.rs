//! Patience with a slow line: work goes on as long as bytes move, and for no longer than it may.

use crate::limit;
use crate::net::meter::Meter;
use crate::net::patience::{Late, Patience};

/// Why work was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stalled {
    /// No byte moved.
    #[error("was silent for {} s", limit::DIAL_STALL_TIMEOUT.as_secs())]
    Silent,
    /// Bytes moved to no end.
    #[error("was not done within {} s", limit::DIAL_STEP_MAX.as_secs())]
    Slow,
}

impl From<Late> for Stalled {
    fn from(late: Late) -> Self {
        match late {
            Late::Silence(_) => Self::Silent,
            Late::Whole(_) => Self::Slow,
        }
    }
}

/// Does `work`, which moves the bytes that `meter` counts. What is given up is dropped.
pub(in crate::net) async fn watch<T>(meter: &Meter, work: impl Future<Output = T>) -> Result<T, Stalled> {
    let patience = Patience { silence: limit::DIAL_STALL_TIMEOUT, whole: limit::DIAL_STEP_MAX };
    Ok(patience.wait(meter, work).await?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::net::meter::Metered;

    /// Reads to the end what a peer sends byte by byte, one each `pause`.
    async fn trickle(count: usize, pause: Duration) -> (Result<usize, Stalled>, Duration) {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Metered::new(near);
        let meter = near.meter();
        let begun = Instant::now();
        let sender = async move {
            for _ in 0..count {
                sleep(pause).await;
                if far.write_all(b"x").await.is_err() {
                    return;
                }
            }
        };
        let reader = async {
            let mut bytes = Vec::new();
            let result = watch(&meter, near.read_to_end(&mut bytes)).await.map(|result| result.unwrap());
            drop(near);
            (result, begun.elapsed())
        };
        tokio::join!(sender, reader).1
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_is_enough() {
        let (result, elapsed) = trickle(6, Duration::from_secs(18)).await;
        assert_eq!((result, elapsed.as_secs()), (Ok(6), 108));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_given_up() {
        let (result, elapsed) = trickle(1, Duration::from_secs(3600)).await;
        assert_eq!((result, elapsed), (Err(Stalled::Silent), limit::DIAL_STALL_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_without_end_are_given_up_too() {
        let (result, elapsed) = trickle(100_000, Duration::from_millis(500)).await;
        assert_eq!((result, elapsed), (Err(Stalled::Slow), limit::DIAL_STEP_MAX));
    }
}
