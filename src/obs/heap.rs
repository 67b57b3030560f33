//! The heap's free memory, given back to the system.
//!
//! glibc keeps what is freed, and a closed database would go on counting as memory of this process: about 8 MB for each
//! generation that was open. Elsewhere the allocator is left alone. Figures: benches/README.md.
//!
//! The one module with unsafe code (Cargo.toml denies it): two functions of the C library that have no safe wrapper.

/// Heaps the allocator may keep side by side. Each keeps free memory of its own; by default there are eight for every
/// core, and threads that allocate at the same time spread over all of them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS_MAX: i32 = 2;

/// What is at least this large is mapped by itself and goes back when it is freed: the databases' buffers of 512 KiB
/// above all. By default the bound rises to the first such block that is freed, and from then on they leave holes in
/// the heap between whatever lives longer.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: i32 = 256 * 1024;

/// Gives free memory back. Walks the whole heap: for after something large was freed.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the standard library has no call for this")]
    // SAFETY: takes no pointer and is thread-safe (malloc_trim(3)); what is in use stays where it is.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Sets the allocator to keep little of what is freed; for an agent, before it starts threads.
pub fn keep_small() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [(libc::M_ARENA_MAX, ARENAS_MAX), (libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN)] {
        #[expect(unsafe_code, reason = "the standard library has no call for this")]
        // SAFETY: takes no pointer and touches no allocation (mallopt(3)). One that is refused changes nothing.
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}
