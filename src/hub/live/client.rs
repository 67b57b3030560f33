//! One subscriber's WebSocket: its first frame, what is pushed to it, pings, and why it ends.
//!
//! Reading, writing and the times run beside each other: one that does not read still has its pongs missed, its token end and
//! its close frame tried. Nothing it does reaches beyond its own queue.

mod ending;
mod outgoing;
#[cfg(test)]
mod tests;
mod throttle;

use std::future::pending;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{SplitSink, SplitStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;
use tracing::field::{DisplayValue, display};

use crate::limit;
use crate::obs::clock;

use super::audience::{Form, Place, Slot, Subscription};
use super::broker::{Broker, JoinError, wall_now};
use super::first_frame::{self, Refused};
use super::label::Label;
use super::own;
use super::registry::Access;
use super::standing::Standing;
use super::topic::{Owner, Topic};
pub(super) use ending::Ending;
use outgoing::{Messages, Outgoing};
use throttle::Throttle;

/// Who has been upgraded.
pub(super) struct Client {
    pub(super) hall: Hall,
    pub(super) topic: Topic,
    pub(super) address: IpAddr,
    /// Who a proxy says it is; anybody's text.
    pub(super) client: Option<String>,
    pub(super) standing: Standing,
    pub(super) stop: CancellationToken,
}

/// What it wants to listen to.
pub(super) enum Hall {
    /// A topic of workers, or the broker's.
    Broker { broker: Arc<Broker>, access: Access, form: Form },
    /// One of Outpost's own streams.
    Own(Box<own::Wanted>),
}

/// A subscriber.
struct Inside {
    messages: Messages,
    expires_s: Option<u64>,
    membership: Membership,
}

/// Where its messages come from.
enum Membership {
    /// From whoever publishes: what finds its queue full is lost.
    Audience { own: Slot, unwelcome: CancellationToken, dropped: Arc<AtomicU64>, _place: Place },
    /// From the store, as fast as it reads: nothing is lost.
    Follower(Box<own::Follower>),
}

impl Membership {
    /// Completes when it may not stay.
    async fn end(&mut self) -> Ending {
        match self {
            Self::Audience { unwelcome, .. } => {
                unwelcome.cancelled().await;
                Refused::Unwelcome.into()
            }
            Self::Follower(follower) => follower.run().await,
        }
    }

    fn dropped(&self) -> u64 {
        match self {
            Self::Audience { dropped, .. } => dropped.load(Ordering::Relaxed),
            Self::Follower(_) => 0,
        }
    }

    /// For what only this subscriber gets.
    fn own(&self) -> Option<Slot> {
        match self {
            Self::Audience { own, .. } => Some(own.clone()),
            Self::Follower(_) => None,
        }
    }
}

impl Hall {
    /// Judges the first frame.
    async fn admit(&self, frame: &str, topic: &Topic) -> Result<Inside, Ending> {
        match self {
            Self::Broker { broker, access, form } => {
                let admitted = broker.admit(frame, topic, *access)?;
                let joined = broker.join(topic, &admitted, *form).map_err(|error| match error {
                    JoinError::Full(_) => Ending::Crowded,
                    JoinError::Unwelcome => Refused::Unwelcome.into(),
                })?;
                let Subscription { place, messages, own, unwelcome, dropped } = joined;
                let messages = Messages::Published(messages);
                let membership = Membership::Audience { own, unwelcome, dropped, _place: place };
                Ok(Inside { messages, expires_s: admitted.expires_s, membership })
            }
            Self::Own(wanted) => {
                let own::Admitted { follower, messages, expires_s } = wanted.admit(frame).await?;
                let messages = Messages::Followed(messages);
                let membership = Membership::Follower(Box::new(follower));
                Ok(Inside { messages, expires_s: Some(expires_s), membership })
            }
        }
    }

    /// The answer to `{"type":"status"}`, where there is one.
    fn status(&self, topic: &Topic) -> Option<String> {
        match self {
            Self::Broker { broker, .. } if topic.owner() == Owner::Broker => {
                let payload = broker.status().to_json();
                Some(serde_json::json!({"type": "status", "payload": payload}).to_string())
            }
            Self::Broker { .. } | Self::Own(_) => None,
        }
    }
}

type Sink<S> = SplitSink<WebSocketStream<S>, Message>;
type Source<S> = SplitStream<WebSocketStream<S>>;

impl Client {
    /// As a log line may have it.
    fn label(&self) -> Option<DisplayValue<Label<'_>>> {
        self.client.as_deref().map(Label).map(display)
    }

    /// Until the connection is over.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self, mut socket: WebSocketStream<S>) {
        let begun = self.begin(&mut socket).await;
        let (mut socket, ending, rest) = match begun {
            Err(ending) => {
                if matches!(ending, Ending::Refused(_)) {
                    self.standing.note_failure();
                }
                (socket, ending, None)
            }
            Ok(inside) => {
                self.standing.prove();
                let (mut sink, mut source) = socket.split();
                let (ending, rest) = self.subscribed(&mut sink, &mut source, inside).await;
                let Ok(socket) = sink.reunite(source) else { return };
                (socket, ending, Some(rest))
            }
        };
        let address = self.address;
        tracing::debug!(%address, client = self.label(), topic = %self.topic, %ending, "a subscriber's connection ends");
        // A peer that does not take it gets no more time than this.
        let telling = async {
            if let Some(rest) = rest
                && rest.finish(&mut socket).await.is_err()
            {
                return;
            }
            ending.tell(socket).await;
        };
        let _late = tokio::time::timeout(limit::CLOSE_TIMEOUT, telling).await;
    }

    /// The first frame.
    async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: &mut WebSocketStream<S>,
    ) -> Result<Inside, Ending> {
        let frame = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Ending::GoingAway),
            () = self.standing.dropped() => Err(Ending::Crowded),
            frame = first(socket) => frame,
            () = tokio::time::sleep(limit::LIVE_AUTH_TIMEOUT) => Err(Refused::NoFrame.into()),
        }?;
        self.hall.admit(&frame, &self.topic).await
    }

    async fn subscribed<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        sink: &mut Sink<S>,
        source: &mut Source<S>,
        inside: Inside,
    ) -> (Ending, Outgoing) {
        let Inside { messages, expires_s, mut membership } = inside;
        let mut outgoing = Outgoing::new(messages);
        let pong = Notify::new();
        let own = membership.own();
        let ending = tokio::select! {
            biased;
            () = self.stop.cancelled() => Ending::GoingAway,
            ending = membership.end() => ending,
            () = expiry(expires_s) => Refused::Expired.into(),
            () = silence(&pong) => Ending::Silent,
            ending = self.read(source, own, &pong) => ending,
            ending = outgoing.write(sink) => ending,
        };
        let dropped = membership.dropped();
        drop(membership);
        if dropped > 0 {
            let address = self.address;
            tracing::info!(%address, client = self.label(), topic = %self.topic, dropped, "a subscriber read too slowly and lost messages");
        }
        (ending, outgoing)
    }

    async fn read<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        source: &mut Source<S>,
        own: Option<Slot>,
        pong: &Notify,
    ) -> Ending {
        let mut throttle = Throttle::default();
        loop {
            match source.next().await {
                Some(Ok(Message::Text(text))) => {
                    let asks = self.topic.owner() == Owner::Broker && first_frame::asks_for_status(&text);
                    if asks
                        && throttle.allows(clock::boot_now())
                        && let (Some(own), Some(status)) = (&own, self.hall.status(&self.topic))
                    {
                        // It asks again, where it had no room for the answer.
                        let _full = own.put_text(status);
                    }
                }
                Some(Ok(Message::Binary(_))) => return Ending::Binary,
                Some(Ok(Message::Pong(_))) => pong.notify_one(),
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Ending::Left,
                Some(Err(error)) => return Ending::of(&error),
            }
        }
    }
}

/// The first message that is none of the protocol's own.
async fn first<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> Result<Utf8Bytes, Ending> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(Message::Binary(_))) => return Err(Refused::NoFrame.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Err(Ending::Left),
            Some(Err(error)) => return Err(Ending::of(&error)),
        }
    }
}

/// Completes when no pong has come for too long.
async fn silence(pong: &Notify) {
    while tokio::time::timeout(limit::LIVE_PONG_TIMEOUT, pong.notified()).await.is_ok() {}
}

/// Completes when the token's time is over.
async fn expiry(expires_s: Option<u64>) {
    let Some(expires_s) = expires_s else { return pending().await };
    loop {
        let now_ms = wall_now().0;
        if now_ms / 1000 >= expires_s {
            return;
        }
        let left = Duration::from_millis(expires_s.saturating_mul(1000).saturating_sub(now_ms));
        tokio::time::sleep(left.min(limit::DEADLINE_LOOK)).await;
    }
}
