//! Random bytes of the operating system, for keys, nonces and ids.

/// `N` random bytes.
///
/// # Panics
/// Where the operating system has no random source: nothing here can go on without one.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "no key, nonce or id may ever be anything but random")]
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    bytes
}
