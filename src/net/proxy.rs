//! The way through an HTTP proxy: which proxy a route takes ([`Proxies`]), and the tunnel that CONNECT opens.
//!
//! The proxy sees the hub's name and port and, where they are set, its own user and password; with TLS nothing of what
//! follows. Those two are in no log, error or status, and neither is a byte that a proxy answers: it could be them.

mod error;
mod exception;
mod rule;
pub(super) mod tunnel;
mod url;

pub use error::{Offer, ProxyError};
pub use rule::Proxies;
#[cfg(feature = "hub")]
pub(crate) use url::decoded;
pub use url::{Proxy, ProxyUrlError};
