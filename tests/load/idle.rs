//! A thousand agents that are connected and say nothing.

use crate::crowd;
use crate::hub::Site;

const AGENTS: usize = 1000;
/// What TLS may add to one session, in KiB: the targets of both (32 less 12), which hold optimized or not, since it is
/// buffers.
const TLS_KIB_MAX: f64 = 20.0;

#[test]
#[ignore = "two thousand sockets: scripts/test runs it where file descriptors allow it"]
fn a_thousand_idle_sessions_over_tls_take_little_more_than_plain_ones() {
    let (plain, tls) = (crowd::measure(Site::new(), AGENTS), crowd::measure(Site::secured(), AGENTS));
    println!(
        "{AGENTS} idle sessions, unoptimized: {:.1} KiB each, over TLS {:.1} KiB; the way in took {} us of the hub's \
         processor, over TLS {} us",
        plain.memory_kib,
        tls.memory_kib,
        plain.processor.as_micros(),
        tls.processor.as_micros()
    );
    assert!(tls.memory_kib - plain.memory_kib <= TLS_KIB_MAX, "{plain:?} {tls:?}");
}
