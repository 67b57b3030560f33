//! A link that can be cut: a TCP proxy between one agent and the hub.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Whether bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    Down,
}

/// Forwards every connection to the hub while the link is up; connections of a link that goes down are reset.
pub(super) struct Proxy {
    address: SocketAddr,
    link: watch::Sender<Link>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Proxy {
    /// Listens on a free loopback port.
    pub(super) async fn start(hub: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let link = watch::Sender::new(Link::Up);
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, hub, link.subscribe(), stop.clone(), tasks.clone()));
        Ok(Self { address, link, stop, tasks })
    }

    /// Where the agent finds its hub.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets what is connected, and everything that connects until [`Self::mend`].
    pub(super) fn cut(&self) {
        self.link.send_replace(Link::Down);
    }

    /// Lets bytes pass again.
    pub(super) fn mend(&self) {
        self.link.send_replace(Link::Up);
    }

    /// Ends the proxy and its connections.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(
    listener: TcpListener,
    hub: SocketAddr,
    link: watch::Receiver<Link>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let agent = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((agent, _)) => agent,
                Err(error) => {
                    tracing::warn!(%error, "the demo's proxy could not accept a connection");
                    continue;
                }
            },
        };
        if *link.borrow() == Link::Up {
            tasks.spawn(forward(agent, hub, link.clone(), stop.clone()));
        }
    }
}

async fn forward(
    mut agent: TcpStream,
    hub: SocketAddr,
    mut link: watch::Receiver<Link>,
    stop: CancellationToken,
) {
    let Ok(mut to_hub) = TcpStream::connect(hub).await else { return };
    let nodelay = agent.set_nodelay(true).and_then(|()| to_hub.set_nodelay(true));
    // A reset, not a polite end: neither side gets to flush.
    let linger = agent.set_zero_linger().and_then(|()| to_hub.set_zero_linger());
    if let Err(error) = nodelay.and(linger) {
        tracing::debug!(%error, "a socket of the demo's proxy is already gone");
        return;
    }
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        _ = link.wait_for(|link| *link == Link::Down) => {}
        _ = copy_bidirectional(&mut agent, &mut to_hub) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_cut_link_resets_and_a_mended_one_passes() {
        let hub = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::start(hub.local_addr().unwrap()).await.unwrap();

        let mut agent = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut accepted, _) = hub.accept().await.unwrap();
        agent.write_all(b"x").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'x');

        proxy.cut();
        assert!(agent.read_u8().await.is_err());
        let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(refused.read_u8().await.is_err());

        proxy.mend();
        let mut again = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut accepted, _) = hub.accept().await.unwrap();
        again.write_all(b"y").await.unwrap();
        assert_eq!(accepted.read_u8().await.unwrap(), b'y');
        proxy.stop().await;
    }
}
