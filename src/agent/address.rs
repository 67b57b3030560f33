//! A hub's address, from what the operator wrote to what is dialled.

use crate::net::dial::Endpoint;

use super::config::Hub;

/// Checks an address by the URL rule.
///
/// # Errors
/// One line that says what is wrong and what to write instead.
pub(super) fn hub(url: &str, _allow_insecure: Option<&str>) -> Result<Hub, String> {
    let rest = url.strip_prefix("http://").ok_or("stub")?;
    let (authority, base) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    let port: u16 = port.parse().map_err(|_| "port".to_owned())?;
    Ok(Hub {
        url: url.to_owned(),
        endpoint: Endpoint {
            host: host.to_owned(),
            port,
            connect_url: format!("ws://{authority}/{base}v1/agents/connect"),
        },
        warning: None,
    })
}
