//! Names to addresses, asked anew for each connection.
//!
//! * The system's resolver cannot be stopped and may take minutes, so each lookup has a thread of its own, and its name
//!   has at most one: who asks meanwhile waits for the same answer, and no longer than [`limit::LOOKUP_TIMEOUT`].
//! * [`limit::LOOKUPS_MAX`] threads at most; each ends with its answer.
//! * Of any number of addresses [`limit::ADDRESSES_TRIED_MAX`] are kept, IPv6 and IPv4 by turns (RFC 8305).
//! * `localhost` is never asked for: plain text may go there because it is this machine.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::limit;

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The resolver says so.
    #[error("{0}")]
    Failed(String),
    /// It answers without an address.
    #[error("the name has no address")]
    Empty,
    /// It does not answer.
    #[error("no answer within {} s", limit::LOOKUP_TIMEOUT.as_secs())]
    Silent,
    /// Others have not been answered either.
    #[error("{} lookups of other names are still without an answer", limit::LOOKUPS_MAX)]
    Busy,
}

type Answer = Result<Vec<IpAddr>, LookupError>;
type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Asks the system; clones share what is under way.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    lookup: Box<Lookup>,
    under_way: Mutex<BTreeMap<String, watch::Receiver<Option<Answer>>>>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(system)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("under_way", &self.inner.under_way().len()).finish()
    }
}

impl Resolver {
    pub(super) fn new(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self { inner: Arc::new(Inner { lookup: Box::new(lookup), under_way: Mutex::default() }) }
    }

    /// The addresses of a name, or the address itself, in the order they are to be tried; at least one. Cancel-safe:
    /// a lookup goes on for the next who asks.
    ///
    /// # Errors
    /// See [`LookupError`].
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
        }
        let mut answer = self.ask(host)?;
        let answered = answer.wait_for(Option::is_some);
        let answer = match tokio::time::timeout(limit::LOOKUP_TIMEOUT, answered).await {
            Ok(Ok(answer)) => answer.clone(),
            Ok(Err(_closed)) => None,
            Err(_late) => return Err(LookupError::Silent),
        };
        answer.unwrap_or_else(|| Err(LookupError::Failed("the lookup was cut off".to_owned())))
    }

    /// Joins the lookup of this name that is under way, or begins one.
    fn ask(&self, host: &str) -> Result<watch::Receiver<Option<Answer>>, LookupError> {
        let mut under_way = self.inner.under_way();
        if let Some(answer) = under_way.get(host) {
            return Ok(answer.clone());
        }
        if under_way.len() >= limit::LOOKUPS_MAX {
            return Err(LookupError::Busy);
        }
        let (sender, answer) = watch::channel(None);
        let (inner, name) = (Arc::clone(&self.inner), host.to_owned());
        let thread = std::thread::Builder::new().name("lookup".to_owned());
        let begun = thread.spawn(move || {
            // Gone before its answer is there: who asks from now on asks anew. Also where the lookup panics.
            let entry = Entry { inner: &inner, name: &name };
            let answer = inner.look(&name);
            drop(entry);
            sender.send_replace(Some(answer));
        });
        begun.map_err(|error| LookupError::Failed(format!("cannot begin a thread: {error}")))?;
        under_way.insert(host.to_owned(), answer.clone());
        Ok(answer)
    }
}

impl Inner {
    fn under_way(&self) -> MutexGuard<'_, BTreeMap<String, watch::Receiver<Option<Answer>>>> {
        // A panic elsewhere leaves a whole map behind.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, name: &str) -> Answer {
        let found = (self.lookup)(name).map_err(|error| LookupError::Failed(error.to_string()))?;
        let found = by_turns(found);
        if found.is_empty() { Err(LookupError::Empty) } else { Ok(found) }
    }
}

/// A lookup under way, in the map of them.
struct Entry<'a> {
    inner: &'a Inner,
    name: &'a str,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.inner.under_way().remove(self.name);
    }
}

fn system(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// IPv6 first, then by turns; the resolver's order within a family, no address twice, and not too many.
fn by_turns(found: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut six, mut four) = (VecDeque::new(), VecDeque::new());
    for address in found {
        let family = if address.is_ipv6() { &mut six } else { &mut four };
        if family.len() < limit::ADDRESSES_TRIED_MAX && !family.contains(&address) {
            family.push_back(address);
        }
    }
    let mut turns = Vec::with_capacity(limit::ADDRESSES_TRIED_MAX);
    while turns.len() < limit::ADDRESSES_TRIED_MAX && !(six.is_empty() && four.is_empty()) {
        turns.extend(six.pop_front());
        turns.extend(four.pop_front());
    }
    turns.truncate(limit::ADDRESSES_TRIED_MAX);
    turns
}

#[cfg(test)]
mod tests;
