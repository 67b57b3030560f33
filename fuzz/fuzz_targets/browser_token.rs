//! See `outpost_fuzz::browser_token`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| outpost_fuzz::browser_token::run(data));
