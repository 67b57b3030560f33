//! Waiting for a moment of boot time, which goes on while the machine is suspended.

use crate::limit;
use crate::obs::clock;
use crate::time::BootTime;

/// Returns once `deadline` has come; never where there is none. Safe to cancel.
pub(super) async fn reached(deadline: Option<BootTime>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    loop {
        let left = deadline.since(clock::boot_now());
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(limit::DEADLINE_LOOK)).await;
    }
}
