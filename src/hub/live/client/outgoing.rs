//! What goes out to one subscriber: messages, the longer ones in several frames. Whatever is written is copied for each, and one
//! that does not read would keep a copy of a whole message; so it keeps one of a frame, or of short messages that take no more
//! room together: what waits already goes with one write. Pings go between frames.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{FutureExt as _, Sink, SinkExt as _};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::hub::live::audience::{Inbox, Parcel};
use crate::hub::live::first_frame::AUTH_OK;
use crate::limit;

use super::ending::Ending;

/// Where one's messages come from.
pub(super) enum Messages {
    /// From whoever publishes.
    Published(Inbox),
    /// From one of Outpost's own streams, which waits for its subscriber.
    Followed(mpsc::Receiver<Utf8Bytes>),
}

/// See the module.
pub(super) struct Outgoing {
    messages: Messages,
    begun: Option<Begun>,
}

/// A message that is the next, and how much of it is gone.
struct Begun {
    text: Bytes,
    sent: usize,
    /// Its memory is taken for as long.
    _parcel: Option<Arc<Parcel>>,
}

impl Messages {
    /// Cancel safe.
    async fn take(&mut self) -> Option<Begun> {
        match self {
            Self::Published(inbox) => {
                let parcel = inbox.take().await?;
                Some(Begun { text: parcel.bytes().clone(), sent: 0, _parcel: Some(parcel) })
            }
            Self::Followed(texts) => Some(Begun { text: texts.recv().await?.into(), sent: 0, _parcel: None }),
        }
    }
}

impl Outgoing {
    pub(super) const fn new(messages: Messages) -> Self {
        Self { messages, begun: None }
    }

    /// Sends what comes, and pings, after the word that it may be here. Until the connection breaks.
    pub(super) async fn write<S: Sink<Message, Error = Error> + Unpin>(&mut self, sink: &mut S) -> Ending {
        let mut pings = tokio::time::interval(limit::LIVE_PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once.
        pings.tick().await;
        let mut next = Message::Text(Utf8Bytes::from_static(AUTH_OK));
        loop {
            if let Err(error) = self.send(sink, next).await {
                return Ending::of(&error);
            }
            next = tokio::select! {
                biased;
                // Before the messages: who is never without one is pinged, too.
                _ = pings.tick() => Message::Ping(Bytes::new()),
                Some(frame) = self.next() => Message::Frame(frame),
            };
        }
    }

    /// Sends this, and what waits already and has room beside it.
    async fn send<S: Sink<Message, Error = Error> + Unpin>(
        &mut self,
        sink: &mut S,
        first: Message,
    ) -> Result<(), Error> {
        let mut room = limit::LIVE_FRAME_SENT_BYTES_MAX.saturating_sub(first.len());
        sink.feed(first).await?;
        while let Some(frame) = self.waiting(room) {
            room = room.saturating_sub(frame.len());
            sink.feed(Message::Frame(frame)).await?;
        }
        sink.flush().await
    }

    /// A message that waits and is no longer than this. Only a whole one: where the connection ends meanwhile, it is lost.
    fn waiting(&mut self, room: usize) -> Option<Frame> {
        if self.begun.is_none() {
            self.begun = self.messages.take().now_or_never().flatten();
        }
        let fits = self.begun.as_ref().is_some_and(|begun| begun.sent == 0 && begun.text.len() <= room);
        if fits { self.cut() } else { None }
    }

    /// The next frame; `None` where there will be none. Cancel safe.
    async fn next(&mut self) -> Option<Frame> {
        if self.begun.is_none() {
            self.begun = Some(self.messages.take().await?);
        }
        self.cut()
    }

    /// Sends the rest of a message that was begun: no other may come before its end.
    pub(super) async fn finish<S: Sink<Message> + Unpin>(mut self, sink: &mut S) -> Result<(), S::Error> {
        self.begun = self.begun.filter(|begun| begun.sent > 0);
        while let Some(frame) = self.cut() {
            sink.send(Message::Frame(frame)).await?;
        }
        Ok(())
    }

    fn cut(&mut self) -> Option<Frame> {
        let begun = self.begun.as_mut()?;
        let text = &begun.text;
        let kind = if begun.sent == 0 { Data::Text } else { Data::Continue };
        let end = begun.sent.saturating_add(limit::LIVE_FRAME_SENT_BYTES_MAX).min(text.len());
        let piece = text.slice(begun.sent..end);
        let is_last = end == text.len();
        begun.sent = end;
        if is_last {
            self.begun = None;
        }
        Some(Frame::message(piece, OpCode::Data(kind), is_last))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// What was sent, and what went together.
    #[derive(Default)]
    struct Writes {
        fed: Vec<usize>,
        flushed: Vec<Vec<usize>>,
    }

    impl Sink<Message> for Writes {
        type Error = Error;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
            self.fed.push(match message {
                Message::Frame(frame) => frame.payload().len(),
                other => other.len(),
            });
            Ok(())
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            let fed = std::mem::take(&mut self.fed);
            self.flushed.push(fed);
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_goes_together_up_to_a_frame_and_never_beside_a_piece() {
        const FRAME: usize = limit::LIVE_FRAME_SENT_BYTES_MAX;
        // Beside each a header of two bytes.
        let rest = FRAME - AUTH_OK.len() - 12;
        let lengths = [10, rest, 1, FRAME - 3, 2 * FRAME + 3, 5, FRAME, FRAME + 1];
        let (sender, texts) = mpsc::channel(lengths.len());
        for length in lengths {
            sender.try_send("x".repeat(length).into()).unwrap();
        }
        let mut writes = Writes::default();
        let mut outgoing = Outgoing::new(Messages::Followed(texts));
        let waits = tokio::time::timeout(limit::LIVE_PING_INTERVAL / 2, outgoing.write(&mut writes)).await;
        assert!(waits.is_err(), "{waits:?}");
        let expected: [&[usize]; 8] = [
            &[AUTH_OK.len(), 10, rest],
            &[1, FRAME - 3],
            &[FRAME],
            &[FRAME],
            &[3, 5],
            &[FRAME],
            &[FRAME],
            &[1],
        ];
        assert_eq!(writes.flushed, expected);
    }
}
