//! A connection that has proved nothing yet, at the broker's own listener or at the hub's: bounded there, until it has.

use std::net::IpAddr;
use std::sync::Arc;

use crate::hub::Shared;
use crate::hub::admission::Place;

use super::entrance::Seat;

/// Where a connection stands.
#[derive(Clone)]
pub(super) enum Standing {
    /// At the broker's public listener.
    Seat(Seat),
    /// At the hub's listener of the API.
    Place { place: Place, shared: Arc<Shared>, address: IpAddr },
}

impl Standing {
    /// The connection has shown that it may be here: it goes for nobody any more.
    pub(super) fn prove(&self) {
        match self {
            Self::Seat(seat) => seat.prove(),
            Self::Place { place, .. } => place.prove(),
        }
    }

    /// It was not let in; an address that fails too often is not listened to at the hub's listener.
    pub(super) fn note_failure(&self) {
        if let Self::Place { shared, address, .. } = self {
            shared.admission.note_failure(*address);
        }
    }

    /// Completes when the connection has to go for another. Cancel safe.
    pub(super) async fn dropped(&self) {
        match self {
            Self::Seat(seat) => seat.dropped().await,
            Self::Place { place, .. } => place.dropped().await,
        }
    }
}
