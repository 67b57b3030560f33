//! The heap's free memory, given back to the system.
//!
//! glibc keeps what is freed: a closed database would go on counting as memory of this process, about 8 MB for each
//! generation that was open. Elsewhere the allocator is left alone.
//!
//! The one module with unsafe code (Cargo.toml denies it): two functions of the C library that have no safe wrapper.

/// Heaps the allocator may keep side by side. Each keeps free memory of its own; by default there are eight for every
/// core, and threads that allocate at the same time spread over all of them.
const ARENAS_MAX: i32 = 2;

/// Gives free memory back. Walks the whole heap, some hundred microseconds: for after something large was freed.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the standard library has no call for this")]
    // SAFETY: takes no pointer and is thread-safe (malloc_trim(3)); what is in use stays where it is.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Keeps the number of heaps small; for a process that shall stay small, before it starts threads.
pub fn keep_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the standard library has no call for this")]
    // SAFETY: takes no pointer; an allocation under way is not touched (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
    }
}
