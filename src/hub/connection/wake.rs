//! What a connection waits for, whatever comes first.

use std::future::poll_fn;
use std::task::Poll;

use crate::hub::admission::Handshake;
use crate::hub::store::{IngestReply, StoreError};
use crate::obs::clock;
use crate::time::BootTime;
use crate::wire::error::ErrorCode;
use crate::wire::relay::RelayReply;

use super::Connection;
use super::line::{Incoming, Reading};
use super::relay::Stored;

/// What the connection wakes for.
pub(super) enum Wake {
    Message(Incoming),
    Stored(IngestReply),
    Room(Result<(), StoreError>),
    /// Something waits for the agent.
    Rung,
    /// A message waits for the agent.
    Mail,
    /// The store said something of the messages that it keeps.
    MailStored(Stored),
    /// A message of the agent was answered.
    Relayed(RelayReply),
    /// The session takes more of what waits for the agent.
    Orders,
    Timer,
    Ended(ErrorCode),
}

impl Connection {
    /// Waits for whatever comes first. Cancel safe: nothing is taken before it is returned.
    pub(super) async fn wake(&mut self) -> Wake {
        let Self { shared, line, session, credential, handshake, entry, stage, orders, .. } = self;
        let Self { deliveries, outgoing, replies, .. } = self;
        let slowed_until = shared.quota.slowed_until(credential.agent.agent, clock::boot_now());
        let reading = if slowed_until.is_some() { Reading::Paused } else { stage.reading() };
        let may_send = stage.may_send();
        let timer = session.poll_timeout();
        let entry = entry.as_deref();
        let ended = async {
            match entry {
                Some(entry) => entry.ended().await,
                None => handshake_dropped(handshake.as_ref()).await,
            }
        };
        let rung = async {
            match entry {
                Some(entry) => entry.rung().await,
                None => std::future::pending().await,
            }
        };
        let mail_came = async {
            match entry {
                Some(entry) => entry.mailbox.rung().await,
                None => std::future::pending().await,
            }
        };
        // Puts out what waits, without reading more: only then the deadline for the peer is known.
        let first = poll_fn(|cx| Poll::Ready(line.poll(cx, &shared.counters, session, Reading::Paused)));
        if let Poll::Ready(message) = first.await {
            return Wake::Message(message);
        }
        let mail =
            deliveries.deadline().into_iter().chain(entry.and_then(|entry| entry.mailbox.deadline())).min();
        let deadlines = [
            timer,
            session.poll_timeout(),
            line.write_deadline(session),
            orders.deadline(),
            slowed_until,
            mail,
        ];
        let waiting = orders.waiting();
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => Wake::Ended(ErrorCode::GoingAway),
            reason = ended => Wake::Ended(reason),
            Some(reply) = replies.recv() => Wake::Stored(reply),
            slot = shared.store.reserve(), if may_send => {
                Wake::Room(slot.map(|slot| stage.send(slot, &shared.counters)))
            }
            () = rung => Wake::Rung,
            reply = outgoing.answered() => Wake::Relayed(reply),
            stored = deliveries.stored() => Wake::MailStored(stored),
            () = mail_came => Wake::Mail,
            () = sleep_until(deadlines.into_iter().flatten().min()) => Wake::Timer,
            // Last: a peer that never stops sending must not keep the others from being heard.
            wake = poll_fn(|cx| {
                if waiting && session.takes_orders() {
                    return Poll::Ready(Wake::Orders);
                }
                let message = line.poll(cx, &shared.counters, session, reading);
                // It may have made room.
                let orders = waiting && message.is_pending() && session.takes_orders();
                if orders { Poll::Ready(Wake::Orders) } else { message.map(Wake::Message) }
            }) => wake,
        }
    }
}

/// Completes where a handshake has to go for another of its agent.
async fn handshake_dropped(handshake: Option<&Handshake>) -> ErrorCode {
    match handshake {
        Some(handshake) => handshake.dropped().await,
        None => std::future::pending().await,
    }
    ErrorCode::RateLimited
}

async fn sleep_until(deadline: Option<BootTime>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline.since(clock::boot_now())).await,
        None => std::future::pending().await,
    }
}
