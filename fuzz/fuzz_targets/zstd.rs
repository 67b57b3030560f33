//! See `outpost_fuzz::zstd`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| outpost_fuzz::zstd::run(data));
