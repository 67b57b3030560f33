//! Where connections come in. Those that have proved nothing are bounded, and the oldest goes for one more: no number of
//! silent ones keeps anybody out.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hub::admission::{SocketNumber, Sockets};
use crate::limit;
use crate::net::options;

/// Who talks to those who come in.
pub(super) trait Host: Send + Sync + 'static {
    /// Until the connection ends. It is dropped where it has to go for another, or the broker stops: what wants to say
    /// goodbye runs in a task of its own by then.
    fn receive(&self, stream: TcpStream, address: SocketAddr, seat: Seat) -> impl Future<Output = ()> + Send;
}

/// One listener's connections.
pub(super) struct Entrance {
    unproven: Mutex<Sockets<CancellationToken>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A connection's place among those that have proved nothing, until it has, or is gone. Clones are the same place.
#[derive(Clone)]
pub(super) struct Seat(Arc<Place>);

struct Place {
    entrance: Arc<Entrance>,
    number: SocketNumber,
    notice: CancellationToken,
}

impl Entrance {
    pub(super) fn new(stop: &CancellationToken, tasks: &TaskTracker) -> Arc<Self> {
        let most = limit::LIVE_UNPROVEN_MAX;
        Arc::new(Self {
            unproven: Mutex::new(Sockets::new(most, most)),
            stop: stop.clone(),
            tasks: tasks.clone(),
        })
    }

    /// Accepts until the broker stops.
    pub(super) async fn serve<H: Host>(self: Arc<Self>, listener: TcpListener, host: Arc<H>) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    options::ask(&stream);
                    let (seat, host, stop) = (self.enter(), Arc::clone(&host), self.stop.clone());
                    self.tasks.spawn(async move {
                        let left = seat.clone();
                        tokio::select! {
                            biased;
                            () = stop.cancelled() => {}
                            () = left.0.notice.cancelled() => {
                                tracing::debug!(%address, "a connection that had proved nothing goes for another");
                            }
                            () = host.receive(stream, address, seat) => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the live broker could not be accepted");
                    // Where descriptors are short, one that proved nothing gives its own back.
                    self.make_room();
                    tokio::time::sleep(limit::ACCEPT_RETRY).await;
                }
            }
        }
    }

    /// One more connection that has proved nothing.
    pub(super) fn enter(self: &Arc<Self>) -> Seat {
        let notice = CancellationToken::new();
        // Those of a proxy all come from one address: it is not counted by.
        let (number, gone) = self.unproven().enter(None, notice.clone());
        if let Some(gone) = gone {
            gone.cancel();
        }
        Seat(Arc::new(Place { entrance: Arc::clone(self), number, notice }))
    }

    fn make_room(&self) {
        let mut unproven = self.unproven();
        if let Some(gone) = unproven.oldest().and_then(|oldest| unproven.leave(oldest)) {
            gone.cancel();
        }
    }

    fn unproven(&self) -> MutexGuard<'_, Sockets<CancellationToken>> {
        self.unproven.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The connection has shown that it may be here: it goes for nobody any more.
    pub(super) fn prove(&self) {
        self.0.entrance.unproven().leave(self.0.number);
    }

    /// Completes when the connection has to go for another. Cancel safe.
    pub(super) async fn dropped(&self) {
        self.0.notice.cancelled().await;
    }

    /// Runs work that outlives the request, until the broker has stopped.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.entrance.tasks.spawn(work);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.entrance.unproven().leave(self.number);
    }
}
