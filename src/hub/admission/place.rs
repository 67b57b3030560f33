//! Guards of places: dropped, they give the place back, however the connection ended.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::id::AgentId;

use super::Rooms;
use super::handshakes::Ticket;
use super::sockets::SocketNumber;

/// The place of one accepted connection, until it has proved something or ends. Clones are the same place.
#[derive(Clone)]
pub(in crate::hub) struct Place(Arc<Seat>);

struct Seat {
    rooms: Arc<Rooms>,
    number: SocketNumber,
    notice: CancellationToken,
    asked: CancellationToken,
}

impl Place {
    pub(super) fn new(rooms: Arc<Rooms>, number: SocketNumber, notice: CancellationToken) -> Self {
        Self(Arc::new(Seat { rooms, number, notice, asked: CancellationToken::new() }))
    }

    /// A request came in whole, but for its body: what comes next has times of its own.
    pub(super) fn note_request(&self) {
        self.0.asked.cancel();
    }

    /// Completes at the first request. Cancel safe.
    pub(in crate::hub) async fn asked(&self) {
        self.0.asked.cancelled().await;
    }

    /// The peer has shown who it is: it takes no place any more, and is not dropped for another.
    pub(in crate::hub) fn prove(&self) {
        self.0.leave();
    }

    /// Ends the connection.
    pub(in crate::hub) fn hang_up(&self) {
        self.0.notice.cancel();
    }

    /// Completes when the connection has to go, mostly for another. Cancel safe.
    pub(in crate::hub) async fn dropped(&self) {
        self.0.notice.cancelled().await;
    }
}

impl Seat {
    fn leave(&self) {
        // It is not there any more where it proved itself, or was dropped for another.
        self.rooms.doors().sockets.leave(self.number);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// One handshake in flight.
pub(in crate::hub) struct Handshake {
    rooms: Arc<Rooms>,
    agent: AgentId,
    ticket: Ticket,
    notice: CancellationToken,
}

impl Handshake {
    pub(super) fn new(rooms: Arc<Rooms>, agent: AgentId, ticket: Ticket, notice: CancellationToken) -> Self {
        Self { rooms, agent, ticket, notice }
    }

    /// It became a session. The session must be in the registry by now: no moment lies between in which neither counts.
    pub(in crate::hub) fn registered(self) {
        self.rooms.doors().familiar.note(self.agent);
    }

    /// Completes when it has to go for another handshake of its agent. Cancel safe.
    pub(in crate::hub) async fn dropped(&self) {
        self.notice.cancelled().await;
    }

    #[cfg(test)]
    pub(super) fn is_dropped(&self) -> bool {
        self.notice.is_cancelled()
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.rooms.doors().handshakes.end(self.agent, self.ticket);
    }
}
