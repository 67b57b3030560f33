//! CONNECT (RFC 9110, 9.3.6): asks a proxy for a tunnel, and takes nothing but a clear yes for one.
//!
//! The hub says nothing before it was asked, so a byte behind the proxy's head is the proxy's own: no tunnel. Whoever
//! calls bounds the time.

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::net::answer::{Head, NoHead, Received};
use crate::net::dial::Route;
use crate::secret::Secret;

use super::error::{Offer, ProxyError};
use super::url::Proxy;

/// Asks `proxy`, at the other end of `stream`, for a tunnel to `route`. After an error the stream is of no use.
///
/// # Errors
/// See [`ProxyError`].
pub(in crate::net) async fn open<S>(stream: &mut S, proxy: &Proxy, route: &Route) -> Result<(), ProxyError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let broken = |source| ProxyError::Broken { proxy: proxy.name(), source };
    let to = route.to_string();
    stream.write_all(request(proxy, &to).expose().as_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let no_head = |none| match none {
        NoHead::Broken(source) => broken(source),
        NoHead::Closed(bytes) => ProxyError::Closed { proxy: proxy.name(), bytes },
        NoHead::NotHttp => ProxyError::NotHttp { proxy: proxy.name() },
        NoHead::Long => ProxyError::Long { proxy: proxy.name() },
    };
    let received = Received::read(stream).await.map_err(no_head)?;
    let head = received.head().map_err(no_head)?;
    judge(head, received.beyond().len(), proxy, to)
}

fn judge(head: Head<'_>, extra: usize, proxy: &Proxy, to: String) -> Result<(), ProxyError> {
    let (status, name) = (head.status, proxy.name());
    Err(match status {
        200..=299 if head.is_page() => ProxyError::Portal { proxy: name, to, status },
        200..=299 if extra > 0 => ProxyError::Extra { proxy: name, bytes: extra },
        200..=299 => return Ok(()),
        300..=399 | 511 => ProxyError::Portal { proxy: name, to, status },
        // tinyproxy says 401 where a password is wrong.
        401 | 407 => ProxyError::Login { proxy: name, status, offer: offer(head, proxy) },
        403 | 405 => ProxyError::Forbidden { proxy: name, to, status },
        502..=504 => ProxyError::Unreached { proxy: name, to, status },
        _ => ProxyError::Status { proxy: name, to, status },
    })
}

fn offer(head: Head<'_>, proxy: &Proxy) -> Offer {
    match (head.offers("Basic"), proxy.credentials()) {
        (true, None) => Offer::Basic,
        (true, Some(_)) => Offer::AnotherBasic,
        (false, _) => Offer::Other,
    }
}

fn request(proxy: &Proxy, to: &str) -> Secret<String> {
    let authorization = proxy.credentials().map_or_else(Secret::default, |credentials| {
        Secret::new(format!("Proxy-Authorization: Basic {}\r\n", credentials.expose()))
    });
    Secret::new(format!(
        "CONNECT {to} HTTP/1.1\r\nHost: {to}\r\nUser-Agent: outpost/{}\r\n{}\r\n",
        env!("CARGO_PKG_VERSION"),
        authorization.expose()
    ))
}

#[cfg(test)]
mod tests;
