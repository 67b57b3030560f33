//! Which addresses let somebody in and were then of no use: mute, broken, or not who should be there. A race of addresses
//! knows nothing of that, and the same one would win each time.
//!
//! * Such an address is asked only when all others of its name have been tried in vain.
//! * Where all of a name are such, the last of them is the one that is left out: each has its turn.
//! * One that serves is forgotten here. Nothing is kept beyond this process.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limit;

/// The addresses, the latest at the end. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Setbacks(Arc<Mutex<VecDeque<SocketAddr>>>);

impl Setbacks {
    /// Those to try first, and those to try after them; each in the order it came in.
    pub(super) fn split(&self, addresses: &[SocketAddr]) -> (Vec<SocketAddr>, Vec<SocketAddr>) {
        let mut known = self.known();
        if addresses.iter().all(|address| known.contains(address)) {
            let last = known.iter().rev().find(|known| addresses.contains(known)).copied();
            known.retain(|known| Some(*known) == last || !addresses.contains(known));
        }
        addresses.iter().partition(|address| !known.contains(address))
    }

    fn failed(&self, address: SocketAddr) {
        let mut known = self.known();
        known.retain(|known| *known != address);
        known.push_back(address);
        if known.len() > limit::SETBACKS_MAX {
            known.pop_front();
        }
    }

    fn served(&self, address: SocketAddr) {
        self.known().retain(|known| *known != address);
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<SocketAddr>> {
        // A panic elsewhere leaves a whole list behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address that let somebody in. Dropped without a word it was of no use, also where the time was up.
#[derive(Debug)]
pub struct Trial {
    setbacks: Setbacks,
    address: SocketAddr,
    way: Way,
    end: End,
}

/// What became of a trial.
#[derive(Debug, Clone, Copy)]
enum End {
    OfNoUse,
    Served,
}

impl Trial {
    pub(super) const fn new(setbacks: Setbacks, address: SocketAddr, way: Way) -> Self {
        Self { setbacks, address, way, end: End::OfNoUse }
    }

    /// Which one, as errors name it.
    pub const fn way(&self) -> Way {
        self.way
    }

    /// A hub answered there.
    pub fn served(mut self) {
        self.end = End::Served;
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        match self.end {
            End::OfNoUse => self.setbacks.failed(self.address),
            End::Served => self.setbacks.served(self.address),
        }
    }
}

/// Which of a host's addresses, in an error behind the host's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Way {
    /// Nothing that the host's name does not say.
    #[default]
    Named,
    /// One of those that the name has.
    At(SocketAddr),
    /// The proxy's.
    Proxy(SocketAddr),
}

impl Way {
    /// To `host` itself.
    pub(super) fn to(host: &str, address: SocketAddr) -> Self {
        if host.parse::<IpAddr>().is_ok() { Self::Named } else { Self::At(address) }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => Ok(()),
            Self::At(address) => write!(f, " at {address}"),
            Self::Proxy(address) => write!(f, " through the proxy at {address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: u16) -> Vec<SocketAddr> {
        (1..=count).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect()
    }

    fn trial(setbacks: &Setbacks, address: SocketAddr) -> Trial {
        Trial::new(setbacks.clone(), address, Way::Named)
    }

    #[test]
    fn what_was_of_no_use_comes_after_the_others_until_it_serves() {
        let (setbacks, all) = (Setbacks::default(), addresses(3));
        assert_eq!(setbacks.split(&all), (all.clone(), vec![]));
        drop(trial(&setbacks, all[0]));
        assert_eq!(setbacks.split(&all), (vec![all[1], all[2]], vec![all[0]]));
        trial(&setbacks, all[0]).served();
        assert_eq!(setbacks.split(&all), (all.clone(), vec![]));
    }

    #[test]
    fn however_fast_the_useless_ones_are_each_address_has_its_turn() {
        let (setbacks, all) = (Setbacks::default(), addresses(16));
        // The first of those that are asked wins each time, and is of no use; the last would be.
        let dials = (1..=all.len()).find(|_| {
            let (first, _then) = setbacks.split(&all);
            drop(trial(&setbacks, first[0]));
            first[0] == all[15]
        });
        assert_eq!(dials, Some(16));
        assert_eq!(setbacks.split(&all), (all[..15].to_vec(), vec![all[15]]), "and it begins anew");
    }

    #[test]
    fn an_only_address_is_asked_again() {
        let (setbacks, all) = (Setbacks::default(), addresses(1));
        drop(trial(&setbacks, all[0]));
        assert_eq!(setbacks.split(&all), (vec![], all));
    }

    #[test]
    fn no_more_than_so_many_are_known() {
        let setbacks = Setbacks::default();
        let count = limit::SETBACKS_MAX + 1;
        let all = addresses(u16::try_from(count).unwrap() + 1);
        for address in &all[..count] {
            drop(trial(&setbacks, *address));
        }
        let (first, then) = setbacks.split(&all);
        assert_eq!((first.as_slice(), then.len()), (&[all[0], all[count]][..], limit::SETBACKS_MAX));
    }
}
