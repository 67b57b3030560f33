//! Sockets that have not proved anything yet: bounded in all and for each address. Where there is one too many the
//! oldest goes, never the newest: whoever comes in good faith proves itself at once, and silence is what fills the
//! places. So no number of silent sockets keeps anybody out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::origin::Origin;

/// One socket, in the order they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::hub) struct SocketNumber(u64);

/// `T` is what tells a socket that it has to go.
pub(in crate::hub) struct Sockets<T> {
    all_max: usize,
    each_max: usize,
    last: u64,
    by_age: BTreeMap<SocketNumber, (Option<Origin>, T)>,
    by_origin: HashMap<Origin, BTreeSet<SocketNumber>>,
}

impl<T> Sockets<T> {
    /// `all_max`: sockets in all; `each_max`: of one address.
    pub(in crate::hub) fn new(all_max: usize, each_max: usize) -> Self {
        Self { all_max, each_max, last: 0, by_age: BTreeMap::new(), by_origin: HashMap::new() }
    }

    /// One more; what comes back has to go for it. `origin`: none for a proxy's sockets, who all come from one address.
    pub(in crate::hub) fn enter(&mut self, origin: Option<Origin>, notice: T) -> (SocketNumber, Option<T>) {
        self.last = self.last.saturating_add(1);
        let number = SocketNumber(self.last);
        self.by_age.insert(number, (origin, notice));
        let mut oldest = None;
        if let Some(origin) = origin {
            let own = self.by_origin.entry(origin).or_default();
            own.insert(number);
            if own.len() > self.each_max {
                oldest = own.first().copied();
            }
        }
        if oldest.is_none() && self.by_age.len() > self.all_max {
            oldest = self.oldest();
        }
        (number, oldest.and_then(|oldest| self.leave(oldest)))
    }

    /// It proved itself, or is gone.
    pub(in crate::hub) fn leave(&mut self, number: SocketNumber) -> Option<T> {
        let (origin, notice) = self.by_age.remove(&number)?;
        if let Some(origin) = origin
            && let Some(own) = self.by_origin.get_mut(&origin)
        {
            own.remove(&number);
            if own.is_empty() {
                self.by_origin.remove(&origin);
            }
        }
        Some(notice)
    }

    /// The one that goes first.
    pub(in crate::hub) fn oldest(&self) -> Option<SocketNumber> {
        self.by_age.keys().next().copied()
    }

    pub(in crate::hub) fn len(&self) -> usize {
        self.by_age.len()
    }

    pub(in crate::hub) const fn bound(&self) -> usize {
        self.all_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(last: u8) -> Option<Origin> {
        Some(Origin::of([192, 0, 2, last].into()))
    }

    #[test]
    fn the_oldest_goes_for_the_newest() {
        let mut sockets = Sockets::new(3, 2);
        let (first, gone) = sockets.enter(origin(1), "a");
        assert_eq!(gone, None);
        sockets.enter(origin(2), "b");
        sockets.enter(origin(3), "c");
        assert_eq!(sockets.enter(origin(4), "d").1, Some("a"));
        assert_eq!(sockets.len(), 3);
        assert_eq!(sockets.leave(first), None, "it went before");
        assert_eq!(sockets.enter(origin(5), "e").1, Some("b"));
    }

    #[test]
    fn an_address_with_many_sockets_loses_its_own_first() {
        let mut sockets = Sockets::new(3, 2);
        sockets.enter(origin(1), "honest");
        sockets.enter(origin(2), "a");
        sockets.enter(origin(2), "b");
        assert_eq!(sockets.enter(origin(2), "c").1, Some("a"), "not the honest one, who came before");
        assert_eq!(sockets.len(), 3);
    }

    #[test]
    fn who_left_takes_no_place() {
        let mut sockets = Sockets::new(2, 1);
        let (first, _) = sockets.enter(origin(1), "a");
        assert_eq!(sockets.leave(first), Some("a"));
        assert_eq!(sockets.enter(origin(1), "b").1, None);
        assert_eq!(sockets.enter(origin(2), "c").1, None);
        assert_eq!(sockets.by_origin.len(), 2);
        assert_eq!(sockets.oldest().and_then(|oldest| sockets.leave(oldest)), Some("b"));
        assert_eq!(sockets.by_origin.len(), 1);
    }

    #[test]
    fn a_proxys_sockets_are_bounded_in_all_only() {
        let mut sockets = Sockets::new(3, 1);
        for name in ["a", "b", "c"] {
            assert_eq!(sockets.enter(None, name).1, None);
        }
        assert_eq!(sockets.enter(None, "d").1, Some("a"));
        assert!(sockets.by_origin.is_empty());
    }
}
