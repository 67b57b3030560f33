//! See `outpost_fuzz::session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: outpost_fuzz::session::Input| outpost_fuzz::session::run(input));
