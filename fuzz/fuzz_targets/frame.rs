//! See `outpost_fuzz::frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| outpost_fuzz::frame::run(data));
