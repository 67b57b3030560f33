//! See `outpost_fuzz::live_config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| outpost_fuzz::live_config::run(data));
