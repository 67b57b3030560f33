//! The end of a session that still has a socket.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::net::ws::{Incoming, Turn, Want};
use crate::obs::clock::boot_now;
use crate::wire::error::ErrorCode;

use super::{Flow, Outcome, Uplink};

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    /// Sends what the machine still has (an Error may wait), then closes; bounded by the write time-out.
    pub(super) async fn finish(mut self, code: u16, detail: &str) -> Outcome {
        let limit = self.with.write_timeout;
        let drain = async {
            loop {
                if self.pending.is_none() {
                    self.pending = self.session.poll_transmit(boot_now(), &mut self.frame);
                }
                if self.pending.is_none() {
                    break;
                }
                let turn = self.link.turn(Want::Send).await;
                if matches!(turn, Turn::Incoming(Incoming::Lost(_) | Incoming::Closed { .. })) {
                    break;
                }
                if let Turn::Writable = turn
                    && let Flow::End(_) = self.turned(Turn::Writable)
                {
                    break;
                }
            }
        };
        let drained = tokio::time::timeout(limit, drain).await;
        // Acks that came are worth keeping; without them the hub sorts the records out again.
        if let Some(work) = self.acking.take()
            && let Err(error) = work.await
        {
            tracing::debug!(%error, "the last acks were not kept");
        }
        let marks = std::mem::take(&mut self.acks);
        if !marks.is_empty()
            && let Err(error) = self.with.outbox.ack(marks).await
        {
            tracing::debug!(%error, "the last acks were not kept");
        }
        match drained {
            // A line that is dead does not answer; its end is shown at once.
            Ok(()) if self.outcome.error == Some(ErrorCode::Idle) => {
                let _said = tokio::time::timeout(Duration::ZERO, self.link.turn(Want::Rest)).await;
            }
            Ok(()) => self.link.close(code, detail).await,
            Err(_late) => {}
        }
        self.outcome
    }
}
