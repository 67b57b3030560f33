//! Server-sent events: what follows something that grows.
//!
//! One task serves a follower. It looks when the store rings, not by a clock, and hands over one chunk at a time: who does not
//! take it is hung up on, so a slow follower costs a chunk and the socket's buffers.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::hub::admission::Place;
use crate::hub::callers::Caller;
use crate::hub::tail::Moved;
use crate::hub::{Shared, hub_time};
use crate::limit;
use crate::obs::clock;
use crate::time::{BootTime, millis};

use super::problem::{Kind, Problem};

const LAST_EVENT_ID: &str = "last-event-id";

/// The id of the last event that came, as a browser's `EventSource` sends it; `None` where there was none.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    match headers.get(LAST_EVENT_ID).map(HeaderValue::to_str) {
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(Problem::bad_request("Last-Event-ID: must be the id of an event")),
        None => Ok(None),
    }
}

/// Why no more is sent. The follower comes back with the id of the last event it got, where it wants more.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the log is complete")]
    Complete,
    #[error("the follower has gone")]
    Gone,
    #[error("the follower took nothing for {0:?}")]
    Stalled(std::time::Duration),
    #[error("its token is not good any more")]
    NotWelcome,
    #[error("the hub stops")]
    Stop,
    #[error("{0}")]
    Store(String),
}

impl End {
    pub(super) fn store(error: impl std::fmt::Display) -> Self {
        Self::Store(error.to_string())
    }
}

/// What is followed, and how far.
pub(super) trait Followed: Send + 'static {
    /// What it is, for the hub's log.
    fn name(&self) -> String;

    /// Hands over what there is next; whether there was anything.
    fn advance(&mut self, out: &mut Outlet) -> impl Future<Output = Result<Moved, End>> + Send;

    /// Completes when there may be more than when it was looked at. Cancel safe.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;

    /// What is sent where nothing else was for a while: readers pass over it.
    fn heartbeat(&self) -> Bytes {
        Bytes::from_static(b": still here\n\n")
    }
}

/// Answers with events until what is followed ends, or either side does.
pub(super) fn follow(
    shared: &Arc<Shared>,
    caller: Caller,
    connection: Place,
    followed: impl Followed,
) -> Result<Response<Body>, Problem> {
    let seat = shared.followers.seat(&caller);
    let seat = seat.map_err(|full| Problem::new(Kind::TooManyFollowers, full.to_string()))?;
    let (chunks, taken) = mpsc::channel(1);
    let out = Outlet { chunks, connection, sent_at: clock::boot_now() };
    let follower = Follower { shared: Arc::clone(shared), caller, followed, out };
    shared.tasks.spawn(async move {
        let _seat = seat;
        follower.run().await;
    });
    let body = futures_util::stream::unfold(taken, |mut taken| async move {
        taken.recv().await.map(|chunk| (Ok::<_, Infallible>(chunk), taken))
    });
    let mut response = Response::new(Body::from_stream(body));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // nginx holds answers back otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

struct Follower<F> {
    shared: Arc<Shared>,
    caller: Caller,
    followed: F,
    out: Outlet,
}

impl<F: Followed> Follower<F> {
    async fn run(mut self) {
        let why = match self.serve().await {
            Ok(never) => match never {},
            Err(why) => why,
        };
        let (followed, token) = (self.followed.name(), &self.caller.name);
        match why {
            End::Store(error) => tracing::warn!(followed, %error, "a log could not be followed"),
            End::Stalled(_) => tracing::info!(followed, %token, %why, "a follower was dropped"),
            End::Complete | End::Gone | End::NotWelcome | End::Stop => {
                tracing::debug!(followed, %why, "a follower is done");
            }
        }
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        self.out.send(format!("retry: {}\n\n", millis(limit::FOLLOW_RETRY)).into()).await?;
        loop {
            if !self.shared.callers.is_good(&self.caller, hub_time()) {
                return Err(End::NotWelcome);
            }
            if self.followed.advance(&mut self.out).await? == Moved::Yes {
                continue;
            }
            tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return Err(End::Stop),
                () = self.out.chunks.closed() => return Err(End::Gone),
                () = self.shared.callers.dismissed(&self.caller) => return Err(End::NotWelcome),
                () = self.followed.changed() => tokio::time::sleep(limit::FOLLOW_PAUSE).await,
                () = self.out.quiet() => self.out.send(self.followed.heartbeat()).await?,
            }
        }
    }
}

/// The way to the follower.
pub(super) struct Outlet {
    chunks: mpsc::Sender<Bytes>,
    connection: Place,
    sent_at: BootTime,
}

impl Outlet {
    pub(super) async fn send(&mut self, events: Bytes) -> Result<(), End> {
        let patience = limit::FOLLOW_STALL_TIMEOUT;
        match tokio::time::timeout(patience, self.chunks.send(events)).await {
            Ok(Ok(())) => {
                self.sent_at = clock::boot_now();
                Ok(())
            }
            Ok(Err(_gone)) => Err(End::Gone),
            Err(_stalled) => {
                self.connection.hang_up();
                Err(End::Stalled(patience))
            }
        }
    }

    /// Completes when nothing was sent for so long that a heartbeat is due.
    async fn quiet(&self) {
        let passed = clock::boot_now().since(self.sent_at);
        tokio::time::sleep(limit::FOLLOW_HEARTBEAT.saturating_sub(passed)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::hub::admission::Admission;
    use crate::hub::config::AdmissionConfig;

    #[tokio::test(start_paused = true)]
    async fn a_follower_that_takes_nothing_is_hung_up_on_and_one_that_is_slow_is_not() {
        let admission = Admission::new(AdmissionConfig::default(), None);
        let connection = admission.enter(([127, 0, 0, 1], 1).into());
        let (chunks, mut taken) = mpsc::channel(1);
        let mut outlet = Outlet { chunks, connection: connection.clone(), sent_at: clock::boot_now() };
        outlet.send(Bytes::from_static(b"a")).await.unwrap();
        let slow = async {
            tokio::time::sleep(limit::FOLLOW_STALL_TIMEOUT - Duration::from_secs(1)).await;
            taken.recv().await
        };
        let (sent, first) = tokio::join!(outlet.send(Bytes::from_static(b"b")), slow);
        sent.unwrap();
        assert_eq!(first.as_deref(), Some(&b"a"[..]));
        assert!(connection.dropped().now_or_never().is_none());
        assert!(matches!(outlet.send(Bytes::from_static(b"c")).await, Err(End::Stalled(_))));
        assert!(connection.dropped().now_or_never().is_some(), "its connection ends");
        drop(taken);
        assert!(matches!(outlet.send(Bytes::from_static(b"d")).await, Err(End::Gone)));
    }
}
