//! The first of several addresses that answers (RFC 8305): each begins a moment after the one before, or as soon as one
//! has failed, and the others are dropped once one is there.
//!
//! No socket of its own: how to connect is an argument.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::limit;

/// The addresses that were tried in vain, and why.
#[derive(Debug, Default)]
pub struct Tried(Vec<(SocketAddr, io::Error)>);

impl Tried {
    /// These, and then others.
    pub(super) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (address, error)) in self.0.iter().take(limit::ADDRESSES_SHOWN).enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{address}: {error}")?;
        }
        match self.0.len().saturating_sub(limit::ADDRESSES_SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Connects to the first that answers. Ends within [`limit::CONNECT_TIMEOUT`] and a stagger for each address.
pub(super) async fn first<S, F>(
    addresses: &[SocketAddr],
    connect: impl Fn(SocketAddr) -> F,
) -> Result<S, Tried>
where
    F: Future<Output = io::Result<S>>,
{
    let attempt = |address| {
        let connecting = tokio::time::timeout(limit::CONNECT_TIMEOUT, connect(address));
        async move {
            let late = || format!("no answer within {} s", limit::CONNECT_TIMEOUT.as_secs());
            let result = connecting.await;
            (address, result.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, late()))))
        }
    };
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut tried = Tried::default();
    loop {
        attempts.extend(waiting.next().map(&attempt));
        let stagger = tokio::time::sleep(limit::CONNECT_STAGGER);
        tokio::select! {
            biased;
            ended = attempts.next() => match ended {
                Some((_, Ok(stream))) => return Ok(stream),
                Some((address, Err(error))) => tried.0.push((address, error)),
                None => return Err(tried),
            },
            () = stagger, if waiting.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    fn addresses(count: u16) -> Vec<SocketAddr> {
        (1..=count).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect()
    }

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_address_that_says_nothing_costs_one_stagger() {
        let begun = Instant::now();
        let port = first(&addresses(2), |address| async move {
            if address.port() == 1 {
                std::future::pending::<()>().await;
            }
            sleep(Duration::from_millis(30)).await;
            Ok(address.port())
        })
        .await
        .unwrap();
        assert_eq!(port, 2);
        assert_eq!(begun.elapsed(), limit::CONNECT_STAGGER + Duration::from_millis(30));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_makes_way_at_once() {
        let begun = Instant::now();
        let addresses = addresses(3);
        let port = first(&addresses, |address| async move {
            if address.port() < 3 { Err(refused()) } else { Ok(address.port()) }
        });
        assert_eq!(port.await.unwrap(), 3);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_wins_where_the_later_ones_are_slower() {
        let addresses = addresses(3);
        let port = first(&addresses, |address| async move {
            sleep(Duration::from_millis(600 * u64::from(address.port()))).await;
            Ok(address.port())
        });
        assert_eq!(port.await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_answering_is_over_in_bounded_time_and_says_who_was_asked() {
        let begun = Instant::now();
        let connect = |_address| std::future::pending::<io::Result<()>>();
        let tried = first(&addresses(16), connect).await.unwrap_err();
        assert_eq!(begun.elapsed(), limit::CONNECT_TIMEOUT + 15 * limit::CONNECT_STAGGER);
        assert_eq!(tried.count(), 16);
        let text = tried.to_string();
        assert!(text.starts_with("192.0.2.1:1: no answer within 20 s; 192.0.2.1:2: no answer"), "{text}");
        assert!(text.ends_with("; and 12 more"), "{text}");
    }
}
