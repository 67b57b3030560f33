//! See `outpost_fuzz::live_redis`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| outpost_fuzz::live_redis::run(data));
