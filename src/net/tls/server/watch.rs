//! Whether a hub's files were replaced, told by what the file system says of them.
//!
//! A replacement is two files or three, one after the other. What lies there in between does not fit together and is
//! neither used nor complained of, unless it stays so for [`limit::TLS_REPLACING`].

use super::Files;
use crate::limit;
use crate::net::tls::stamp::Stamp;
use crate::time::BootTime;

/// Which versions of the files there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamps([Option<Stamp>; 3]);

impl Stamps {
    pub(super) fn of(files: &Files) -> Self {
        Self([Stamp::of(&files.cert), Stamp::of(&files.key), files.client_ca.as_deref().and_then(Stamp::of)])
    }
}

/// What is to be made of files that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The rest of them is still to come, or it was said already.
    Replacing,
    /// They stay as they are.
    Broken,
}

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Watch {
    used: Stamps,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct Failed {
    stamps: Stamps,
    since: BootTime,
    told: bool,
}

impl Watch {
    pub(super) const fn new(used: Stamps) -> Self {
        Self { used, failed: None }
    }

    /// Whether files of these stamps are worth reading.
    pub(super) fn wants(&mut self, stamps: &Stamps) -> bool {
        if *stamps == self.used {
            self.failed = None;
            return false;
        }
        !self.failed.as_ref().is_some_and(|failed| failed.told && failed.stamps == *stamps)
    }

    /// They are in use from now on.
    pub(super) fn used(&mut self, stamps: Stamps) {
        (self.used, self.failed) = (stamps, None);
    }

    /// They cannot be used.
    pub(super) fn failed(&mut self, stamps: Stamps, now: BootTime) -> Verdict {
        let failed = match self.failed.take() {
            Some(failed) if failed.stamps == stamps => failed,
            _ => Failed { stamps, since: now, told: false },
        };
        let broken = !failed.told && now.since(failed.since) >= limit::TLS_REPLACING;
        self.failed = Some(Failed { told: failed.told || broken, ..failed });
        if broken { Verdict::Broken } else { Verdict::Replacing }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stamps(number: u64) -> Stamps {
        let stamp = Stamp::numbered(number);
        Stamps([Some(stamp), None, None])
    }

    fn at(seconds: u64) -> BootTime {
        BootTime(Duration::from_secs(seconds))
    }

    #[test]
    fn what_is_used_is_not_read_again() {
        let mut watch = Watch::new(stamps(1));
        assert!(!watch.wants(&stamps(1)));
        assert!(watch.wants(&stamps(2)));
        watch.used(stamps(2));
        assert!(!watch.wants(&stamps(2)) && watch.wants(&stamps(1)));
    }

    #[test]
    fn half_a_replacement_is_no_reason_to_complain_until_it_stays_one() {
        let mut watch = Watch::new(stamps(1));
        assert_eq!(watch.failed(stamps(2), at(10)), Verdict::Replacing);
        assert_eq!(watch.failed(stamps(3), at(16)), Verdict::Replacing, "another file came");
        assert!(watch.wants(&stamps(3)), "it may be readable soon");
        assert_eq!(watch.failed(stamps(3), at(21)), Verdict::Broken);
        assert!(!watch.wants(&stamps(3)), "told once");
        assert!(watch.wants(&stamps(4)));
        assert_eq!(watch.failed(stamps(4), at(22)), Verdict::Replacing);
    }

    #[test]
    fn who_puts_the_old_files_back_is_told_again_of_the_next_broken_ones() {
        let mut watch = Watch::new(stamps(1));
        watch.failed(stamps(2), at(0));
        assert_eq!(watch.failed(stamps(2), at(5)), Verdict::Broken);
        assert!(!watch.wants(&stamps(1)));
        assert!(watch.wants(&stamps(2)));
        assert_eq!(watch.failed(stamps(2), at(6)), Verdict::Replacing);
    }
}
