//! When the system's authorities are read again: once somebody was not believed, and then no sooner than
//! [`limit::SYSTEM_AUTHORITIES_AGAIN`] after the time before. An authority that was installed under a process that runs is
//! found so, and a hub that nobody vouches for does not make each dial read some hundred certificates.

use crate::limit;
use crate::time::BootTime;

/// What is shared by the whole process.
#[derive(Debug)]
pub(super) struct Shared<T> {
    known: Option<T>,
    doubt: Doubt,
    /// Not before then.
    again: BootTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    Somebody,
}

impl<T> Shared<T> {
    pub(super) const fn new() -> Self {
        Self { known: None, doubt: Doubt::None, again: BootTime(std::time::Duration::ZERO) }
    }

    /// Somebody was not believed.
    pub(super) const fn doubt(&mut self) {
        self.doubt = Doubt::Somebody;
    }

    /// What is known, read first where that is due. What cannot be read again stays as it is.
    pub(super) fn current<E>(&mut self, now: BootTime, read: impl Fn() -> Result<T, E>) -> Result<&T, E> {
        if self.known.is_some() && self.doubt == Doubt::Somebody && now >= self.again {
            self.doubt = Doubt::None;
            self.again = now.after(limit::SYSTEM_AUTHORITIES_AGAIN);
            if let Ok(read) = read() {
                self.known = Some(read);
            }
        }
        match &mut self.known {
            Some(known) => Ok(known),
            none => Ok(none.insert(read()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    #[test]
    fn they_are_read_again_after_a_doubt_and_no_sooner_than_an_hour_after_the_time_before() {
        let (mut shared, reads) = (Shared::new(), Cell::new(0));
        let mut current = |second: u64, doubt: Doubt| {
            if doubt == Doubt::Somebody {
                shared.doubt();
            }
            let read = || {
                reads.set(reads.get() + 1);
                if reads.get() == 3 { Err("gone") } else { Ok(reads.get()) }
            };
            shared.current(BootTime(Duration::from_secs(second)), read).copied()
        };
        assert_eq!(current(10, Doubt::None), Ok(1));
        assert_eq!(current(99_999, Doubt::None), Ok(1), "nobody was refused");
        assert_eq!(current(100_000, Doubt::Somebody), Ok(2));
        assert_eq!((current(100_001, Doubt::Somebody), reads.get()), (Ok(2), 2), "too soon");
        assert_eq!(
            current(103_600, Doubt::None),
            Ok(2),
            "what was read before stays where it cannot be read"
        );
        assert_eq!(reads.get(), 3, "the doubt was not forgotten");
    }

    #[test]
    fn what_was_never_read_is_tried_each_time() {
        let mut shared = Shared::new();
        assert_eq!(shared.current(BootTime::default(), || Err::<u8, _>("none")), Err("none"));
        assert_eq!(shared.current(BootTime::default(), || Ok::<_, &str>(7)), Ok(&7));
    }
}
