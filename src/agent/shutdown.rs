//! The order in which an agent stops, and a deadline for each step: intake, link, outbox.
//!
//! A step that does not end in time is left behind with a warning: what was durable stays durable.

use std::future::Future;
use std::time::Duration;

/// Whether a step ended in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It did.
    Done,
    /// It was left behind.
    Late,
}

/// Waits for one step, not longer than `limit`.
pub(super) async fn step(name: &'static str, limit: Duration, work: impl Future<Output = ()>) -> Step {
    match tokio::time::timeout(limit, work).await {
        Ok(()) => Step::Done,
        Err(_late) => {
            tracing::warn!(step = name, "a step of the shutdown took too long and was left behind");
            Step::Late
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_is_left_behind() {
        assert_eq!(step("quick", Duration::from_secs(5), async {}).await, Step::Done);
        assert_eq!(step("hangs", Duration::from_secs(5), std::future::pending()).await, Step::Late);
    }
}
