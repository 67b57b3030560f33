//! See `outpost_fuzz::block`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| outpost_fuzz::block::run(data));
