//! One turn of the socket: something was written, or something came.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::net::ws::{Incoming, Turn};
use crate::obs::clock::boot_now;
use crate::session::Transmit;
use crate::wire::error::ErrorCode;

use super::{End, Flow, Uplink};

impl<S: AsyncRead + AsyncWrite + Unpin> Uplink<S> {
    pub(super) fn turned(&mut self, turn: Turn) -> Flow {
        let now = boot_now();
        // What came with a message is not a part of the next one.
        self.session.handle_received(self.link.last_read(), self.link.received());
        match turn {
            Turn::Writable => {
                let sent = match self.pending.take() {
                    Some(Transmit::Frame) => self.link.feed(self.frame.split().freeze()),
                    Some(Transmit::Ping) => self.link.feed_ping(),
                    None => Ok(()),
                };
                self.with.state.count(|counters| counters.frames_out = counters.frames_out.saturating_add(1));
                sent.map_or_else(|error| self.lost(&error), |()| Flow::On)
            }
            Turn::Incoming(Incoming::Frame(frame)) => {
                self.with.state.count(|counters| counters.frames_in = counters.frames_in.saturating_add(1));
                self.session.handle_frame(now, (self.with.wall_clock)(), frame);
                Flow::On
            }
            Turn::Incoming(Incoming::Text) => {
                self.session.handle_text(now);
                Flow::On
            }
            Turn::Incoming(Incoming::Activity) => {
                self.session.handle_activity(now);
                Flow::On
            }
            Turn::Incoming(Incoming::TooLarge) => {
                let code = ErrorCode::TooLarge;
                self.outcome.ended(code.name(), code.text(), Some(code));
                Flow::End(End::Close(code.close_code(), code.text().to_owned()))
            }
            Turn::Incoming(Incoming::Closed { code, reason }) => {
                self.outcome.closed_by_peer(code, &reason, |error| self.session.explain_refusal(error));
                Flow::End(End::Gone)
            }
            Turn::Incoming(Incoming::Lost(reason)) => self.lost(&reason),
        }
    }

    fn lost(&mut self, reason: &str) -> Flow {
        self.outcome.ended("link", &format!("the connection was lost: {reason}"), None);
        Flow::End(End::Gone)
    }
}
