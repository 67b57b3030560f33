//! How much of a certificate's time is left, as a hub's operator has to know it.

use std::time::Duration;

use crate::limit;
use crate::time::WallTime;

/// From good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Remaining {
    /// More than any of the warnings.
    Enough,
    /// Below so many of [`limit::TLS_EXPIRY_WARNINGS`], from 1 on.
    Little(usize),
    /// None.
    Expired,
}

impl Remaining {
    /// Of a certificate that expires at `expires`.
    pub fn of(expires: WallTime, now: WallTime) -> Self {
        let Some(left) = expires.0.checked_sub(now.0) else { return Self::Expired };
        let left = Duration::from_millis(left);
        match limit::TLS_EXPIRY_WARNINGS.iter().filter(|warning| left < **warning).count() {
            0 => Self::Enough,
            warnings => Self::Little(warnings),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3600 * 1000;

    #[test]
    fn an_operator_hears_of_thirty_seven_and_one_day_and_of_the_end() {
        let expires = WallTime(100 * DAY);
        let left = |ms: u64| Remaining::of(expires, WallTime(expires.0 - ms));
        assert_eq!(left(30 * DAY), Remaining::Enough);
        assert_eq!(left(30 * DAY - 1), Remaining::Little(1));
        assert_eq!(left(7 * DAY), Remaining::Little(1));
        assert_eq!(left(7 * DAY - 1), Remaining::Little(2));
        assert_eq!(left(DAY - 1), Remaining::Little(3));
        assert_eq!(left(0), Remaining::Little(3));
        assert_eq!(Remaining::of(expires, WallTime(expires.0 + 1)), Remaining::Expired);
    }

    #[test]
    fn it_only_gets_worse() {
        assert!(Remaining::Enough < Remaining::Little(1) && Remaining::Little(1) < Remaining::Little(3));
        assert!(Remaining::Little(3) < Remaining::Expired);
    }
}
